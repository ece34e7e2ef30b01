"""The median of timings: an interval for it, whether it is known well enough, and other quantiles.

    median_interval(samples)            # bounds that hold the true median with 95 %
    settled(samples, 0.03)              # that interval, and the drift, are under 3 % of the median

The interval is free of any distribution: between two order statistics of n samples the true median
lies with probability 1 − 2·P(Bin(n, ½) < r), whatever the samples' distribution (David and Nagaraja,
Order Statistics, 3rd ed., §7.1). It takes samples as independent; what changes slowly shows as drift.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import median

MIN_FOR_INTERVAL = 6  # samples; fewer have no 95 % interval of the median


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """Distribution-free interval that holds the true median with at least 95 %; None under 6 samples."""
    rank = _rank(len(samples))
    if rank == 0:
        return None
    ordered = sorted(samples)
    return ordered[rank - 1], ordered[-rank]


def drift(samples: Sequence[float]) -> float:
    """Median of the second half over that of the first, less 1; 0 for a single sample."""
    half = len(samples) // 2
    if half == 0:
        return 0.0
    first, second = median(samples[:half]), median(samples[half:])
    if first == second:
        return 0.0
    return second / first - 1 if first else math.inf  # a clock too coarse for the first half


def settled(samples: Sequence[float], relative_interval: float) -> bool:
    """Whether the median's interval, and the drift between the halves, are within the bound."""
    ordered = sorted(samples)  # once: this is asked between samples
    interval = median_interval(ordered)
    if interval is None or interval[1] - interval[0] > relative_interval * median(ordered):
        return False
    return abs(drift(samples)) <= relative_interval


def quantile(samples: Sequence[float], share: float) -> float:
    """The value under which `share` of the samples lie, linear between two of them."""
    ordered = sorted(samples)
    place = share * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 2) if len(ordered) > 1 else 0
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


@cache
def _rank(count: int) -> int:
    """Largest r with 2·P(Bin(count, ½) < r) ≤ 0.05, in whole numbers: 0 where there is none."""
    rank, tail, term = 0, 0, 1  # term = C(count, rank)
    while 40 * (tail + term) <= 2**count:
        tail += term
        term = term * (count - rank) // (rank + 1)
        rank += 1
    return rank
