"""Accuracy against what it costs: which systems are worth their time, or their memory.

    points = pareto_points(rows of one comparison, profiles, hardware, findings.LATENCY)
    figure = pareto(points, hardware, looks, findings.LATENCY)

A point is on the Pareto front where no other system costs no more and is as accurate, and better in one of
both. The others are faded. Bars are 95 % intervals of UAR.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from bench.evidence.pareto import on_front
from bench.report import findings, sections, style, units
from bench.report.figures.lines import round_values
from bench.report.findings import Quantity
from bench.report.labels import PointLabel, beside_points
from bench.report.sheets import SCREEN, Sheet
from bench.report.style import Look, Picture

_WIDTH, _HEIGHT = 7.0, 3.7
_HEIGHT_IN_PAPER = 2.2
_LEFT, _BOTTOM, _RIGHT = 0.42, 0.38, 0.25
_BOTTOM_IN_PAPER, _RIGHT_IN_PAPER = 0.2, 0.05
_TICK_IN = 0.5  # least mean distance of two ticks on the cost axis


@dataclass(frozen=True)
class _Cost:
    """How a cost is called and written."""

    name: str
    written: Callable[[float], str]


_COSTS = {
    findings.LATENCY: _Cost("time", units.milliseconds),
    findings.MEMORY: _Cost("peak memory", units.memory),
}


def pareto_points(
    rows: pd.DataFrame, profiles: pd.DataFrame, hardware: str, quantity: Quantity = findings.LATENCY
) -> pd.DataFrame:
    """Comparable systems with a UAR and that cost at 10 s.

    Columns: those of the accuracy table, those of the quantity, and `front`.
    """
    points = []
    for _, row in rows[rows["comparable"] & rows["uar"].notna()].iterrows():
        cost = sections.encoder_cost(row, hardware, sections.LATENCY_SECONDS, profiles)
        if cost is not None and cost[quantity.value] > 0:
            points.append({**row, **cost[[*dict.fromkeys((quantity.value, quantity.low, quantity.high))]]})
    table = pd.DataFrame(points)
    return table.assign(front=on_front(table[quantity.value], table["uar"])) if points else table


def pareto(
    points: pd.DataFrame,
    hardware: str,
    looks: Mapping[str, Look],
    quantity: Quantity = findings.LATENCY,
    sheet: Sheet = SCREEN,
) -> Picture:
    """Draw UAR against the encoder's cost at 10 s of speech on `hardware`; `points` must not be empty."""
    subtitle = (
        f"UAR, %, against {_COSTS[quantity].name} of the encoder on 10 s of speech · 95 % intervals · "
        f"chance: {chance(len(sections.tested_emotions(points)))} %\n{sections.subject(points)} · {hardware}"
    )
    width = sheet.width or _WIDTH
    bottom, right, height = _BOTTOM, _RIGHT, _HEIGHT
    if sheet.captioned:
        bottom, right, height = _BOTTOM_IN_PAPER + sheet.foot, _RIGHT_IN_PAPER, _HEIGHT_IN_PAPER
    title = findings.pareto(points, quantity)
    with style.page(title, subtitle, width, bottom + height + sheet.head, sheet) as figure:
        axes = style.panel(figure, _LEFT, bottom, width - _LEFT - right, height)
        style.name_axes(axes, f"{_COSTS[quantity].name} of the encoder on 10 s of speech", "UAR, %")
        cost = quantity.value
        scale(axes, points, cost, _COSTS[quantity].written, width - _LEFT - right)
        stairs = front_line(axes, points[points["front"]].sort_values(cost), cost)
        for _, point in points.sort_values("front").iterrows():
            mark(axes, point, cost, style.system_look(point["mixers"], point["direction"], looks))
        labels = [_label(point, quantity, looks) for _, point in points.sort_values("uar").iterrows()]
        beside_points(axes, labels, stairs)
    return figure


def chance(emotions: int) -> str:
    """The UAR of guessing among so many emotions, in per cent."""
    return units.percent(1 / emotions)


def scale(axes: Axes, points: pd.DataFrame, cost: str, written: Callable[[float], str], width: float) -> None:
    """Logarithmic cost (a column), linear UAR; limits from the bars. `width` of the panel in inches."""
    spread = max(1.08, min(1.3, (points[cost].max() / points[cost].min()) ** 0.3))
    low, high = points[cost].min() / spread, points[cost].max() * spread
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ends = points[["uar", "uar_low", "uar_high"]].to_numpy()
    axes.set_ylim(np.nanmin(ends) - 0.015, np.nanmax(ends) + 0.02)
    ticks = round_values(low, high, most=min(7, int(width / _TICK_IN)))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    style.rule(axes)


def front_line(axes: Axes, front: pd.DataFrame, cost: str) -> list[Bbox]:
    """Draw the front as a staircase, the best UAR to be had within each cost; its treads as flat boxes."""
    x, y = front[cost].to_numpy(), front["uar"].to_numpy()
    ends = np.r_[x[1:], axes.get_xlim()[1]]
    stairs = np.r_[x, ends[-1]], np.r_[y, y[-1]]
    axes.step(*stairs, where="post", color=style.MUTED, lw=0.8, ls=(0, (1, 2)), zorder=1)
    return [Bbox.from_extents(*tread) for tread in zip(x, y, ends, y, strict=True)]


def mark(axes: Axes, point: pd.Series, cost: str, look: Look) -> None:
    """One system: its bar (dashed where causal) and its marker, faded off the front."""
    shown, order = (look, 3) if point["front"] else (look.faded(), 2)
    x, ends = point[cost], [point["uar_low"], point["uar_high"]]
    axes.plot([x, x], ends, color=shown.colour, ls=look.dash, lw=1.2 if point["front"] else 0.9, zorder=order)
    axes.plot([x], [point["uar"]], ls="", zorder=order + 0.5, **shown.marker_style(7))


def _label(point: pd.Series, quantity: Quantity, looks: Mapping[str, Look]) -> PointLabel:
    colour = style.system_look(point["mixers"], point["direction"], looks).text
    place = point[quantity.value], point["uar"], point["uar_low"], point["uar_high"]
    return PointLabel(point["name"], *place, colour)
