"""The error that a sweep states of a ratio of two medians, against which its A/A control is held.

stated([(10.0, 9.9, 10.2), (10.1, 10.0, 10.2)], aim=0.03)         # 0.03
"""

from __future__ import annotations

from collections.abc import Sequence

Median = tuple[float, float | None, float | None]  # with its 95 % interval, where there is one


def stated(medians: Sequence[Median], aim: float) -> float:
    """Relative error of the ratio of two medians.

    The half widths of their relative intervals added up; `aim` where that is wider, or a median has no
    interval (too few samples).
    """
    halves = [
        0.0 if low is None or high is None else max(high - value, value - low) / value
        for value, low, high in medians
    ]
    return max(aim, sum(halves))
