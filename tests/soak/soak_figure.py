"""The figure of a long run: what was held at every moment, and the rests that the verdict is taken from.

    figure = draw(table, found)         # save it with `bench.report.figures.saving.save`

Faint lines are samples, marks what was held at rest before each round; the line through them is the slope
that was found, from where the warm-up ends.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator
from soak_verdict import QUANTITIES, Verdict, at_rest, warm

from bench.report import style, units
from bench.report.labels import EndLabel, at_line_ends, room
from bench.report.style import Look, Picture

PANELS = {  # title: fields, with the name at the end of the line
    "Memory": {"own_bytes": "the process", "children_bytes": "its children"},
    "Handles, threads, children": {"handles": "file handles", "threads": "threads", "children": "children"},
    "Files left": {"files": "in its folder", "shared": "in shared memory"},
}
LOOKS = (style.MIXERS["retnet"], style.MIXERS["fox"], style.MIXERS["mamba2"])
WIDTH_IN, LEFT_IN, PANEL_IN = 5.2, 0.62, (1.7, 1.25, 1.0)
GAP_IN, BOTTOM_IN, HEAD_IN = 0.42, 0.25, 0.24
STEPS_S = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400)  # between ticks


def draw(table: pd.DataFrame, found: Verdict) -> Picture:
    """Three panels above each other, with the time of the run across."""
    names = room(name for fields in PANELS.values() for name in fields.values())
    body = BOTTOM_IN + sum(PANEL_IN) + GAP_IN * (len(PANEL_IN) - 1) + HEAD_IN
    with style.page(found.finding(), _circumstances(table), LEFT_IN + WIDTH_IN + names, body) as figure:
        bottom = BOTTOM_IN + sum(PANEL_IN[1:]) + GAP_IN * (len(PANEL_IN) - 1)
        for (title, fields), height, after in zip(
            PANELS.items(), PANEL_IN, (*PANEL_IN[1:], 0.0), strict=True
        ):
            axes = style.panel(figure, LEFT_IN, bottom, WIDTH_IN, height)
            axes.set_title(title, loc="left", size=style.BODY_PT, color=style.MUTED, pad=6)
            _panel(axes, table, found, fields)
            axes.tick_params(labelbottom=after == 0.0)
            bottom -= after + GAP_IN
    return figure


def _circumstances(table: pd.DataFrame) -> str:
    parts = [
        "training, profiling and reporting over and over in one process",
        f"{units.seconds(60 * round(table['seconds'].max() / 60))}, one sample a second",
        "faint: samples",
        "marks: at rest before a round",
        "lines: their slope after the warm-up",
    ]
    return " · ".join(parts)


def _panel(axes: Axes, table: pd.DataFrame, found: Verdict, fields: dict[str, str]) -> None:
    """Samples, rests and slopes of some quantities, each named at its end."""
    rests, ends = at_rest(table), []
    end = table["seconds"].max()
    for (field, name), look in zip(fields.items(), LOOKS, strict=False):
        axes.plot(table["seconds"], table[field], color=look.faded().colour, lw=0.6, zorder=1)
        axes.plot(rests["seconds"], rests[field], ls="", zorder=3, **look.marker_style(3.0))
        ends.append(EndLabel(name, end, float(table[field].iloc[-1]), look.text, look.colour))
        _slope(axes, rests, found, field, look)
    axes.set_xlim(0, end)
    axes.set_ylim(0, 1.08 * max(1, table[list(fields)].to_numpy().max()))
    memory = fields.keys() <= {"own_bytes", "children_bytes"}
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=not memory))
    axes.xaxis.set_major_locator(
        MultipleLocator(next((step for step in STEPS_S if end / step <= 7), STEPS_S[-1]))
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.seconds(value)))
    if memory:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: units.memory(value)))
    style.rule(axes)
    at_line_ends(axes, ends)


def _slope(axes: Axes, rests: pd.DataFrame, found: Verdict, field: str, look: Look) -> None:
    """The line of a reading, through the middle of the rests that it was taken from."""
    settled = warm(rests)
    for reading in found.readings:
        if reading.quantity.field == field:
            rounds = settled.index.to_numpy(dtype=float)
            middle = settled[field].median() + reading.slope * (rounds - np.median(rounds))
            axes.plot(settled["seconds"], middle, color=look.text, lw=1.2, zorder=4)


assert {field for fields in PANELS.values() for field in fields} == {each.field for each in QUANTITIES}
