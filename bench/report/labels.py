"""Labels beside what they name instead of a legend: at the ends of lines, and next to points.

`spread` is the one-dimensional problem: move sorted positions as little as possible (least squares) so that
neighbours keep a gap and all stay in range. Less `i·gap` it is an isotonic regression, which pooling adjacent
violators solves exactly (Barlow et al. 1972); clipping that keeps it optimal within bounds. `beside_points`
tries twelve places around each point and takes the one that covers least.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from bench.report import style

EARLY_STEP_PT = 11.0  # between labels one above the other at ends inside the axes
LEADER_IN = 0.16  # between the axes and a label at a line's end


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
    return LEADER_IN + max(len(text) for text in texts) * 0.62 * style.SMALL_PT / 72


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
    ha: str
    end: str = "y"


_SIDE, _LINE = 6.0, 7.0
_PLACES = (  # tried in this order
    *(_Place(dx, dy, ha) for dy in (0.0, _LINE, -_LINE) for dx, ha in ((_SIDE, "left"), (-_SIDE, "right"))),
    _Place(0.0, _LINE, "center", "high"),
    _Place(0.0, -_LINE, "center", "low"),
    *(
        _Place(dx, dy, ha)
        for dy in (2 * _LINE, -2 * _LINE)
        for dx, ha in ((_SIDE, "left"), (-_SIDE, "right"))
    ),
)


def beside_points(axes: Axes, labels: Sequence[PointLabel]) -> None:
    """Write each label next to its point, clear of other points, bars and labels; limits must be final."""
    frame = axes.get_window_extent()
    taken = [box for label in labels for box in _point_boxes(axes, label)]
    for label in labels:
        texts = [_text_at(axes, label, place) for place in _PLACES]
        boxes = [text.get_window_extent() for text in texts]
        costs = [_covered(box, taken) + 10 * (box.width * box.height - _overlap(box, frame)) for box in boxes]
        best = int(np.argmin(np.round(costs, 3)))
        taken.append(boxes[best])
        for index, text in enumerate(texts):
            if index != best:
                text.remove()


def _text_at(axes: Axes, label: PointLabel, place: _Place) -> Annotation:
    return axes.annotate(
        label.text,
        (label.x, getattr(label, place.end)),
        (place.dx, place.dy),
        textcoords="offset points",
        ha=place.ha,
        va="center_baseline",
        color=label.colour,
        size=style.SMALL_PT,
        zorder=5,
        path_effects=[withStroke(linewidth=2, foreground="white")],
    )


def _point_boxes(axes: Axes, label: PointLabel) -> list[Bbox]:
    """What a point covers, in pixels: its marker and its bar."""
    x, y = axes.transData.transform((label.x, label.y))
    low, high = (axes.transData.transform((label.x, end))[1] for end in (label.low, label.high))
    return [Bbox.from_extents(x - 7, y - 7, x + 7, y + 7), Bbox.from_extents(x - 1.5, low, x + 1.5, high)]


def _covered(box: Bbox, taken: Sequence[Bbox]) -> float:
    """How much of the boxes taken a new one hides, each counted as a share of the smaller side crossed."""
    return sum(_overlap(box, other) / min(other.width, other.height) for other in taken)


def _overlap(box: Bbox, other: Bbox) -> float:
    """Area that two boxes share."""
    shared = Bbox.intersection(box, other)
    return 0.0 if shared is None else float(shared.width * shared.height)
