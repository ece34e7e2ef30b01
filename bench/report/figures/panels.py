"""Where the panels of a figure stand: side by side, or one below the other where a paper's column is narrow.

    placed = place([1.2, 1.5], sheet)          # inches of labels right of each panel
    placed.width, placed.body, placed.boxes    # inches; (left, bottom, width, height) of each, first on top

Left of each panel there is room for its ticks, right of it for the labels at the ends of its lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.sheets import Sheet

WIDTH, HEIGHT = 2.9, 3.5  # of a panel on a page of its own
_LEFT, _BOTTOM, _TITLE = 0.62, 0.4, 0.24
_LEFT_IN_PAPER, _BOTTOM_IN_PAPER = 0.5, 0.2
_NARROWEST = 1.05
_HEIGHT_IN_PAPER = 1.75


@dataclass(frozen=True)
class Placed:
    """Panels of one figure, in inches."""

    width: float
    body: float
    boxes: tuple[tuple[float, float, float, float], ...]


def place(names: Sequence[float], sheet: Sheet) -> Placed:
    """Panels with `names` inches of labels right of each."""
    if sheet.width is None:
        return _row(names, WIDTH, HEIGHT, _LEFT, _BOTTOM, _TITLE)
    left, bottom = _LEFT_IN_PAPER, _BOTTOM_IN_PAPER + sheet.foot
    share = (sheet.width - sum(names)) / len(names) - left
    if share >= _NARROWEST:
        return _row(names, share, _HEIGHT_IN_PAPER, left, bottom, sheet.head)
    return _column(len(names), sheet.width - left - max(names), left, bottom, sheet)


def _row(
    names: Sequence[float], width: float, height: float, left: float, bottom: float, head: float
) -> Placed:
    lefts = [left + at * (left + width) + sum(names[:at]) for at in range(len(names))]
    boxes = tuple((x, bottom, width, height) for x in lefts)
    return Placed(lefts[-1] + width + names[-1], bottom + height + head, boxes)


def _column(count: int, width: float, left: float, bottom: float, sheet: Sheet) -> Placed:
    assert sheet.width is not None
    step = bottom + _HEIGHT_IN_PAPER + sheet.head
    boxes = tuple((left, bottom + step * at, width, _HEIGHT_IN_PAPER) for at in reversed(range(count)))
    return Placed(sheet.width, step * count, boxes)
