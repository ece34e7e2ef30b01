"""Time of the recurrences alone against length, beside fused softmax and their own frame loops.

    figure = ops(record)            # None where nothing was measured

Both axes are logarithmic, so a slope is an exponent: it stands in each label. A ring marks where an op
overtakes fused softmax. Dotted lines are the same recurrences frame by frame.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.config import OpName
from bench.evidence import growth
from bench.evidence.records import OpRecord
from bench.report import op_readings, style, units
from bench.report.figures.curves import round_values, thinned
from bench.report.labels import EndLabel, at_early_ends, at_line_ends, room
from bench.report.op_readings import LABELS
from bench.report.style import Look

_WIDTH, _HEIGHT = 4.4, 3.9
_LEFT, _BOTTOM = 0.62, 0.52
_TICK_IN = 0.42  # least distance of two ticks on the length axis
_LOOKS: dict[OpName, Look] = {  # each op as the mixer that it is known from
    "scalar_gate": style.MIXERS["retnet"],
    "channel_gate": style.MIXERS["lightnet"],
    "kda": style.MIXERS["kda"],
    "gsa": style.MIXERS["gsa"],
    "fox": style.MIXERS["fox"],
}
_SOFTMAX = style.MIXERS["softmax"]


def ops(record: OpRecord) -> Figure | None:
    """Draw one op benchmark."""
    curves = {op: times for op in record.setting.ops if (times := op_readings.curve(record, op, "op"))}
    if not curves:
        return None
    softmax = softmax_curve(record)
    labels = {op: label(record, op) for op in curves}
    width = _LEFT + _WIDTH + room([*labels.values(), "Fused softmax"])
    with style.page(finding(record), _subtitle(record), width, _BOTTOM + _HEIGHT) as figure:
        axes = style.panel(figure, _LEFT, _BOTTOM, _WIDTH, _HEIGHT)
        loops = {op: op_readings.curve(record, op, "loop") for op in curves}
        _scale(axes, [*curves.values(), softmax, *loops.values()])
        for op, times in loops.items():
            axes.plot([*times], [*times.values()], color=_LOOKS[op].colour, ls=(0, (1, 1.6)), lw=1.1)
        _lines(axes, curves, softmax, labels)
        _rings(axes, record, softmax)
    return figure


def finding(record: OpRecord) -> str:
    """The title: which ops are faster than fused softmax where the speed-ups are stated, and by how much."""
    ratios = {
        found.op: op_readings.speed_up(found)
        for op in record.setting.ops
        for found in op_readings.comparisons(record, op, "softmax")
        if found.frames == record.setting.frames and found.status == "ok"
    }
    faster = sorted((ratio, op) for op, ratio in ratios.items() if ratio > 1)
    place = f"At {record.setting.frames:,} frames"
    if not ratios:
        return "Time of each op against length."
    if not faster:
        return f"{place} no op is faster than fused softmax."
    (least, last), (most, first) = faster[0], faster[-1]
    best = f"{LABELS[first]} {units.significant(most)}×"
    if len(faster) == 1:
        return f"{place} one of {len(ratios)} ops is faster than fused softmax: {best}."
    span = f"from {LABELS[last]} {units.significant(least)}× to {best}"
    return f"{place} {len(faster)} of {len(ratios)} ops are faster than fused softmax, {span}."


def label(record: OpRecord, op: OpName) -> str:
    """ "KDA, exponent 1.04, faster from 2,310"."""
    parts: list[str] = [LABELS[op]]
    if times := op_readings.growth_curve(record, op):
        parts.append(f"exponent {growth.exponent(times):.2f}")
    frames = op_readings.crossover(record, op)
    if frames is not None:
        lengths = list(softmax_curve(record))
        parts.append(f"faster from {op_readings.crossing(frames, lengths)}")
    return ", ".join(parts)


def softmax_curve(record: OpRecord) -> dict[int, float]:
    """Milliseconds of fused softmax against frames: the median over the ops that it was timed beside."""
    curves = [op_readings.curve(record, op, "softmax") for op in record.setting.ops]
    lengths = sorted({frames for times in curves for frames in times})
    return {n: float(np.median([times[n] for times in curves if n in times])) for n in lengths}


def _subtitle(record: OpRecord) -> str:
    remarks = ["dotted: the same recurrence frame by frame", "ring: fused softmax is overtaken"]
    if not all(found.converged for found in record.comparisons if found.status == "ok"):
        remarks.append("some medians did not converge")
    return f"Time of one call against frames · {op_readings.setting(record)}\n{' · '.join(remarks)}"


def _scale(axes: Axes, curves: list[dict[int, float]]) -> None:
    """Logarithmic axes that hold all curves, with human ticks."""
    lengths = sorted({frames for times in curves for frames in times})
    times = [value for curve in curves for value in curve.values()]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(lengths[0] / 1.15, lengths[-1] * 1.15)
    low, high = min(times) / 1.3, max(times) * 1.3
    axes.set_ylim(low, high)
    step = np.log10(lengths[-1] / lengths[0] * 1.15**2) * _TICK_IN / _WIDTH
    axes.xaxis.set_major_locator(
        FixedLocator(thinned([n for n in lengths if n & (n - 1) == 0] or lengths, step))
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(FixedLocator(round_values(low, high)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: units.milliseconds(value)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.set_xlabel("frames")
    axes.grid(axis="y", color=style.FAINT, lw=0.5)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _lines(
    axes: Axes, curves: dict[OpName, dict[int, float]], softmax: dict[int, float], labels: dict[OpName, str]
) -> None:
    """Every op and fused softmax, each labelled where its line ends."""
    drawn = [(times, _LOOKS[op], labels[op]) for op, times in curves.items()]
    if softmax:
        drawn.append((softmax, _SOFTMAX, "Fused softmax"))
    ends = []
    for times, look, text in drawn:
        x, y = [*times], [*times.values()]
        axes.plot(x, y, color=look.colour, lw=1.4, zorder=3, **look.marker_style(4.6))
        ends.append(EndLabel(text, x[-1], y[-1], look.text, look.colour))
    last = max(end.x for end in ends)
    at_line_ends(axes, [end for end in ends if end.x == last])
    at_early_ends(axes, [end for end in ends if end.x < last])


def _rings(axes: Axes, record: OpRecord, softmax: dict[int, float]) -> None:
    """A ring on the softmax line where each op overtakes it."""
    for op in record.setting.ops:
        frames = op_readings.crossover(record, op)
        if frames is None or frames == min(softmax):
            continue
        time = np.exp(np.interp(np.log(frames), np.log([*softmax]), np.log([*softmax.values()])))
        axes.plot(frames, time, marker="o", ms=9, mfc="none", mec=_LOOKS[op].colour, mew=1.6, ls="", zorder=5)
