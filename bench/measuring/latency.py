"""How long a call takes: the median, an interval for it, and whether the interval is narrow enough.

    latency = sample_latency(lambda: model(x), relative_interval=0.03, time_limit_s=2.0)
    latency.median, latency.low, latency.high         # ms
    latency.p20, latency.p80, latency.p95             # ms
    ours, theirs = sample_in_turns([ours, theirs])    # for a ratio: drift and other load fall on both

Works on any callable and imports no torch: a callable that starts work on a GPU must wait for it
(`cuda_clocks` does). Between two readings of the clock stands the call alone. All else (limits,
looks at the interval, and at the machine: `disturbance`) happens between samples.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Literal

from bench.measuring.disturbance import THIS_MACHINE
from bench.measuring.median import MIN_FOR_INTERVAL, drift, median_interval, quantile, settled

MAX_SAMPLES = 2_000  # all are kept in the record
WARM_UP_CALLS = 50
WARM_UP_SHARE = 0.25  # of the time limit
WINDOW = 3  # calls compared with as many before them to see whether the warm-up is over
GROWTH = 1.1  # of the samples between two looks at the interval
LOOKS = 2  # running, at which it must be narrow: stopping on a single lucky one costs 1 % of coverage
STRETCH_S = 0.1  # of samples between two readings of the machine: ten ticks of the kernel's counters
READING_SHARE = 0.005  # of the time that readings of the machine may take
ENOUGH = 0.25  # of the samples; fewer undisturbed ones do not speak for all

Run = Callable[[], object]
Clock = Callable[[], float]
Watch = Callable[[], Collection[str]]  # what disturbed the machine since it was last asked


@dataclass(frozen=True)
class Latency:
    """Samples and their median, in milliseconds; `low` and `high` bound the median at 95 %.

    They are None under six samples, where no such interval exists. `converged` is True where
    the interval came under the asked bound before the limits of time and number; `warm`, where the
    warm-up came to rest (see `sample_latency`). `disturbed` marks the samples during which the machine
    was disturbed, by what `disturbances` names; it is empty where nobody watched. Every sample is kept;
    `trusted` says which of them the median, the interval and the quantiles are taken over.
    """

    samples_ms: tuple[float, ...]
    median: float
    low: float | None
    high: float | None
    converged: bool
    disturbed: tuple[bool, ...] = ()
    disturbances: tuple[str, ...] = ()
    warm: bool = True

    @property
    def trusted(self) -> tuple[float, ...]:
        """The undisturbed samples, where they are at least six and a quarter of all; else all."""
        return tuple(_trusted(self.samples_ms, self.disturbed))

    @property
    def median_over(self) -> Literal["undisturbed", "all"]:
        """What the median is taken over: "undisturbed" where that left out a sample, else "all"."""
        return "undisturbed" if len(self.trusted) < len(self.samples_ms) else "all"

    @property
    def p20(self) -> float:
        """20 % of the trusted samples took less, in ms."""
        return quantile(self.trusted, 0.2)

    @property
    def p80(self) -> float:
        """80 % of the trusted samples took less, in ms."""
        return quantile(self.trusted, 0.8)

    @property
    def p95(self) -> float:
        """95 % of the trusted samples took less, in ms."""
        return quantile(self.trusted, 0.95)

    @property
    def drift(self) -> float:
        """How much slower the second half of the trusted samples was than the first (0.02: by 2 %)."""
        return drift(self.trusted)


@dataclass(frozen=True)
class _Limits:
    relative_interval: float
    time_limit_s: float
    min_samples: int
    max_samples: int


def sample_latency(
    run: Run,
    *,
    relative_interval: float = 0.03,
    time_limit_s: float = 2.0,
    min_samples: int = 20,
    clock: Clock = time.perf_counter,
    watch: Watch | None = THIS_MACHINE,
    before: Run | None = None,
) -> Latency:
    """Time `run` until its median is known: warm up, then sample with the garbage collector off.

    The warm-up ends when the medians of the last three calls and of the three before them agree within
    `relative_interval`, whichever is the larger; or, not at rest, after 50 calls or a quarter of the time
    limit. Sampling ends when, at two looks running, the 95 % interval of the median is no wider than
    `relative_interval` times the median and the medians of the first and second half agree as closely
    (no drift); or at `time_limit_s` seconds, or at MAX_SAMPLES. The limit waits for the six samples that
    an interval needs where one takes less than the limit. `clock` gives seconds.

    `watch` is asked about every 0.1 s (seldom enough to take 0.5 % of the time) what disturbed the machine
    since it was last asked; samples in between are marked. None: nobody watches. `before` is called, off
    the clock, ahead of every call.
    """
    (latency,) = sample_in_turns(
        [run],
        relative_interval=relative_interval,
        time_limit_s=time_limit_s,
        min_samples=min_samples,
        clock=clock,
        watch=watch,
        before=before,
    )
    return latency


def sample_in_turns(
    runs: Sequence[Run],
    *,
    relative_interval: float = 0.03,
    time_limit_s: float = 2.0,
    min_samples: int = 20,
    max_samples: int = MAX_SAMPLES,
    clock: Clock = time.perf_counter,
    watch: Watch | None = THIS_MACHINE,
    before: Run | None = None,
) -> list[Latency]:
    """Latencies of several callables to be compared, sampled in rounds of one call each.

    Every other round goes backwards, so that none always follows the same one. Limits as in
    `sample_latency`, for a round in the place of a sample; sampling ends when all have settled.
    """
    limits = _Limits(relative_interval, time_limit_s, min_samples, max_samples)
    stopwatch = _Stopwatch(clock, before)
    with _no_collection():
        warm = [_warm_up(run, stopwatch, limits) for run in runs]
        rounds = _Rounds(len(runs), clock, watch)
        converged = _sample(runs, stopwatch, rounds, limits)
    return [rounds.latency(place, converged=converged, warm=at_rest) for place, at_rest in enumerate(warm)]


@dataclass(frozen=True)
class _Stopwatch:
    clock: Clock
    before: Run | None

    def time(self, run: Run) -> float:
        """Seconds that `run` takes."""
        if self.before is not None:
            self.before()
        start = self.clock()
        run()
        return self.clock() - start


def _warm_up(run: Run, stopwatch: _Stopwatch, limits: _Limits) -> bool:
    """Call until the last calls take as long as those before them (True), or the budget is spent."""
    times: list[float] = []
    start = stopwatch.clock()
    while len(times) < WARM_UP_CALLS:
        times.append(stopwatch.time(run))
        if len(times) >= 2 * WINDOW and abs(drift(times[-2 * WINDOW :])) <= limits.relative_interval:
            return True
        if stopwatch.clock() - start >= WARM_UP_SHARE * limits.time_limit_s:
            break
    return False


def _sample(runs: Sequence[Run], stopwatch: _Stopwatch, rounds: _Rounds, limits: _Limits) -> bool:
    """Add rounds of one sample a run; whether all settled before a limit."""
    start, next_look, looks = stopwatch.clock(), limits.min_samples, 0
    while len(rounds) < limits.max_samples:
        rounds.add(_round(runs, stopwatch, backwards=len(rounds) % 2 == 1))
        if len(rounds) >= next_look:
            looks = looks + 1 if rounds.settled(limits.relative_interval) else 0
            if looks == LOOKS:
                return True
            next_look = math.ceil(GROWTH * len(rounds))
        patience = 1 if len(rounds) >= MIN_FOR_INTERVAL else MIN_FOR_INTERVAL
        if stopwatch.clock() - start >= patience * limits.time_limit_s:
            break
    rounds.ask()
    return False


def _round(runs: Sequence[Run], stopwatch: _Stopwatch, backwards: bool) -> list[float]:
    """One sample of each run, in the order of `runs` however they were called."""
    step = -1 if backwards else 1
    return [stopwatch.time(run) for run in runs[::step]][::step]


class _Rounds:
    """Samples as they come, one of each run a round, and which rounds were disturbed."""

    def __init__(self, runs: int, clock: Clock, watch: Watch | None) -> None:
        self._clock, self._watch = clock, watch
        self._samples_s: list[list[float]] = [[] for _ in range(runs)]  # of each run
        self._disturbed: list[bool] = []  # of the rounds up to the last reading
        self._causes: set[str] = set()
        self._due = math.inf
        self._read()  # from here on counts

    def __len__(self) -> int:
        return len(self._samples_s[0])

    def add(self, samples_s: list[float]) -> None:
        """Keep a round, and ask the watch where a stretch is over."""
        for run, sample_s in zip(self._samples_s, samples_s, strict=True):
            run.append(sample_s)
        if self._clock() >= self._due:
            self.ask()

    def ask(self) -> None:
        """Mark the rounds since the last reading by what the watch says."""
        causes = self._read()
        fresh = len(self) - len(self._disturbed)
        self._disturbed += [bool(causes)] * fresh
        self._causes.update(causes if fresh else ())

    def settled(self, bound: float) -> bool:
        """Whether the median of every run is known; the watch is asked before this is said."""
        if not self._calm(bound):
            return False
        self.ask()
        return self._calm(bound)

    def latency(self, place: int, *, converged: bool, warm: bool) -> Latency:
        """What became of the run at this place."""
        samples_ms = tuple(round(1e3 * sample_s, 6) for sample_s in self._samples_s[place])
        disturbed = () if self._watch is None else tuple(self._disturbed)
        trusted = _trusted(samples_ms, disturbed)
        low, high = median_interval(trusted) or (None, None)
        causes = tuple(sorted(self._causes))
        return Latency(samples_ms, median(trusted), low, high, converged, disturbed, causes, warm)

    def _calm(self, bound: float) -> bool:
        marks = self._disturbed + [False] * (len(self) - len(self._disturbed))
        return all(settled(_trusted(run, marks), bound) for run in self._samples_s)

    def _read(self) -> Collection[str]:
        if self._watch is None:
            return ()
        start = self._clock()
        causes = self._watch()
        now = self._clock()
        self._due = now + max(STRETCH_S, (now - start) / READING_SHARE)
        return causes


def _trusted(samples: Sequence[float], disturbed: Sequence[bool]) -> Sequence[float]:
    """The samples without the disturbed ones, where enough are left (see `Latency.trusted`)."""
    if not any(disturbed):
        return samples
    calm = [sample for sample, marked in zip(samples, disturbed, strict=True) if not marked]
    return calm if len(calm) >= max(MIN_FOR_INTERVAL, ENOUGH * len(samples)) else samples


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
