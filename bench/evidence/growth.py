"""How costs grow with length: exponents, and where one curve undercuts another, with their intervals.

    exponent({2048: 1.0, 32768: 16.0})                     # 1.0: time proportional to length
    slope({2048: 1.0, 8192: 4.1, 32768: 16.0})             # the same from all points, by least squares
    tail({60: 1.0, 3600: 70.0, 600: 9.0})                  # the points of its longest factor of 16
    crossover({512: 3, 2048: 9}, {512: 1, 2048: 16})       # 1,024 frames or so: from there on ours is faster
    slope_interval(samples), crossover_interval(ours, theirs)          # from the raw samples at each length

Curves map length to cost, both positive. Everything is linear between points on logarithmic axes, where a
power law is a straight line. Intervals are of a bootstrap: at every length the samples are drawn with
replacement, and their median taken (Davison and Hinkley 1997, §2.3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import linear_regression, median
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bench.evidence.bootstrap import Interval

Length = TypeVar("Length", int, float)  # frames, or seconds of speech
Kind = TypeVar("Kind")
Samples = Mapping[Length, Sequence[float]]  # of the cost at each length
DRAWS = 1_000
SPAN = 16.0  # of the longest length: an exponent over more would be that of the overheads of short ones


def exponent(curve: Mapping[Length, float]) -> float:
    """p of cost ∝ lengthᵖ, from the shortest and the longest length alone."""
    first, last = min(curve), max(curve)
    return math.log(curve[last] / curve[first]) / math.log(last / first)


def slope(curve: Mapping[Length, float]) -> float:
    """p of cost ∝ lengthᵖ, by least squares on logarithms over all lengths."""
    lengths = sorted(curve)
    return linear_regression([math.log(n) for n in lengths], [math.log(curve[n]) for n in lengths]).slope


def tail(curve: Mapping[Length, Kind]) -> dict[Length, Kind]:
    """The points from a sixteenth of the longest length on, shortest first."""
    return {n: curve[n] for n in sorted(curve) if n * SPAN >= max(curve)}


def crossover(ours: Mapping[Length, float], theirs: Mapping[Length, float]) -> float | None:
    """The length from which on `ours` costs no more than `theirs` at every longer length that both have.

    Between the last length that is lost and the next one it is interpolated. The shortest length where
    none is lost, so that the crossover may lie below it; None where the longest is lost.
    """
    lengths = sorted(ours.keys() & theirs.keys())
    gaps = [math.log(ours[n] / theirs[n]) for n in lengths]
    lost = [place for place, gap in enumerate(gaps) if gap > 0]
    if not lost:
        return float(lengths[0])
    last = lost[-1]
    if last == len(lengths) - 1:
        return None
    share = gaps[last] / (gaps[last] - gaps[last + 1])
    return lengths[last] * (lengths[last + 1] / lengths[last]) ** share


def slope_interval(samples: Samples[Length], draws: int = DRAWS) -> Interval:
    """`slope` of the medians with its 95 % interval; at least two lengths."""
    lengths = sorted(samples)
    x = np.log(lengths) - np.mean(np.log(lengths))
    costs = np.log(_medians(samples, draws, np.random.default_rng(0)))
    return _percentiles(slope(_curve(samples)), (costs * x).sum(1) / (x**2).sum())


def crossover_interval(ours: Samples[Length], theirs: Samples[Length], draws: int = DRAWS) -> Interval:
    """`crossover` of the medians with its 95 % interval; infinity where the longest length is lost.

    Both need a length in common.
    """
    common = sorted(ours.keys() & theirs.keys())
    chance = np.random.default_rng(0)  # one stream for both, or their noise would cancel
    mine, other = (_medians({n: each[n] for n in common}, draws, chance) for each in (ours, theirs))
    pairs = zip(mine.tolist(), other.tolist(), strict=True)
    found = [
        crossover(dict(zip(common, a, strict=True)), dict(zip(common, b, strict=True))) for a, b in pairs
    ]
    value = crossover(_curve(ours), _curve(theirs))
    return _percentiles(math.inf if value is None else value, [math.inf if f is None else f for f in found])


def median_draws(
    samples: Sequence[float], draws: int, chance: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Bootstrap medians (draws,): of as many samples drawn with replacement.

    Drawn as what they are, order statistics: the k-th of n uniform numbers is Beta(k, n + 1 − k), the next
    one is from what is above it, and the sample at such a share of the sorted ones is that of the draw.
    """
    ordered, n = np.sort(samples), len(samples)
    k = (n + 1) // 2
    lower = chance.beta(k, n + 1 - k, draws)
    if n % 2:
        return ordered[_places(lower, n)]
    upper = lower + (1 - lower) * chance.beta(1, n - k, draws)
    return (ordered[_places(lower, n)] + ordered[_places(upper, n)]) / 2


def _places(shares: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.int64]:
    return np.minimum((shares * n).astype(np.int64), n - 1)


def _medians(samples: Samples[Length], draws: int, chance: np.random.Generator) -> npt.NDArray[np.float64]:
    """Bootstrap medians (draw, length), lengths ascending."""
    return np.stack([median_draws(samples[n], draws, chance) for n in sorted(samples)], axis=1)


def _curve(samples: Samples[Length]) -> dict[Length, float]:
    return {n: median(values) for n, values in samples.items()}


def _percentiles(value: float, drawn: npt.ArrayLike) -> Interval:
    """Ends that are draws themselves, so that infinity is not averaged."""
    low, high = np.percentile(np.asarray(drawn), (2.5, 97.5), method="nearest")
    return Interval(value, float(low), float(high))
