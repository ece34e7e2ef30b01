"""Ranks as far as the data tell systems apart: groups, and the ranks that other speakers would give.

    groups(estimates)              # [1, 1, 2, 1]: the third can be told apart from the best, the others not
    intervals(estimates)           # [(1, 2), (1, 3), (3, 4), (2, 4)]

The rule of the groups: every pair of systems is tested (`bench.evidence.differences`) and the p-values of all
pairs are adjusted by Holm, so that one false separation in the whole table has a chance of 5 % at most. The
best score leads group 1, and every system whose adjusted p against it is 0.05 or more belongs there; the best
of the others leads group 2, and so on. Two systems of one group need not be alike, and a system may join a
group over the head of one with a higher score whose difference to the leader is known better.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from bench.evidence.bootstrap import Estimate
from bench.evidence.differences import difference, holm

LEVEL = 0.05


def groups(estimates: Sequence[Estimate]) -> list[int]:
    """The group of every system, from 1, in the order given; all from the same draws.

    Where there are no draws (one speaker) nothing can be told apart.
    """
    apart = _told_apart(estimates)
    found = [0] * len(estimates)
    left = sorted(range(len(estimates)), key=lambda i: -estimates[i].value)
    number = 0
    while left:
        number += 1
        leader = left[0]
        for member in left:
            if not apart[leader, member]:
                found[member] = number
        left = [i for i in left if not found[i]]
    return found


def _told_apart(estimates: Sequence[Estimate]) -> np.ndarray:
    """Whether each pair differs, (system, system) bool, all pairs adjusted together."""
    pairs = list(combinations(range(len(estimates)), 2))
    adjusted = holm([difference(estimates[i], estimates[j]).p for i, j in pairs])
    apart = np.zeros((len(estimates), len(estimates)), dtype=bool)
    for (i, j), p in zip(pairs, adjusted, strict=True):
        apart[i, j] = apart[j, i] = p < LEVEL
    return apart


def intervals(estimates: Sequence[Estimate], level: float = 0.95) -> list[tuple[float, float]]:
    """The ranks that hold `level` of the draws, lowest and highest, 1 the best; NaN without draws.

    In a draw, a system's rank is one more than the number of systems that score higher. Draws in which a
    system has no score are left out. For systems that are nearly equal such an interval is too narrow (Xie,
    Singh and Zhang 2009, JASA 104(486)): it shows how ranks move and tests nothing, which is the groups'
    part.
    """
    draws = np.stack([estimate.draws for estimate in estimates])
    draws = draws[:, ~np.isnan(draws).any(axis=0)]
    if not draws.shape[1]:
        return [(np.nan, np.nan)] * len(estimates)
    ends = ((1 - level) / 2, (1 + level) / 2)
    ranks = (1 + (draws > own).sum(axis=0) for own in draws)
    return [tuple(np.quantile(rank, ends, method="inverted_cdf").astype(float)) for rank in ranks]
