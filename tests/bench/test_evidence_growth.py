"""Exponents, crossovers and their intervals: against laws that are known and plain resampling."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.evidence.growth import (
    crossover,
    crossover_interval,
    median_draws,
    slope,
    slope_interval,
    tail,
)

LENGTHS = (10.0, 40.0, 160.0, 640.0)


def noisy(law, lengths=LENGTHS, count=41, spread=0.05, seed=0):
    """Samples around a known cost at each length."""
    chance = np.random.default_rng(seed)
    return {n: (law(n) * np.exp(spread * chance.standard_normal(count))).tolist() for n in lengths}


@pytest.mark.parametrize("count", [1, 2, 7, 8, 41, 200])
def test_medians_are_drawn_as_plain_resampling_draws_them(count):
    samples = np.random.default_rng(1).lognormal(0, 0.4, count)
    drawn = median_draws(samples, 40_000, np.random.default_rng(2))
    plain = np.median(np.random.default_rng(3).choice(samples, (40_000, count)), axis=1)
    # Kolmogorov and Smirnov: two samples of 40,000 from one law differ by more once in 1,000
    grid = np.sort(samples)
    ours, theirs = ((values[:, None] <= grid).mean(0) for values in (drawn, plain))
    assert np.abs(ours - theirs).max() < 1.95 * math.sqrt(2 / 40_000)
    assert set(np.round(drawn, 9)) <= {round((a + b) / 2, 9) for a in samples for b in samples}


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_the_slope_of_a_power_law_is_its_exponent(power):
    assert slope({n: 3 * n**power for n in LENGTHS}) == pytest.approx(power, abs=1e-12)


def test_the_slopes_interval_covers_the_true_exponent_as_often_as_it_says():
    covered = []
    for seed in range(300):
        found = slope_interval(noisy(lambda n: n**1.5, seed=seed), draws=400)
        covered.append(found.low <= 1.5 <= found.high)
    assert 0.92 <= np.mean(covered) <= 0.99


def test_the_crossovers_interval_covers_the_true_length_as_often_as_it_says():
    # 2 n and n²/50 meet at 100 s, between two lengths: on logarithms both are straight lines
    covered = []
    for seed in range(200):
        ours, theirs = noisy(lambda n: 2 * n, seed=seed), noisy(lambda n: n**2 / 50, seed=1_000 + seed)
        found = crossover_interval(ours, theirs, draws=300)
        assert found.value == pytest.approx(100, rel=0.2)
        covered.append(found.low <= 100 <= found.high)
    assert 0.90 <= np.mean(covered) <= 0.99


def test_a_crossover_that_is_not_reached_is_infinite_and_one_in_doubt_has_an_infinite_end():
    never = crossover_interval(noisy(lambda n: 3 * n), noisy(lambda n: n))
    assert (never.value, never.low, never.high) == (math.inf, math.inf, math.inf)
    doubtful = crossover_interval(noisy(lambda n: n, seed=1, count=9), noisy(lambda n: n, seed=2, count=9))
    assert doubtful.high == math.inf
    assert doubtful.low < math.inf


def test_only_lengths_in_common_are_compared():
    ours = {10.0: 5.0, 40.0: 5.0, 1000.0: 1.0}
    theirs = {10.0: 1.0, 40.0: 10.0, 5000.0: 1.0}
    expected = 10 * 4 ** (math.log(5) / (math.log(5) + math.log(2)))
    assert crossover(ours, theirs) == pytest.approx(expected)
    found = crossover_interval(
        {n: [c] for n, c in ours.items()}, {n: [c] for n, c in theirs.items()}, draws=5
    )
    assert found.value == found.low == found.high == pytest.approx(expected)


def test_the_tail_is_the_last_factor_of_sixteen():
    assert tail({1: "a", 100: "d", 10: "c", 6.25: "b", 6.2: "x"}) == {6.25: "b", 10: "c", 100: "d"}


def test_intervals_are_the_same_each_time():
    samples = noisy(lambda n: n)
    assert slope_interval(samples) == slope_interval(samples)
