"""Latency and memory against the length of speech: one mixer layer beside the whole encoder.

    figure = curves(profiles of one machine and network, findings.LATENCY, looks)

Both axes are logarithmic and the panels share them. A band is the 95 % interval of the median, a hollow
marker a median that did not converge; a curve that ran out of memory or failed says so where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.report import findings, style, units
from bench.report.findings import Quantity
from bench.report.labels import EndLabel, at_early_ends, at_line_ends, room
from bench.report.style import Look

PANEL_WIDTH, PANEL_HEIGHT = 2.9, 3.5
_LEFT, _BOTTOM, _PANEL_TITLE = 0.62, 0.4, 0.24
_TICK_IN = 0.36  # least distance of two ticks on the length axis
_TARGETS = {"mixer": "One mixer layer", "encoder": "Whole encoder, log-mel to emotion"}


@dataclass(frozen=True)
class _Scale:
    """What the vertical axis shows and how its ticks are written."""

    name: str
    written: Callable[[float], str]


_SCALES = {
    findings.LATENCY: _Scale("Time of one forward pass", units.milliseconds),
    findings.MEMORY: _Scale("Peak memory beside weights and input", units.memory),
}


def curves(profiles: pd.DataFrame, quantity: Quantity, looks: Mapping[str, Look]) -> Figure | None:
    """Draw `quantity` of the profiles of one machine and network; None where nothing was measured."""
    drawn = profiles[(profiles["status"] == "ok") & (profiles[quantity.value] > 0)]
    targets = [target for target in _TARGETS if (drawn["target"] == target).any()]
    if not targets:
        return None
    title, subtitle = findings.cost(profiles, quantity), _subtitle(profiles, drawn, quantity)
    names = [room(drawn.loc[drawn["target"] == target, "name"]) for target in targets]
    width = sum(_LEFT + PANEL_WIDTH + name for name in names)
    with style.page(title, subtitle, width, _BOTTOM + PANEL_HEIGHT + _PANEL_TITLE) as figure:
        for place, target in enumerate(targets):
            left = _LEFT + place * (_LEFT + PANEL_WIDTH) + sum(names[:place])
            axes = style.panel(figure, left, _BOTTOM, PANEL_WIDTH, PANEL_HEIGHT)
            axes.set_title(_TARGETS[target], loc="left", size=style.BODY_PT, color=style.MUTED, pad=9)
            _scale(axes, drawn, quantity)
            _draw(axes, profiles[profiles["target"] == target], quantity, looks)
    return figure


def _subtitle(profiles: pd.DataFrame, drawn: pd.DataFrame, quantity: Quantity) -> str:
    first = profiles.iloc[0]
    lines = [f"{_SCALES[quantity].name} against length of speech · {first['hardware']} · {first['setting']}"]
    zero = profiles[(profiles["status"] == "ok") & (profiles[quantity.value] == 0)]
    remarks = ["bidirectional solid, causal dashed"] if drawn["direction"].nunique() > 1 else []
    if quantity is findings.LATENCY and not drawn["converged"].all():
        remarks.append("hollow: did not converge")
    if len(zero):
        remarks.append(f"{units.counted(len(zero), 'point')} of 0 bytes left out")
    return "\n".join([*lines, *([" · ".join(remarks)] if remarks else [])])


def _scale(axes: Axes, drawn: pd.DataFrame, quantity: Quantity) -> None:
    """Logarithmic axes with human ticks, limits from all panels' data."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    lengths = sorted(drawn["seconds"].unique())
    axes.set_xlim(lengths[0] / 1.12, lengths[-1] * 1.12)
    low, high = drawn[quantity.low].min(), drawn[quantity.high].max()
    axes.set_ylim(low / 1.25, high * 1.25)
    decades = np.log10(axes.get_xlim()[1] / axes.get_xlim()[0])
    axes.xaxis.set_major_locator(FixedLocator(thinned(lengths, decades * _TICK_IN / PANEL_WIDTH)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.seconds(value)))
    axes.yaxis.set_major_locator(FixedLocator(round_values(low / 1.25, high * 1.25)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _SCALES[quantity].written(value)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color=style.FAINT, lw=0.5)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.spines["bottom"].set_bounds(lengths[0], lengths[-1])


def thinned(values: Sequence[float], step: float) -> list[float]:
    """The values that leave `step` decades between them, counted from the last one."""
    kept: list[float] = []
    for value in sorted(values, reverse=True):
        if not kept or np.log10(kept[-1] / value) >= step:
            kept.append(value)
    return kept[::-1]


def round_values(low: float, high: float) -> list[float]:
    """Ticks for a logarithmic axis from `low` to `high`: the finest of the ladders with at most seven."""
    ladders = ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3))
    choices = (_ladder(steps, low, high) for steps in ladders)
    return next((values for values in choices if len(values) <= 7), _ladder((1,), low, high))


def _ladder(steps: Sequence[float], low: float, high: float) -> list[float]:
    """Powers of ten times `steps`, in [low, high]."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    values = [step * 10.0**power for power, step in product(powers, steps)]
    return [value for value in values if low <= value <= high]


def _draw(axes: Axes, profiles: pd.DataFrame, quantity: Quantity, looks: Mapping[str, Look]) -> None:
    """All curves of a panel; a layout that is there in both directions is labelled once."""
    labels: dict[str, EndLabel] = {}
    for layout, curve in _curves(profiles):
        points = curve[(curve["status"] == "ok") & (curve[quantity.value] > 0)]
        if points.empty:
            continue
        look = style.system_look(curve["mixers"].iloc[0], curve["direction"].iloc[0], looks)
        _line(axes, points, quantity, look)
        end = points.iloc[-1]
        label = EndLabel(
            end["name"] + _ending(curve), end["seconds"], end[quantity.value], look.text, look.colour
        )
        labels.setdefault(layout, label)
    last = max(label.x for label in labels.values())
    at_line_ends(axes, [label for label in labels.values() if label.x == last])
    at_early_ends(axes, [label for label in labels.values() if label.x < last])


def _curves(profiles: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Layout and rows of each curve, the bidirectional ones first."""
    groups = profiles.groupby(["direction", "layout"])
    return [(rows["layout"].iloc[0], rows.sort_values("seconds")) for _, rows in groups]


def _line(axes: Axes, points: pd.DataFrame, quantity: Quantity, look: Look) -> None:
    x = points["seconds"].to_numpy()
    front = 3 if look.colour == style.INK else 2
    axes.fill_between(x, points[quantity.low], points[quantity.high], color=look.colour, alpha=0.2, lw=0)
    axes.plot(x, points[quantity.value], color=look.colour, ls=look.dash, lw=1.3, zorder=front)
    sure = points["converged"].astype(bool) | (quantity is findings.MEMORY)
    for some, hollow in ((sure, False), (~sure, True)):
        marks = look.marker_style(4.8, hollow)
        axes.plot(x[some], points.loc[some, quantity.value], ls="", zorder=front, **marks)


def _ending(curve: pd.DataFrame) -> str:
    """Why a curve stops short, for its label."""
    stopped = curve[curve["status"] != "ok"]
    if stopped.empty:
        return ""
    first = stopped.iloc[0]
    reason = "out of memory" if first["status"] == "oom" else first["status"]
    return f"\n{reason} at {units.seconds(first['seconds'])}"
