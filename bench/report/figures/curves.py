"""Latency and memory against the length of speech: one mixer layer beside the whole encoder.

    figure = curves(profiles of one machine and network, findings.LATENCY, looks)

Both axes are logarithmic and the panels share them. A band is the 95 % interval of the median, a hollow
marker a median that did not converge. Where a line ends stand its exponent, and the length from which on it
undercuts fused softmax of its direction, ringed on that line; a curve that ran out of memory or failed says
so there, and a cross marks the last length that it reached.
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

from bench.config import STREAMS
from bench.report import curve_table, findings, style, units
from bench.report.findings import Quantity
from bench.report.labels import EndLabel, at_line_ends, room
from bench.report.style import Look
from bench.report.tables import BASELINE

PANEL_WIDTH, PANEL_HEIGHT = 2.9, 3.5
_LEFT, _BOTTOM, _PANEL_TITLE = 0.62, 0.4, 0.24
_TICK_IN = 0.36  # least distance of two ticks on the length axis
_TARGETS = {
    "mixer": "One mixer layer",
    "encoder": "Whole encoder, features to emotion",
    "model": "Whole model, waveform to emotion",
}
_PLAIN = "one forward pass"


@dataclass(frozen=True)
class _Scale:
    """What the vertical axis shows and how its ticks are written."""

    name: str
    written: Callable[[float], str]


_SCALES = {
    findings.LATENCY: _Scale("Time", units.milliseconds),
    findings.MEMORY: _Scale("Peak memory beside weights and input", units.memory),
    findings.STATE: _Scale("State that a causal stream keeps", units.memory),
}


def curves(profiles: pd.DataFrame, quantity: Quantity, looks: Mapping[str, Look]) -> Figure | None:
    """Draw `quantity` of the profiles of one machine and network; None where nothing was measured."""
    drawn = profiles[(profiles["status"] == "ok") & (profiles[quantity.value] > 0)]
    targets = [target for target in _TARGETS if (drawn["target"] == target).any()]
    if not targets:
        return None
    title = findings.cost(profiles, quantity)
    panels = [profiles[profiles["target"] == target] for target in targets]
    names = [room(_texts(panel, quantity)) for panel in panels]
    width = sum(_LEFT + PANEL_WIDTH + name for name in names)
    subtitle = "\n".join(_wrapped(part, width) for part in _subtitle(profiles, drawn, quantity))
    with style.page(title, subtitle, width, _BOTTOM + PANEL_HEIGHT + _PANEL_TITLE) as figure:
        for place, target in enumerate(targets):
            left = _LEFT + place * (_LEFT + PANEL_WIDTH) + sum(names[:place])
            axes = style.panel(figure, left, _BOTTOM, PANEL_WIDTH, PANEL_HEIGHT)
            axes.set_title(_TARGETS[target], loc="left", size=style.BODY_PT, color=style.MUTED, pad=9)
            _scale(axes, drawn, quantity)
            _draw(axes, panels[place], quantity, looks)
    return figure


def _wrapped(parts: Sequence[str], width: float) -> str:
    """Parts joined by dots, on as many lines as they need in `width` inches."""
    room = (width - 0.24) * 72 / (style.SMALL_PT * 0.57)  # mean width of a character over its size
    lines = [parts[0]]
    for part in parts[1:]:
        longer = f"{lines[-1]} · {part}"
        lines = [*lines[:-1], longer] if len(longer) <= room else [*lines, part]
    return "\n".join(lines)


def _subtitle(profiles: pd.DataFrame, drawn: pd.DataFrame, quantity: Quantity) -> list[list[str]]:
    """What is drawn, and remarks: each in parts."""
    first = profiles.iloc[0]
    length = "speech heard before" if first["work"] in STREAMS else "length of speech"
    what = f"{_SCALES[quantity].name}, {first['regime'] or _PLAIN}, against {length}"
    zero = profiles[(profiles["status"] == "ok") & (profiles[quantity.value] == 0)]
    remarks = ["bidirectional solid, causal dashed"] if drawn["direction"].nunique() > 1 else []
    remarks.append("Tᵖ: growth with length towards the end")
    if curve_table.overtakes(drawn, quantity):
        remarks.append("ring: fused softmax is undercut from there on")
    if (profiles["status"] != "ok").any():
        remarks.append("×: the last length reached")
    if quantity is findings.LATENCY and not drawn["converged"].all():
        remarks.append("hollow: did not converge")
    if len(zero):
        remarks.append(f"{units.counted(len(zero), 'point')} of 0 bytes left out")
    return [[what, first["hardware"], first["setting"]], remarks]


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
        points = _points(curve, quantity)
        if points.empty:
            continue
        look = style.system_look(curve["mixers"].iloc[0], curve["direction"].iloc[0], looks)
        _line(axes, points, quantity, look)
        _ring(axes, points, _softmax(profiles, curve, quantity), quantity, look)
        end = points.iloc[-1]
        if len(points) < len(curve):
            axes.plot(
                end["seconds"], end[quantity.value], ls="", marker="x", ms=9, mew=1.3, color=look.colour
            )
        text = _text(profiles, curve, quantity)
        label = EndLabel(text, end["seconds"], end[quantity.value], look.text, look.colour)
        labels.setdefault(layout, label)
    at_line_ends(axes, list(labels.values()))


def _texts(profiles: pd.DataFrame, quantity: Quantity) -> list[str]:
    """The labels of a panel's lines."""
    curves = [curve for _, curve in _curves(profiles) if len(_points(curve, quantity))]
    return [_text(profiles, curve, quantity) for curve in curves]


