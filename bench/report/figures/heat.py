"""Heat maps with the numbers in them: cells shaded by a fraction, heads above the columns.

    cells(axes, values, texts)                     # (row, column) fractions; what is written in each cell
    Heads(["angry", "sad"], ["n = 192", "n = 96"], cell=0.6).write(axes)

Heads that are wider than their column stand upright.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex

from bench.report import style

_SHADES = LinearSegmentedColormap.from_list("heat", style.HEAT)
_PAD_IN = 0.05  # between a head and the cells, and between a head and the next one
_NOTE_IN = 0.14


def cells(
    axes: Axes, values: npt.NDArray[np.float64], texts: Sequence[Sequence[str]], weight: str = "normal"
) -> None:
    """Cells (row, column) of fractions shaded 0 to 1, NaN as 0, white lines between them; rows from the top.

    A text of two lines has its second one small.
    """
    rows, columns = values.shape
    shown = np.nan_to_num(values)
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    axes.pcolormesh(*edges, shown, cmap=_SHADES, vmin=0, vmax=1, edgecolor="white", linewidth=1.2)
    axes.invert_yaxis()
    axes.set_axis_off()
    for (row, column), value in np.ndenumerate(shown):
        colour = style.text_on(to_hex(_SHADES(value)))
        first, _, second = texts[row][column].partition("\n")
        _write(axes, column, row - (0.19 if second else 0.0), first, colour, style.BODY_PT, weight)
        _write(axes, column, row + 0.23, second, colour, style.SMALL_PT, weight)


def _write(axes: Axes, x: float, y: float, text: str, colour: str, size: float, weight: str) -> None:
    if text:
        axes.text(x, y, text, ha="center", va="center_baseline", color=colour, size=size, weight=weight)


@dataclass(frozen=True)
class Heads:
    """Names above columns `cell` inches wide, a note below each (maybe ""), and their size in points."""

    names: Sequence[str]
    notes: Sequence[str]
    cell: float
    size: float = style.BODY_PT

    @property
    def upright(self) -> bool:
        """Whether some name is wider than its column."""
        return any(style.measure(name, self.size) + _PAD_IN > self.cell for name in self.names)

    @property
    def room(self) -> float:
        """Inches that they take above the cells."""
        if self.upright:
            return 2 * _PAD_IN + max(style.measure(text, self.size) for text in self._lines)
        return _PAD_IN + _NOTE_IN * (2 if any(self.notes) else 1)

    @property
    def _lines(self) -> list[str]:
        """Name and note in one line each."""
        pairs = zip(self.names, self.notes, strict=True)
        return [f"{name}, {note}" if note else name for name, note in pairs]

    def write(self, axes: Axes) -> None:
        """Write them above the cells of a panel."""
        above = 72 * _PAD_IN
        if self.upright:
            for column, text in enumerate(self._lines):
                _head(axes, column, text, above, self.size, style.INK, rotation=90)
            return
        step = 72 * _NOTE_IN if any(self.notes) else 0
        for column, (name, note) in enumerate(zip(self.names, self.notes, strict=True)):
            _head(axes, column, name, above + step, self.size, style.INK)
            _head(axes, column, note, above, style.SMALL_PT, style.MUTED)


def _head(
    axes: Axes, column: int, text: str, above: float, size: float, colour: str, rotation: float = 0
) -> None:
    axes.annotate(
        text,
        (column, -0.5),
        (0, above),
        textcoords="offset points",
        ha="center",
        va="bottom",
        size=size,
        color=colour,
        rotation=rotation,
        annotation_clip=False,
    )


def row_names(axes: Axes, names: Sequence[str]) -> None:
    """Names of the rows, left of the cells."""
    for row, name in enumerate(names):
        axes.annotate(
            name,
            (-0.5, row),
            (-5, 0),
            textcoords="offset points",
            ha="right",
            va="center_baseline",
            size=style.BODY_PT,
            annotation_clip=False,
        )
