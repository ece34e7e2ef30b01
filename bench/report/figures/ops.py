"""Time of the recurrences alone against length, beside fused softmax and their own frame loops.

    figure = ops(record)

Both axes are logarithmic, so a slope is an exponent: it stands in each label. A ring marks where an op
overtakes fused softmax. Dotted lines are the same recurrences frame by frame.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.config import OpName
from bench.evidence import growth
from bench.evidence.records import OpRecord
from bench.report import op_readings, style, units
from bench.report.figures.lines import power, round_values, thinned
from bench.report.labels import EARLY_STEP_PT, EndLabel, at_early_ends, at_line_ends, room
from bench.report.op_readings import LABELS
from bench.report.sheets import SCREEN, Sheet
from bench.report.style import Look, Picture

_WIDTH, _HEIGHT, _HEIGHT_IN_PAPER = 4.4, 3.9, 2.3
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


def ops(record: OpRecord, sheet: Sheet = SCREEN) -> Picture:
    """Draw one op benchmark, in which some op was measured."""
    curves = {op: times for op in record.setting.ops if (times := op_readings.curve(record, op, "op"))}
    softmax = softmax_curve(record)
    labels = {op: label(record, op, sheet.captioned) for op in curves}
    names = room([*labels.values(), "Fused softmax"])
    panel = _WIDTH if sheet.width is None else sheet.width - _LEFT - names
    height = _HEIGHT_IN_PAPER if sheet.captioned else _HEIGHT
    body = _BOTTOM + height + sheet.head
    with style.page(finding(record), _subtitle(record), _LEFT + panel + names, body, sheet) as figure:
        axes = style.panel(figure, _LEFT, _BOTTOM, panel, height)
        loops = {op: op_readings.curve(record, op, "loop") for op in curves}
        _scale(axes, [*curves.values(), softmax, *loops.values()], panel)
        style.name_axes(axes, "frames", "Time of one call")
        for op, times in loops.items():
            axes.plot([*times], [*times.values()], color=_LOOKS[op].colour, ls=(0, (1, 1.6)), lw=1.1)
        drawn = [(times, _LOOKS[op], labels[op]) for op, times in curves.items()]
        drawn += [(softmax, _SOFTMAX, "Fused softmax")] if softmax else []
        _lines(axes, drawn, height)
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


def label(record: OpRecord, op: OpName, brief: bool = False) -> str:
    """ "KDA, exponent 1.04, faster from 2,310"; `brief`: "KDA  T¹·⁰⁴"."""
    times = op_readings.growth_curve(record, op)
    if brief:
        return "  ".join([LABELS[op], *([power(growth.exponent(times))] if times else [])])
    parts = [LABELS[op], *([f"exponent {growth.exponent(times):.2f}"] if times else [])]
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


def _scale(axes: Axes, curves: list[dict[int, float]], width: float) -> None:
    """Logarithmic axes that hold all curves, with human ticks; `width` of the panel in inches."""
    lengths = sorted({frames for times in curves for frames in times})
    times = [value for curve in curves for value in curve.values()]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(lengths[0] / 1.15, lengths[-1] * 1.15)
    low, high = min(times) / 1.3, max(times) * 1.3
    axes.set_ylim(low, high)
    step = np.log10(lengths[-1] / lengths[0] * 1.15**2) * _TICK_IN / width
    axes.xaxis.set_major_locator(
        FixedLocator(thinned([n for n in lengths if n & (n - 1) == 0] or lengths, step))
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(FixedLocator(round_values(low, high)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: units.milliseconds(value)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.set_xlabel("frames")
    style.rule(axes)


def _lines(axes: Axes, drawn: list[tuple[dict[int, float], Look, str]], height: float) -> None:
    """Times, look and label of every line, labelled where it ends; `height` of the panel in inches."""
    ends = []
    for times, look, text in drawn:
        x, y = [*times], [*times.values()]
        axes.plot(x, y, color=look.colour, lw=1.4, zorder=3, **look.marker_style(4.6))
        ends.append(EndLabel(text, x[-1], y[-1], look.text, look.colour))
    last = max(end.x for end in ends)
    early = [end for end in ends if end.x < last]
    _raise_ceiling(axes, early, height)
    at_line_ends(axes, [end for end in ends if end.x == last])
    at_early_ends(axes, early)


def _raise_ceiling(axes: Axes, early: list[EndLabel], height: float) -> None:
    """Make room in the panel for the labels above the highest line that ends early."""
    low, high = axes.get_ylim()
    if not early:
        return
    needed = (EARLY_STEP_PT * len(early) + 10) / 72 / height  # of the panel's height
    top = max(end.y for end in early)
    axes.set_ylim(low, max(high, low * (top / low) ** (1 / (1 - needed))))


def _rings(axes: Axes, record: OpRecord, softmax: dict[int, float]) -> None:
    """A ring on the softmax line where each op overtakes it."""
    for op in record.setting.ops:
        frames = op_readings.crossover(record, op)
        if frames is None or frames == min(softmax):
            continue
        time = np.exp(np.interp(np.log(frames), np.log([*softmax]), np.log([*softmax.values()])))
        axes.plot(frames, time, marker="o", ms=9, mfc="none", mec=_LOOKS[op].colour, mew=1.6, ls="", zorder=5)
