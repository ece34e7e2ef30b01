"""Recall of every emotion by every system: a heat map with the numbers in it.

    figure = recall(rows of one comparison)

Systems best first, emotions best first on average, with the utterances behind each; UAR stands apart.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

from bench.report import findings, sections, style

_CELL_WIDTH, _CELL_HEIGHT, _NAMES, _GAP = 0.68, 0.27, 1.75, 0.12
_HEADS, _BOTTOM = 0.42, 0.14


def recall(rows: pd.DataFrame) -> Figure | None:
    """Draw the comparable systems of one comparison; None where there is none of emotions."""
    systems = rows[rows["comparable"]]
    tested = [] if systems.empty else sections.tested_emotions(systems)
    if not tested:
        return None
    means = {emotion: systems[f"recall_{emotion}"].mean() for emotion in tested}
    emotions = sorted(means, key=lambda emotion: -means[emotion])
    title, subtitle = findings.recall(systems), f"Recall, %, systems by UAR · {sections.subject(rows)}"
    width = _NAMES + _CELL_WIDTH * (len(emotions) + 1) + _GAP + 0.14
    map_height = _CELL_HEIGHT * len(systems)
    with style.page(title, subtitle, width, _BOTTOM + map_height + _HEADS) as figure:
        grid = style.panel(figure, _NAMES, _BOTTOM, _CELL_WIDTH * len(emotions), map_height)
        _map(grid, systems[[f"recall_{emotion}" for emotion in emotions]].to_numpy(dtype=float))
        support = systems["support"].iloc[0]
        _heads(
            grid,
            [f"{emotion}\n" for emotion in emotions],
            [f"n = {support[emotion]:,}" for emotion in emotions],
        )
        for row, name in enumerate(systems["name"]):
            grid.text(-0.65, row, name, ha="right", va="center_baseline", size=style.BODY_PT)
        means_left = _NAMES + _CELL_WIDTH * len(emotions) + _GAP
        column = style.panel(figure, means_left, _BOTTOM, _CELL_WIDTH, map_height)
        _map(column, systems[["uar"]].to_numpy(dtype=float), bold=True)
        _heads(column, ["UAR\n"], [""])
    return figure


def _map(axes: Axes, values: np.ndarray, bold: bool = False) -> None:
    """Cells (row, column) of fractions, shaded 0 to 1, white lines between them, the per cent written in."""
    shades = LinearSegmentedColormap.from_list("recall", style.HEAT)
    axes.pcolormesh(
        np.arange(values.shape[1] + 1) - 0.5,
        np.arange(values.shape[0] + 1) - 0.5,
        values,
        cmap=shades,
        vmin=0,
        vmax=1,
        edgecolor="white",
        linewidth=1.5,
    )
    axes.invert_yaxis()
    axes.set_axis_off()
    for (row, column), value in np.ndenumerate(values):
        colour = style.text_on(to_hex(shades(value)))
        weight = "bold" if bold else "normal"
        axes.text(
            column, row, f"{100 * value:.0f}", ha="center", va="center_baseline", color=colour, weight=weight
        )


def _heads(axes: Axes, names: list[str], notes: list[str]) -> None:
    for column, (name, note) in enumerate(zip(names, notes, strict=True)):
        axes.text(column, -0.65, name, ha="center", va="bottom", size=style.BODY_PT)
        axes.text(column, -0.65, note, ha="center", va="bottom", size=style.SMALL_PT - 0.5, color=style.MUTED)
