"""Labels beside what they name instead of a legend: at the ends of lines, and next to points.

`spread` is the one-dimensional problem: move sorted positions as little as possible (least squares) so that
neighbours keep a gap and all stay in range. Less `i·gap` it is an isotonic regression, which pooling adjacent
violators solves exactly (Barlow et al. 1972); clipping that keeps it optimal within bounds. `beside_points`
tries two dozen places around each point and takes the one that covers least, text least of all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from bench.report import style

EARLY_STEP_PT = 11.0  # between labels one above the other at ends inside the axes
LEADER_IN = 0.16  # between the axes and a label at a line's end
_EDGE_IN = 0.06  # between the longest label and the edge of the figure


@dataclass(frozen=True)
class EndLabel:
    """Text for the end of a line, in data coordinates; `colour` is the text's, `line` its leader's."""

    text: str
    x: float
    y: float
    colour: str
    line: str


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """New positions, in the order given: at least `gap` apart, within [low, high], moved as little as can be.

    Where they do not fit, the gap is what fits. Equal positions keep their order.
    """
    count = len(positions)
    gap = min(gap, (high - low) / max(count - 1, 1))
    order = np.argsort(positions, kind="stable")
    steps = gap * np.arange(count)
    level = np.clip(
        _isotonic(np.asarray(positions, dtype=float)[order] - steps), low, high - gap * (count - 1)
    )
    placed = np.empty(count)
    placed[order] = level + steps
    return placed.tolist()


def _isotonic(values: np.ndarray) -> np.ndarray:
    """The non-decreasing sequence nearest to `values` (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, size = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    return np.repeat([mean for mean, _ in blocks], [size for _, size in blocks])


def room(texts: Iterable[str]) -> float:
    """Inches to leave on the right of the axes for these labels and their leaders."""
    return LEADER_IN + max(style.measure(text) for text in texts) + _EDGE_IN


def at_line_ends(axes: Axes, labels: Sequence[EndLabel]) -> None:
    """Write `labels` to the right of the axes, each joined to the end of its line by a thin leader.

    The limits of the axes must be final.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, height = axes.get_position().size * figure.get_size_inches()
    ends = axes.transAxes.inverted().transform(
        axes.transData.transform([(label.x, label.y) for label in labels])
    )
    gap = 1.32 * style.SMALL_PT / 72 / height
    places = spread(ends[:, 1].tolist(), gap, 0.0, 1.0)
    for label, (x, y), place in zip(labels, ends, places, strict=True):
        start, stop = x + 0.05 / width, 1 + LEADER_IN / width
        axes.plot(
            [start, 1 + 0.03 / width, stop - 0.04 / width],
            [y, y, place],
            transform=axes.transAxes,
            color=label.line,
            lw=0.5,
            alpha=0.6,
            clip_on=False,
        )
        axes.text(
            stop,
            place,
            label.text,
            transform=axes.transAxes,
            color=label.colour,
            size=style.SMALL_PT,
            va="center_baseline",
        )


def at_early_ends(axes: Axes, labels: Sequence[EndLabel]) -> None:
    """Write the labels of rising lines that stop inside the axes to the left of their ends, above them.

    Where ends are close, the higher line's label stands above the lower one's.
    """
    taken = -math.inf
    for label in sorted(labels, key=lambda end: end.y):
        height = _points(axes, label) + 5
        raised = max(height, taken + EARLY_STEP_PT) - height
        taken = height + raised
        axes.annotate(
            label.text,
            (label.x, label.y),
            (-6, 5 + raised),
            textcoords="offset points",
            ha="right",
            va="center",
            color=label.colour,
            size=style.SMALL_PT,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )


def _points(axes: Axes, label: EndLabel) -> float:
    """Height of a line's end above the bottom of the figure, in points."""
    return float(axes.transData.transform((label.x, label.y))[1] * 72 / axes.figure.dpi)


@dataclass(frozen=True)
class PointLabel:
    """Text for a point with a vertical bar from `low` to `high`, in data coordinates."""

    text: str
    x: float
    y: float
    low: float
    high: float
    colour: str


@dataclass(frozen=True)
class _Place:
    """Where a label may stand: beside the point (`end` "y") or past an end of its bar; offsets in points."""

    dx: float
    dy: float
    ha: Literal["left", "center", "right"]
    end: str = "y"


_SIDE, _LINE = 6.0, 7.0
_ON_TEXT, _OFF_PAGE = 4.0, 10.0  # how much worse than on a bar
_SIDES: tuple[tuple[float, Literal["left", "right"]], ...] = ((_SIDE, "left"), (-_SIDE, "right"))
_PLACES = (  # tried in this order
    *(_Place(dx, dy, ha) for dy in (0.0, _LINE, -_LINE) for dx, ha in _SIDES),
    _Place(0.0, _LINE, "center", "high"),
    _Place(0.0, -_LINE, "center", "low"),
    *(_Place(dx, dy * _LINE, ha) for dy in (2, -2, 3, -3, 4, -4) for dx, ha in _SIDES),
    *(_Place(dx, dy, ha, end) for end, dy in (("high", _LINE), ("low", -_LINE)) for dx, ha in _SIDES),
    *(_Place(0.0, dy, "center", end) for end, dy in (("high", 2 * _LINE), ("low", -2 * _LINE))),
)


def beside_points(axes: Axes, labels: Sequence[PointLabel], lines: Sequence[Bbox] = ()) -> None:
    """Write each label next to its point, clear of other points, bars and labels; limits must be final.

    `lines`: what else to keep clear of, as flat boxes in data coordinates.
    """
    frame = axes.get_window_extent()
    taken = [box for label in labels for box in _point_boxes(axes, label)]
    taken += [_padded(axes.transData.transform_bbox(line)) for line in lines]
    written: list[Bbox] = []
    for label in labels:
        text = _text(axes, label)
        drawn = text.get_window_extent()
        boxes = [_box(axes, label, place, drawn) for place in _PLACES]
        costs = [
            _covered(box, taken)
            + _ON_TEXT * _covered(box, written)
            + _OFF_PAGE * (box.width * box.height - _overlap(box, frame))
            for box in boxes
        ]
        best = int(np.argmin(np.round(costs, 3)))
        written.append(boxes[best])
        place = _PLACES[best]
        text.xy = label.x, getattr(label, place.end)
        text.set_position((place.dx, place.dy))
        text.set_horizontalalignment(place.ha)


def _text(axes: Axes, label: PointLabel) -> Annotation:
    """The label to the right of its point, to be moved."""
    return axes.annotate(
        label.text,
        (label.x, label.y),
        (0, 0),
        textcoords="offset points",
        ha="left",
        va="center_baseline",
        color=label.colour,
        size=style.SMALL_PT,
        zorder=5,
        path_effects=[withStroke(linewidth=2, foreground="white")],
    )


def _box(axes: Axes, label: PointLabel, place: _Place, drawn: Bbox) -> Bbox:
    """Where a text that was `drawn` at its point would stand, in pixels."""
    scale = axes.figure.dpi / 72
    x, at = axes.transData.transform((label.x, label.y))
    y = axes.transData.transform((label.x, getattr(label, place.end)))[1]
    left = x + place.dx * scale - {"left": 0.0, "center": 0.5, "right": 1.0}[place.ha] * drawn.width
    up = y + place.dy * scale - at
    return Bbox.from_extents(left, drawn.y0 + up, left + drawn.width, drawn.y1 + up)


def _point_boxes(axes: Axes, label: PointLabel) -> list[Bbox]:
    """What a point covers, in pixels: its marker and its bar."""
    x, y = axes.transData.transform((label.x, label.y))
    low, high = (axes.transData.transform((label.x, end))[1] for end in (label.low, label.high))
    return [Bbox.from_extents(x - 7, y - 7, x + 7, y + 7), Bbox.from_extents(x - 1.5, low, x + 1.5, high)]


def _padded(box: Bbox) -> Bbox:
    """A line as a box that has an area."""
    return Bbox.from_extents(box.x0 - 0.5, box.y0 - 0.5, box.x1 + 0.5, box.y1 + 0.5)


def _covered(box: Bbox, taken: Sequence[Bbox]) -> float:
    """How much of the boxes taken a new one hides, each counted as a share of the smaller side crossed."""
    return sum(_overlap(box, other) / min(other.width, other.height) for other in taken)


def _overlap(box: Bbox, other: Bbox) -> float:
    """Area that two boxes share."""
    width = min(box.x1, other.x1) - max(box.x0, other.x0)
    height = min(box.y1, other.y1) - max(box.y0, other.y0)
    return max(width, 0.0) * max(height, 0.0)
