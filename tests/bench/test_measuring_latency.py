"""The latency meter, on callables whose times are known because the clock is ours."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from scipy import stats

from bench.measuring.latency import MAX_SAMPLES, Latency, median_interval, sample_latency, settled


class Clock:
    """A clock that moves only when the timed callable says how long it took."""

    def __init__(self, durations_s: Iterable[float]) -> None:
        self.now = 100.0
        self.calls = 0
        self.durations: Iterator[float] = iter(durations_s)

    def __call__(self) -> float:
        return self.now

    def run(self) -> None:
        self.now += next(self.durations)
        self.calls += 1


@pytest.fixture
def frozen_heap() -> Iterator[None]:
    """Keep what is already loaded out of the meter's garbage collections, which are then quick."""
    gc.freeze()
    yield
    gc.unfreeze()


def forever(draw: Callable[[], float]) -> Iterator[float]:
    while True:
        yield draw()


def measured(durations_s: Iterable[float], **settings: float) -> tuple[Latency, Clock]:
    clock = Clock(durations_s)
    return sample_latency(clock.run, clock=clock, **settings), clock  # type: ignore[arg-type]


def test_known_time_is_measured_to_the_nanosecond() -> None:
    latency, _ = measured(forever(lambda: 0.25))
    assert latency.median == pytest.approx(250.0, abs=1e-6)
    assert (latency.low, latency.high) == (latency.median, latency.median)


def test_sleep_of_known_length_is_seen_on_the_real_clock() -> None:
    latency = sample_latency(lambda: time.sleep(0.005), min_samples=6, time_limit_s=0.1)
    assert min(latency.samples_ms) >= 5.0


def test_steady_callable_converges_within_a_few_samples_of_the_least_number() -> None:
    latency, _ = measured(forever(lambda: 0.001), min_samples=20)
    assert latency.converged
    assert 20 <= len(latency.samples_ms) <= 25


def test_median_agrees_with_numpy() -> None:
    noise = np.random.default_rng(0)
    latency, _ = measured(forever(lambda: noise.lognormal(-7, 0.3)), time_limit_s=0.3)
    assert latency.median == pytest.approx(np.median(latency.samples_ms), rel=1e-12)


def test_slow_first_calls_are_warm_up_and_no_samples() -> None:
    latency, clock = measured([0.5, 0.02, 0.004, *[0.001] * 500], time_limit_s=10.0)
    assert max(latency.samples_ms) == pytest.approx(1.0)
    assert clock.calls > len(latency.samples_ms)


def test_warm_up_that_never_ends_stops_at_its_share_of_the_limit() -> None:
    ever_faster = (0.9**n for n in range(10_000))
    latency, _ = measured(ever_faster, time_limit_s=4.0)
    assert latency.samples_ms[0] > 100.0  # 0.9²² s: warm-up ended while the times still fell


def test_time_limit_ends_sampling_without_convergence() -> None:
    noise = np.random.default_rng(1)
    latency, clock = measured(forever(lambda: noise.uniform(0.05, 0.15)), time_limit_s=2.0)
    assert not latency.converged
    assert sum(latency.samples_ms) == pytest.approx(2_000, abs=160)
    assert clock.now - 100 < 2.0 * 1.25 + 0.3


def test_limit_waits_for_an_interval_where_calls_are_shorter_than_it() -> None:
    latency, _ = measured(forever(lambda: 1.9), time_limit_s=2.0)
    assert len(latency.samples_ms) == 6
    assert (latency.low, latency.high) == (pytest.approx(1_900.0), pytest.approx(1_900.0))
    assert not latency.converged


def test_single_call_far_beyond_the_limit_is_kept_without_an_interval() -> None:
    latency, clock = measured(forever(lambda: 13.0), time_limit_s=2.0)
    assert len(latency.samples_ms) == 1
    assert latency.median == pytest.approx(13_000.0)
    assert (latency.low, latency.high, latency.converged) == (None, None, False)
    assert clock.calls == 2


def test_two_equally_likely_times_never_count_as_converged() -> None:
    coin = np.random.default_rng(2)
    latency, _ = measured(forever(lambda: coin.choice([0.001, 0.002])), time_limit_s=0.5)
    assert not latency.converged
    assert latency.low == pytest.approx(1.0)
    assert latency.high == pytest.approx(2.0)


def test_rare_slow_mode_leaves_the_median_in_the_fast_one() -> None:
    coin = np.random.default_rng(3)
    latency, _ = measured(forever(lambda: coin.choice([0.001, 0.005], p=[0.8, 0.2])))
    assert latency.converged
    assert latency.median == pytest.approx(1.0)


def test_slow_drift_is_not_mistaken_for_a_known_median() -> None:
    drifting = (0.001 * (1 + 0.005 * n) for n in range(100_000))
    latency, _ = measured(drifting, time_limit_s=1.0, relative_interval=0.03)
    assert not latency.converged


def test_drift_between_halves_unsettles_samples_whose_interval_is_narrow() -> None:
    stepped = [1.0] * 300 + [1.06] * 700
    assert median_interval(stepped) == (1.06, 1.06)
    assert not settled(stepped, 0.03)
    assert settled(stepped, 0.07)


def test_samples_never_exceed_what_a_record_keeps() -> None:
    noise = np.random.default_rng(4)
    latency, _ = measured(forever(lambda: noise.uniform(1e-6, 1e-3)), time_limit_s=60.0)
    assert len(latency.samples_ms) == MAX_SAMPLES
    assert not latency.converged


@pytest.mark.parametrize("count", [1, 5, 6, 7, 20, 57, 200, 999, 2_000])
def test_interval_ranks_are_those_of_the_binomial_distribution(count: int) -> None:
    interval = median_interval(list(range(1, count + 1)))
    below = int(stats.binom.ppf(0.025, count, 0.5))  # least k with P(Bin ≤ k) ≥ 0.025
    rank = below + 1 if stats.binom.cdf(below, count, 0.5) <= 0.025 else below
    assert interval == ((rank, count + 1 - rank) if rank else None)


@pytest.mark.parametrize("count", [6, 20, 80])
def test_interval_of_fixed_samples_covers_the_true_median(count: int) -> None:
    draws = np.random.default_rng(5).lognormal(0, 0.5, (2_000, count))
    intervals = [median_interval(row) or (np.inf, -np.inf) for row in draws.tolist()]
    assert np.mean([low <= 1.0 <= high for low, high in intervals]) >= 0.94


@pytest.mark.usefixtures("frozen_heap")
@pytest.mark.parametrize("spread", [0.02, 0.05, 0.08])
def test_interval_covers_the_true_median_at_93_percent_although_it_decides_when_to_stop(
    spread: float,
) -> None:
    noise = np.random.default_rng(6)
    covered = []
    for _ in range(2_000):
        durations = forever(lambda: 1e-3 * float(np.exp(spread * noise.standard_normal())))
        latency, _ = measured(durations, time_limit_s=1.0)
        assert latency.low is not None
        assert latency.high is not None
        covered.append(latency.low <= 1.0 <= latency.high)
    assert np.mean(covered) >= 0.93


def test_garbage_collector_is_off_while_sampling_and_back_on_after() -> None:
    seen = []
    sample_latency(lambda: seen.append(gc.isenabled()), time_limit_s=0.01)
    assert not any(seen)
    assert gc.isenabled()


def test_garbage_collector_is_back_on_after_a_failing_callable() -> None:
    with pytest.raises(ZeroDivisionError):
        sample_latency(lambda: 1 / 0)
    assert gc.isenabled()
