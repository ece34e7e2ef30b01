"""Cost against the length of speech on logarithmic axes: what every such panel is made of.

    scale(axes, drawn, findings.LATENCY, width=2.9)
    draw(axes, profiles, findings.LATENCY, looks, texts=label_of_a_curve, ring=True)

A band is the 95 % interval of the median, a hollow marker a median that did not converge, a cross the last
length of a curve that ran out of memory or failed. A ring on fused softmax's line marks where another one
undercuts it for good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.report import curve_table, findings, style, units
from bench.report.curve_table import Curves
from bench.report.findings import Quantity
from bench.report.labels import EndLabel, at_line_ends
from bench.report.style import Look
from bench.report.tables import BASELINE

_TICK_IN = 0.36  # least distance of two ticks on the length axis


@dataclass(frozen=True)
class Scale:
    """What the vertical axis shows and how its ticks are written."""

    name: str
    short: str
    written: Callable[[float], str]


SCALES = {
    findings.LATENCY: Scale("Time", "time", units.milliseconds),
    findings.MEMORY: Scale("Peak memory beside weights and input", "peak memory", units.memory),
    findings.STATE: Scale("State that a causal stream keeps", "state kept", units.memory),
}


def scale(axes: Axes, drawn: pd.DataFrame, quantity: Quantity, width: float) -> None:
    """Logarithmic axes with human ticks that hold all of `drawn`; `width` of the panel in inches."""
    lengths = sorted(drawn["seconds"].unique())
    low, high = drawn[quantity.low].min() / 1.25, drawn[quantity.high].max() * 1.25
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(lengths[0] / 1.12, lengths[-1] * 1.12)
    axes.set_ylim(low, high)
    decades = np.log10(axes.get_xlim()[1] / axes.get_xlim()[0])
    axes.xaxis.set_major_locator(FixedLocator(thinned(lengths, decades * _TICK_IN / width)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: units.seconds(value)))
    axes.yaxis.set_major_locator(FixedLocator(round_values(low, high)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: SCALES[quantity].written(value)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    style.rule(axes)
    axes.spines["bottom"].set_bounds(lengths[0], lengths[-1])


def thinned(values: Sequence[float], step: float) -> list[float]:
    """The values that leave `step` decades between them, counted from the last one."""
    kept: list[float] = []
    for value in sorted(values, reverse=True):
        if not kept or np.log10(kept[-1] / value) >= step:
            kept.append(value)
    return kept[::-1]


def round_values(low: float, high: float, most: int = 7) -> list[float]:
    """Ticks for a logarithmic axis from `low` to `high`: the finest of the ladders with at most `most`."""
    ladders = (
        (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9),
        (1, 1.5, 2, 3, 4, 5, 7),
        (1, 2, 3, 5),
        (1, 2, 5),
        (1, 3),
    )
    choices = (_ladder(steps, low, high) for steps in ladders)
    return next((values for values in choices if len(values) <= most), _ladder((1,), low, high))


def _ladder(steps: Sequence[float], low: float, high: float) -> list[float]:
    """Powers of ten times `steps`, in [low, high]."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    values = [step * 10.0**power for power, step in product(powers, steps)]
    return [value for value in values if low <= value <= high]


def marks(profiles: pd.DataFrame, quantities: Sequence[Quantity]) -> list[str]:
    """What a subtitle says of crosses and hollow markers, where there are any in such lines."""
    done = profiles["status"] == "ok"
    said = [] if done.all() else ["×: the last length reached"]
    unsure = findings.LATENCY in quantities and not profiles["converged"][done].all()
    return [*said, "hollow: did not converge"] if unsure else said


def measured(profiles: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """The rows that have the quantity; none is drawn at 0."""
    return profiles[(profiles["status"] == "ok") & (profiles[quantity.value] > 0)]


def curves_of(profiles: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each curve by length, the bidirectional ones first."""
    return [rows.sort_values("seconds") for _, rows in profiles.groupby(["direction", "layout"])]


def draw(
    axes: Axes,
    profiles: pd.DataFrame,
    quantity: Quantity,
    looks: Mapping[str, Look],
    texts: Callable[[pd.DataFrame], str],
    ring: bool,
) -> None:
    """All curves of a panel, each labelled at its end; a layout that has both directions is labelled once."""
    labels: dict[str, EndLabel] = {}
    beside = curve_table.by_curve(profiles) if ring else {}
    for curve in curves_of(profiles):
        points = measured(curve, quantity)
        if points.empty:
            continue
        look = style.system_look(curve["mixers"].iloc[0], curve["direction"].iloc[0], looks)
        _line(axes, points, quantity, look)
        end = points.iloc[-1]
        x, y = end["seconds"], end[quantity.value]
        if ring:
            _ring(axes, points, softmax_beside(beside, curve, quantity), quantity, look)
        if len(points) < len(curve):
            axes.plot(x, y, ls="", marker="x", ms=9, mew=1.3, color=look.colour)
        labels.setdefault(curve["layout"].iloc[0], EndLabel(texts(curve), x, y, look.text, look.colour))
    at_line_ends(axes, list(labels.values()))


def softmax_beside(curves: Curves, curve: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    """The points of fused softmax that a curve of the same panel is held against."""
    return measured(curve_table.rival(curves, curve, BASELINE), quantity)


def name_and_growth(points: pd.DataFrame, quantity: Quantity) -> list[str]:
    """ "RetNet" and "T¹·⁰³"; the name alone where too few lengths tell the growth."""
    slope = curve_table.exponent(points, quantity)
    return [str(points["name"].iloc[-1]), *([power(slope)] if slope is not None else [])]


def power(exponent: float) -> str:
    """Tᵖ with the exponent written small: "T¹·⁰³"."""
    return "T" + f"{exponent:.2f}".translate(str.maketrans("0123456789.-", "⁰¹²³⁴⁵⁶⁷⁸⁹·⁻"))


def _ring(axes: Axes, points: pd.DataFrame, softmax: pd.DataFrame, quantity: Quantity, look: Look) -> None:
    """A ring on softmax's line where this one undercuts it for good, if that is within the lengths."""
    crossing = curve_table.crossover(points, softmax, quantity)
    if crossing is None or not softmax["seconds"].min() < crossing < np.inf:
        return
    lengths, costs = np.log(softmax["seconds"]), np.log(softmax[quantity.value].astype(float))
    cost = float(np.exp(np.interp(np.log(crossing), lengths, costs)))
    axes.plot(crossing, cost, marker="o", ms=8, mfc="none", mec=look.colour, mew=1.4, ls="", zorder=5)


def _line(axes: Axes, points: pd.DataFrame, quantity: Quantity, look: Look) -> None:
    x = points["seconds"].to_numpy()
    front = 3 if look.colour == style.INK else 2
    axes.fill_between(x, points[quantity.low], points[quantity.high], color=look.colour, alpha=0.2, lw=0)
    axes.plot(x, points[quantity.value], color=look.colour, ls=look.dash, lw=1.3, zorder=front)
    sure = points["converged"].astype(bool) | (quantity is not findings.LATENCY)
    for some, hollow in ((sure, False), (~sure, True)):
        marks = look.marker_style(4.8, hollow)
        axes.plot(x[some], points.loc[some, quantity.value], ls="", zorder=front, **marks)