def _text(profiles: pd.DataFrame, curve: pd.DataFrame, quantity: Quantity) -> str:
    """ "RetNet  T¹·⁰³  from 41 s", and why a curve stops short."""
    points = _points(curve, quantity)
    name = str(points["name"].iloc[-1])
    slope = curve_table.exponent(points, quantity)
    crossing = curve_table.crossover(points, _softmax(profiles, curve, quantity), quantity)
    parts = [name, *([_power(slope)] if slope is not None else [])]
    parts += [curve_table.crossing_words(crossing, points)] if crossing is not None else []
    return "  ".join(filter(None, [*parts, _ending(curve)]))


def _power(exponent: float) -> str:
    """Tᵖ with the exponent written small: "T¹·⁰³"."""
    return "T" + f"{exponent:.2f}".translate(str.maketrans("0123456789.-", "⁰¹²³⁴⁵⁶⁷⁸⁹·⁻"))


def _points(curve: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    return curve[(curve["status"] == "ok") & (curve[quantity.value] > 0)]


def _softmax(profiles: pd.DataFrame, curve: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """The points of fused softmax that a curve of the same panel is held against."""
    return _points(curve_table.rival(profiles, curve, BASELINE), quantity)


def _ring(axes: Axes, points: pd.DataFrame, softmax: pd.DataFrame, quantity: Quantity, look: Look) -> None:
    """A ring on softmax's line where this one undercuts it for good, if that is within the lengths."""
    crossing = curve_table.crossover(points, softmax, quantity)
    if crossing is None or not softmax["seconds"].min() < crossing < np.inf:
        return
    lengths, costs = np.log(softmax["seconds"]), np.log(softmax[quantity.value].astype(float))
    cost = float(np.exp(np.interp(np.log(crossing), lengths, costs)))
    axes.plot(crossing, cost, marker="o", ms=8, mfc="none", mec=look.colour, mew=1.4, ls="", zorder=5)


def _curves(profiles: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Layout and rows of each curve, the bidirectional ones first."""
    groups = profiles.groupby(["direction", "layout"])
    return [(rows["layout"].iloc[0], rows.sort_values("seconds")) for _, rows in groups]


def _line(axes: Axes, points: pd.DataFrame, quantity: Quantity, look: Look) -> None:
    x = points["seconds"].to_numpy()
    front = 3 if look.colour == style.INK else 2
    axes.fill_between(x, points[quantity.low], points[quantity.high], color=look.colour, alpha=0.2, lw=0)
    axes.plot(x, points[quantity.value], color=look.colour, ls=look.dash, lw=1.3, zorder=front)
    sure = points["converged"].astype(bool) | (quantity is not findings.LATENCY)
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
    return f"{reason} at {units.seconds(first['seconds'])}"
