"""The size track: accuracy of exported files against their size, and against their time on one thread.

    figure = sizes(files of one track and kind, looks)          # rows of `bench.report.sizes.size_table`

A line joins one system at several sizes. Right of each panel stand the names; what leads to them continues a
system at the accuracy of its largest file, so that smaller ones can be held against it. The front is a dotted
staircase, and what is not on it faded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
from matplotlib.axes import Axes

from bench.report import findings, sections, style, units
from bench.report.figures import panels
from bench.report.figures.pareto import chance, front_line, mark, scale
from bench.report.labels import EndLabel, at_line_ends, room
from bench.report.sheets import SCREEN, Sheet
from bench.report.sizes import FILES, FRONTS, machine_name
from bench.report.style import Look, Picture

_AXES: dict[str, tuple[str, Callable[[float], str]]] = {
    "file_bytes": ("Size of the file", units.memory),
    "exported_ms": ("Time on 10 s of speech", units.milliseconds),
}


def sizes(files: pd.DataFrame, looks: Mapping[str, Look], sheet: Sheet = SCREEN) -> Picture:
    """Draw the comparable files of one kind, of which there must be some."""
    files = named(files)
    placed = panels.place([room(files["name"])] * len(FRONTS), sheet)
    title, subtitle = findings.sizes(files), _subtitle(files)
    with style.page(title, subtitle, placed.width, placed.body, sheet) as figure:
        for cost, box in zip(FRONTS, placed.boxes, strict=True):
            axes, (name, written) = style.panel(figure, *box), _AXES[cost]
            if not sheet.captioned:
                axes.set_title(name, loc="left", size=style.BODY_PT, color=style.MUTED, pad=9)
            style.name_axes(axes, name.lower(), "UAR, %")
            points = files.assign(front=files[f"front_{cost}"])
            scale(axes, points, cost, written, box[2])
            _draw(axes, points, cost, looks)
    return figure


def named(files: pd.DataFrame) -> pd.DataFrame:
    """The rows with the start of a line's hash after names that several lines have."""
    lines = files.groupby("name")["line"].transform("nunique")
    told = files["name"] + " (" + files["line"].str[:4] + ")"
    return files.assign(name=files["name"].where(lines == 1, told))


def _lines(files: pd.DataFrame) -> list[pd.DataFrame]:
    """Each system's sizes, smallest first."""
    by_line = files.sort_values("parameters").groupby(["line", "layout", "direction"], sort=False)
    return [rows for _, rows in by_line]


def _subtitle(files: pd.DataFrame) -> str:
    first = files.iloc[0]
    count = len(sections.tested_emotions(files))
    return (
        f"UAR, %, of exported {FILES[first['weights']]} files against size and ONNX Runtime's time · "
        f"95 % intervals · dotted: the front · chance: {chance(count)} %\n"
        f"log-mels and cepstra are computed before that time · {sections.subject(files)} · "
        f"{machine_name(first)}"
    )


def _draw(axes: Axes, points: pd.DataFrame, cost: str, looks: Mapping[str, Look]) -> None:
    front_line(axes, points[points["front"]].sort_values(cost), cost)
    ends = []
    for rows in _lines(points):
        last = rows.iloc[-1]
        look = style.system_look(last["mixers"], last["direction"], looks)
        axes.plot(rows[cost], rows["uar"], color=look.faded().colour, ls=look.dash, lw=1.1, zorder=1.5)
        for _, point in rows.iterrows():
            mark(axes, point, cost, look)
        ends.append(EndLabel(last["name"], last[cost], last["uar"], look.text, look.colour))
    at_line_ends(axes, ends)
