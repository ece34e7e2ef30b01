"""How long a call takes: the median, an interval for it, and whether the interval is narrow enough.

    latency = sample_latency(lambda: model(x), relative_interval=0.03, time_limit_s=2.0)
    latency.median, latency.low, latency.high         # ms
    ours, theirs = sample_in_turns([ours, theirs])    # for a ratio: drift and other load fall on both

Works on any callable and imports no torch: a callable that starts work on a GPU must wait for it.
The interval is free of any distribution: between two order statistics of n samples the true median
lies with probability 1 − 2·P(Bin(n, ½) < r), whatever the samples' distribution (David and Nagaraja,
Order Statistics, 3rd ed., §7.1).
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from statistics import median

MIN_FOR_INTERVAL = 6  # samples; fewer have no 95 % interval of the median
MAX_SAMPLES = 2_000  # all are kept in the record
WARM_UP_CALLS = 50
WARM_UP_SHARE = 0.25  # of the time limit
WINDOW = 3  # calls compared with as many before them to see whether the warm-up still gains
GROWTH = 1.1  # of the samples between two looks at the interval
LOOKS = 2  # running, at which it must be narrow: stopping on a single lucky one costs 1 % of coverage


@dataclass(frozen=True)
class Latency:
    """Samples and their median, in milliseconds; `low` and `high` bound the median at 95 %.

    They are None under six samples, where no such interval exists. `converged` is True where
    the interval came under the asked bound before the limits of time and number.
    """

    samples_ms: tuple[float, ...]
    median: float
    low: float | None
    high: float | None
    converged: bool


def sample_latency(
    run: Callable[[], object],
    *,
    relative_interval: float = 0.03,
    time_limit_s: float = 2.0,
    min_samples: int = 20,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Time `run` until its median is known: warm up, then sample with the garbage collector off.

    Sampling ends when, at two looks running, the 95 % interval of the median is no wider than
    `relative_interval` times the median and the medians of the first and second half agree as closely
    (no drift); or at `time_limit_s` seconds, or at MAX_SAMPLES. The limit waits for the six samples that
    an interval needs where one takes less than the limit. `clock` gives seconds.
    """
    (latency,) = sample_in_turns(
        [run],
        relative_interval=relative_interval,
        time_limit_s=time_limit_s,
        min_samples=min_samples,
        clock=clock,
    )
    return latency


def sample_in_turns(
    runs: Sequence[Callable[[], object]],
    *,
    relative_interval: float = 0.03,
    time_limit_s: float = 2.0,
    min_samples: int = 20,
    max_samples: int = MAX_SAMPLES,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Latency]:
    """Latencies of several callables to be compared, sampled in rounds of one call each.

    Every other round goes backwards, so that none always follows the same one. Limits as in
    `sample_latency`, for a round in the place of a sample; sampling ends when all have settled.
    """
    with _no_collection():
        for run in runs:
            _warm_up(run, clock, WARM_UP_SHARE * time_limit_s, relative_interval)
        rounds, converged = _sample(runs, clock, relative_interval, time_limit_s, min_samples, max_samples)
    return [_latency(samples_s, converged) for samples_s in zip(*rounds, strict=True)]


def _latency(samples_s: Sequence[float], converged: bool) -> Latency:
    samples_ms = tuple(round(1e3 * sample, 6) for sample in samples_s)
    low, high = median_interval(samples_ms) or (None, None)
    return Latency(samples_ms, median(samples_ms), low, high, converged)


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """Distribution-free interval that holds the true median with at least 95 %; None under 6 samples."""
    rank = _rank(len(samples))
    if rank == 0:
        return None
    ordered = sorted(samples)
    return ordered[rank - 1], ordered[-rank]


def settled(samples: Sequence[float], relative_interval: float) -> bool:
    """Whether the median's interval, and the drift between the halves, are within the bound."""
    interval = median_interval(samples)
    if interval is None:
        return False
    bound = relative_interval * median(samples)
    half = len(samples) // 2
    drift = abs(median(samples[half:]) - median(samples[:half]))
    return interval[1] - interval[0] <= bound and drift <= bound


@cache
def _rank(count: int) -> int:
    """Largest r with 2·P(Bin(count, ½) < r) ≤ 0.05, in whole numbers: 0 where there is none."""
    rank, tail, term = 0, 0, 1  # term = C(count, rank)
    while 40 * (tail + term) <= 2**count:
        tail += term
        term = term * (count - rank) // (rank + 1)
        rank += 1
    return rank


def _warm_up(
    run: Callable[[], object], clock: Callable[[], float], budget_s: float, tolerance: float
) -> None:
    """Call until the last calls are no faster than those before them, or the budget is spent."""
    times: list[float] = []
    start = clock()
    while len(times) < WARM_UP_CALLS:
        times.append(_time(run, clock))
        before, last = times[-2 * WINDOW : -WINDOW], times[-WINDOW:]
        gains = len(before) < WINDOW or median(last) < (1 - tolerance) * median(before)
        if not gains or clock() - start >= budget_s:
            return


def _sample(
    runs: Sequence[Callable[[], object]],
    clock: Callable[[], float],
    relative_interval: float,
    time_limit_s: float,
    min_samples: int,
    max_samples: int,
) -> tuple[list[list[float]], bool]:
    """Rounds of one sample a run in seconds, and whether all settled before a limit."""
    rounds: list[list[float]] = []
    start, next_look, looks = clock(), min_samples, 0
    while len(rounds) < max_samples:
        rounds.append(_round(runs, clock, backwards=len(rounds) % 2 == 1))
        if len(rounds) >= next_look:
            calm = all(settled(samples, relative_interval) for samples in zip(*rounds, strict=True))
            looks = looks + 1 if calm else 0
            if looks == LOOKS:
                return rounds, True
            next_look = math.ceil(GROWTH * len(rounds))
        patience = 1 if len(rounds) >= MIN_FOR_INTERVAL else MIN_FOR_INTERVAL
        if clock() - start >= patience * time_limit_s:
            break
    return rounds, False


def _round(runs: Sequence[Callable[[], object]], clock: Callable[[], float], backwards: bool) -> list[float]:
    """One sample of each run, in the order of `runs` however they were called."""
    step = -1 if backwards else 1
    return [_time(run, clock) for run in runs[::step]][::step]


def _time(run: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    run()
    return clock() - start


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector out of the samples, and leave it as it was found."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
