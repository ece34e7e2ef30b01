"""One row a system: names on the left, a panel of intervals, columns of numbers on the right.

    laid = lay(names, [Column("adjusted p", ["0.049", "1.000"])], sheet)
    with style.page(title, subtitle, laid.width, laid.body, sheet) as figure:
        axes = laid.panel(figure)            # row i at height i, the first on top
        axes.plot([0.01, 0.06], [0, 0])
        hold(axes, [0.01, 0.06])

Columns that would leave the panel too narrow on a paper's sheet are left out, the first ones first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.report import style
from bench.report.sheets import Sheet
from bench.report.style import Picture

_PANEL_IN, _NARROWEST_IN = 3.6, 1.0
_ROW_IN, _ROW_IN_PAPER = 0.29, 0.21
_HEAD_IN, _BOTTOM_IN, _EDGE_IN = 0.3, 0.36, 0.12
_GAP_IN = 0.14  # between the panel and a column
_TICK_IN = 0.45


@dataclass(frozen=True)
class Column:
    """Text beside every row, and its head."""

    head: str
    texts: Sequence[str]

    @property
    def width(self) -> float:
        """Inches."""
        return max(style.measure(text) for text in (self.head, *self.texts))


@dataclass(frozen=True)
class Laid:
    """The parts of such a figure, in inches."""

    names: Sequence[str]
    columns: Sequence[Column]
    left: float
    bottom: float
    across: float
    height: float
    edge: float

    @property
    def width(self) -> float:
        """Of the figure."""
        return self.left + self.across + sum(column.width + _GAP_IN for column in self.columns) + self.edge

    @property
    def body(self) -> float:
        """Of the figure below its headline."""
        return self.bottom + self.height + _HEAD_IN

    def panel(self, figure: Picture) -> Axes:
        """The panel with names and columns written beside it; its horizontal limits are still to be set."""
        axes = style.panel(figure, self.left, self.bottom, self.across, self.height)
        axes.set_ylim(len(self.names) - 0.5, -0.5)
        axes.set_yticks(range(len(self.names)), self.names, size=style.BODY_PT)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color=style.FAINT, lw=0.5)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(
            MaxNLocator(nbins=max(2, int(self.across / _TICK_IN)), steps=[1, 2, 5, 10])
        )
        right = self.across
        for column in self.columns:
            right += _GAP_IN + column.width
            self._write(axes, column, right / self.across)
        return axes

    def _write(self, axes: Axes, column: Column, x: float) -> None:
        """A column, flush right at `x` of the panel's width."""
        place = axes.get_yaxis_transform()
        for row, text in enumerate(column.texts):
            axes.text(x, row, text, transform=place, ha="right", va="center_baseline", size=style.SMALL_PT)
        above = 1 + 0.1 / self.height
        axes.text(
            x,
            above,
            column.head,
            transform=axes.transAxes,
            ha="right",
            size=style.SMALL_PT,
            color=style.MUTED,
        )


def lay(names: Sequence[str], columns: Sequence[Column], sheet: Sheet) -> Laid:
    """Where names, panel and columns stand."""
    edge = 0.02 if sheet.captioned else _EDGE_IN
    left = edge + max(style.measure(name, style.BODY_PT) for name in names) + 0.08
    height = (_ROW_IN_PAPER if sheet.captioned else _ROW_IN) * len(names)
    bottom = (0.2 if sheet.captioned else _BOTTOM_IN) + sheet.foot
    kept, across = list(columns), _PANEL_IN
    if sheet.width is not None:
        across = _left_over(sheet.width - left - edge, kept)
        while kept and across < _NARROWEST_IN:
            kept = kept[1:]
            across = _left_over(sheet.width - left - edge, kept)
    return Laid(names, kept, left, bottom, across, height, edge)


def _left_over(room: float, columns: Sequence[Column]) -> float:
    return room - sum(column.width + _GAP_IN for column in columns)


def hold(axes: Axes, *columns: pd.Series | Sequence[float]) -> None:
    """Set horizontal limits that hold all values, NaN left out, with a margin."""
    values = np.concatenate([np.asarray(column, dtype=float) for column in columns])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.04 * (high - low) or 0.01
    axes.set_xlim(low - margin, high + margin)
