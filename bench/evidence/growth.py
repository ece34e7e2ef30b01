"""How costs grow with length: exponents, and where one curve undercuts another.

    exponent({2048: 1.0, 32768: 16.0})                     # 1.0: time proportional to length
    slope({2048: 1.0, 8192: 4.1, 32768: 16.0})             # the same from all points, by least squares
    crossover({512: 3, 2048: 9}, {512: 1, 2048: 16})       # 1,024 frames or so: from there on ours is faster

Curves map length to cost, both positive. Everything is linear between points on logarithmic axes, where a
power law is a straight line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import linear_regression

Curve = Mapping[int, float]


def exponent(curve: Curve) -> float:
    """p of cost ∝ lengthᵖ, from the shortest and the longest length alone."""
    first, last = min(curve), max(curve)
    return math.log(curve[last] / curve[first]) / math.log(last / first)


def slope(curve: Curve) -> float:
    """p of cost ∝ lengthᵖ, by least squares on logarithms over all lengths."""
    lengths = sorted(curve)
    return linear_regression([math.log(n) for n in lengths], [math.log(curve[n]) for n in lengths]).slope


def crossover(ours: Curve, theirs: Curve) -> float | None:
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
