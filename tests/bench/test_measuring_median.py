"""Statistics of the median: against scipy, numpy, and samples whose true median is known."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy import stats

from bench.measuring.latency import sample_latency
from bench.measuring.median import drift, median_interval, quantile, settled

LEVEL = 1e-3  # seconds; the true median of every distribution below

DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "lognormal 2 %": lambda rng, n: LEVEL * np.exp(0.02 * rng.standard_normal(n)),
    "lognormal 5 %": lambda rng, n: LEVEL * np.exp(0.05 * rng.standard_normal(n)),
    "lognormal 8 %": lambda rng, n: LEVEL * np.exp(0.08 * rng.standard_normal(n)),
    "uniform ±10 %": lambda rng, n: LEVEL * rng.uniform(0.9, 1.1, n),
    "exponential above a floor": lambda rng, n: LEVEL * (1 + 0.1 * (rng.exponential(1, n) - np.log(2))),
    "heavy tails (t, 2 degrees)": lambda rng, n: LEVEL * (1 + 0.03 * rng.standard_t(2, n)).clip(0.1),
    "fast mode of 70 %, slow tail": lambda rng, n: np.where(
        rng.random(n) < 0.7, LEVEL * rng.uniform(0.95, 1.02, n), LEVEL * rng.uniform(1.2, 2.0, n)
    ),
    "clock of 20 steps": lambda rng, n: LEVEL * np.round(np.exp(0.05 * rng.standard_normal(n)) * 20) / 20,
}
MEDIANS = {"fast mode of 70 %, slow tail": LEVEL * (0.95 + 0.07 * 0.5 / 0.7)}


@pytest.fixture
def frozen_heap() -> Iterator[None]:
    """Keep what is already loaded out of the meter's garbage collections, which are then quick."""
    gc.freeze()
    yield
    gc.unfreeze()


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
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_interval_covers_the_true_median_at_93_percent_although_it_decides_when_to_stop(name: str) -> None:
    rng, now, true = np.random.default_rng(6), [0.0], 1e3 * MEDIANS.get(name, LEVEL)
    covered = []
    for _ in range(1_000):
        draws = iter(DISTRIBUTIONS[name](rng, 2_100).tolist())

        def run(draws: Iterator[float] = draws) -> None:
            now[0] += next(draws)

        latency = sample_latency(run, time_limit_s=1.0, clock=lambda: now[0], watch=None)
        assert latency.low is not None
        assert latency.high is not None
        covered.append(latency.low - 1e-5 <= true <= latency.high + 1e-5)  # samples are kept in whole ns
    assert np.mean(covered) >= 0.93


def test_drift_between_halves_unsettles_samples_whose_interval_is_narrow() -> None:
    stepped = [1.0] * 300 + [1.06] * 700
    assert median_interval(stepped) == (1.06, 1.06)
    assert drift(stepped) == pytest.approx(0.06)
    assert not settled(stepped, 0.03)
    assert settled(stepped, 0.07)


def test_times_too_short_for_the_clock_have_no_drift_and_never_divide_by_zero() -> None:
    assert drift([0.0] * 40) == 0.0
    assert settled([0.0] * 40, 0.03)
    assert not settled([0.0] * 20 + [1e-9] * 21, 0.03)


@pytest.mark.parametrize("count", [1, 2, 3, 20, 101])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 0.95, 1.0])
def test_quantiles_are_those_of_numpy(count: int, share: float) -> None:
    samples = np.random.default_rng(count).lognormal(0, 0.5, count)
    assert quantile(samples.tolist(), share) == pytest.approx(np.quantile(samples, share), rel=1e-12)
