"""Recall of every emotion by every system: a heat map with the numbers in it.

    figure = recall(comparable rows of one comparison)

Systems best first, emotions best first on average, with the utterances behind each; UAR stands apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from bench.report import findings, sections, style
from bench.report.figures import heat
from bench.report.sheets import SCREEN, Sheet
from bench.report.style import Picture

_CELL_IN, _ROW_IN, _ROW_IN_PAPER = 0.68, 0.27, 0.2
_EDGE, _EDGE_IN_PAPER, _GAP = 0.12, 0.02, 0.12


def recall(systems: pd.DataFrame, sheet: Sheet = SCREEN) -> Picture:
    """Draw the comparable systems of one comparison, which must tell emotions apart."""
    means = {emotion: systems[f"recall_{emotion}"].mean() for emotion in sections.tested_emotions(systems)}
    emotions = sorted(means, key=lambda emotion: -means[emotion])
    edge, row = (_EDGE_IN_PAPER, _ROW_IN_PAPER) if sheet.captioned else (_EDGE, _ROW_IN)
    left = edge + max(style.measure(name, style.BODY_PT) for name in systems["name"]) + 0.08
    fixed, columns = left + _GAP + edge, len(emotions) + 1
    cell = _CELL_IN if sheet.width is None else (sheet.width - fixed) / columns
    size = style.SMALL_PT if sheet.captioned else style.BODY_PT
    notes = [f"n = {systems['support'].iloc[0][emotion]:,}" for emotion in emotions]
    heads = heat.Heads(emotions, notes, cell, size)
    height = row * len(systems)
    title, subtitle = findings.recall(systems), f"Recall, %, systems by UAR · {sections.subject(systems)}"
    with style.page(title, subtitle, fixed + cell * columns, edge + height + heads.room, sheet) as figure:
        grid = style.panel(figure, left, edge, cell * len(emotions), height)
        _map(grid, systems[[f"recall_{emotion}" for emotion in emotions]])
        heads.write(grid)
        heat.row_names(grid, systems["name"].tolist())
        column = style.panel(figure, left + cell * len(emotions) + _GAP, edge, cell, height)
        _map(column, systems[["uar"]], weight="bold")
        own = (["UAR"], [""], 0.0) if heads.upright else (["UAR"], [" "], cell)  # as the others stand
        heat.Heads(*own, size).write(column)
    return figure


def _map(axes: Axes, table: pd.DataFrame, weight: str = "normal") -> None:
    shares: npt.NDArray[np.float64] = table.to_numpy(dtype=float)
    texts = [["" if np.isnan(share) else f"{100 * share:.0f}" for share in row] for row in shares]
    heat.cells(axes, shares, texts, weight)
