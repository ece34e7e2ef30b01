"""Accuracy against latency: which systems are worth their time.

    points = pareto_points(rows of one comparison, profiles, hardware)
    figure = pareto(points, looks)

A point is on the Pareto front where no other system is at least as fast and as accurate, and better in one of
both. The others are faded. Bars are 95 % intervals of UAR.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.evidence.pareto import on_front
from bench.report import findings, sections, style, units
from bench.report.figures.curves import round_values
from bench.report.labels import PointLabel, beside_points
from bench.report.style import Look

WIDTH, PANEL_HEIGHT = 7.0, 3.7
_LEFT, _BOTTOM, _RIGHT = 0.42, 0.38, 0.25


def pareto_points(rows: pd.DataFrame, profiles: pd.DataFrame, hardware: str) -> pd.DataFrame:
    """Comparable systems with a UAR and a latency at 10 s.

    Columns: those of the accuracy table, median_ms, low_ms, high_ms and `front`.
    """
    points = []
    for _, row in rows[rows["comparable"] & rows["uar"].notna()].iterrows():
        cost = sections.encoder_cost(row, hardware, sections.LATENCY_SECONDS, profiles)
        if cost is not None:
            points.append({**row, **cost[["median_ms", "low_ms", "high_ms"]]})
    table = pd.DataFrame(points)
    return table.assign(front=on_front(table["median_ms"], table["uar"])) if points else table


def pareto(points: pd.DataFrame, hardware: str, looks: Mapping[str, Look]) -> Figure:
    """Draw UAR against the encoder's latency at 10 s of speech on `hardware`."""
    title = findings.pareto(points)
    subtitle = (
        f"UAR, %, against time of the encoder on 10 s of speech · 95 % intervals · {_chance(points)}\n"
        f"{sections.subject(points)} · {hardware}"
    )
    with style.page(title, subtitle, WIDTH, _BOTTOM + PANEL_HEIGHT) as figure:
        axes = style.panel(figure, _LEFT, _BOTTOM, WIDTH - _LEFT - _RIGHT, PANEL_HEIGHT)
        _scale(axes, points)
        _front_line(axes, points[points["front"]].sort_values("median_ms"))
        for _, point in points.sort_values("front").iterrows():
            _mark(axes, point, style.system_look(point["mixers"], point["direction"], looks))
        beside_points(axes, [_label(point, looks) for _, point in points.sort_values("uar").iterrows()])
    return figure


def _chance(points: pd.DataFrame) -> str:
    return f"chance: {units.percent(1 / len(sections.tested_emotions(points)))} %"


def _scale(axes: Axes, points: pd.DataFrame) -> None:
    """Logarithmic latency, linear UAR; limits from the bars."""
    low, high = points["median_ms"].min() / 1.3, points["median_ms"].max() * 1.3
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ends = points[["uar", "uar_low", "uar_high"]].to_numpy()
    axes.set_ylim(np.nanmin(ends) - 0.015, np.nanmax(ends) + 0.02)
    axes.xaxis.set_major_locator(FixedLocator(round_values(low, high)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.milliseconds(value)))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    axes.grid(axis="y", color=style.FAINT, lw=0.5)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _front_line(axes: Axes, front: pd.DataFrame) -> None:
    """The front as a staircase: the best UAR to be had within each latency."""
    x, y = front["median_ms"].to_numpy(), front["uar"].to_numpy()
    right = axes.get_xlim()[1]
    axes.step(
        np.r_[x, right], np.r_[y, y[-1]], where="post", color=style.MUTED, lw=0.8, ls=(0, (1, 2)), zorder=1
    )


def _mark(axes: Axes, point: pd.Series, look: Look) -> None:
    """One system: its bar (dashed where causal) and its marker, faded off the front."""
    shown, order = (look, 3) if point["front"] else (look.faded(), 2)
    x, ends = point["median_ms"], [point["uar_low"], point["uar_high"]]
    axes.plot([x, x], ends, color=shown.colour, ls=look.dash, lw=1.2 if point["front"] else 0.9, zorder=order)
    axes.plot([x], [point["uar"]], ls="", zorder=order + 0.5, **shown.marker_style(7))


def _label(point: pd.Series, looks: Mapping[str, Look]) -> PointLabel:
    colour = style.system_look(point["mixers"], point["direction"], looks).text
    if not point["front"]:
        colour = style.blend(colour, "white", 0.3)
    return PointLabel(
        point["name"], point["median_ms"], point["uar"], point["uar_low"], point["uar_high"], colour
    )
