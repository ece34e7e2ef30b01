"""Latency and memory against the length of speech: one mixer layer beside the whole encoder.

    figure = curves(profiles of one machine and network, findings.LATENCY, looks)

Both axes are logarithmic and the panels share them (`bench.report.figures.lines`). Where a line ends stand
its exponent, and the length from which on it undercuts fused softmax of its direction, ringed on that line;
a curve that ran out of memory or failed says so there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pandas as pd

from bench.config import STREAMS
from bench.report import curve_table, findings, style, units
from bench.report.curve_table import Curves
from bench.report.figures import lines, panels
from bench.report.findings import Quantity
from bench.report.labels import room
from bench.report.sheets import SCREEN, Sheet
from bench.report.style import Look, Picture

_TARGETS = {
    "mixer": "One mixer layer",
    "fla_layer": "The same layer of fla",
    "encoder": "Whole encoder, features to emotion",
    "model": "Whole model, waveform to emotion",
}
_PLAIN = "one forward pass"


def curves(
    profiles: pd.DataFrame, quantity: Quantity, looks: Mapping[str, Look], sheet: Sheet = SCREEN
) -> Picture:
    """Draw `quantity` of the profiles of one machine and network; some of them must have it."""
    drawn = lines.measured(profiles, quantity)
    targets = [target for target in _TARGETS if (drawn["target"] == target).any()]
    rows = [profiles[profiles["target"] == target] for target in targets]
    texts = [partial(_text, curve_table.by_curve(some), quantity, sheet.captioned) for some in rows]
    names = [
        room(text(curve) for curve in lines.curves_of(some) if len(lines.measured(curve, quantity)))
        for some, text in zip(rows, texts, strict=True)
    ]
    placed = panels.place(names, sheet)
    title, subtitle = findings.cost(profiles, quantity), _subtitle(profiles, drawn, quantity)
    with style.page(title, subtitle, placed.width, placed.body, sheet) as figure:
        for target, some, text, box in zip(targets, rows, texts, placed.boxes, strict=True):
            axes = style.panel(figure, *box)
            if not sheet.captioned:
                axes.set_title(_TARGETS[target], loc="left", size=style.BODY_PT, color=style.MUTED, pad=9)
            named = f"{_TARGETS[target].partition(',')[0]}: {lines.SCALES[quantity].short}"
            style.name_axes(axes, _across(profiles), named)
            lines.scale(axes, drawn, quantity, box[2])
            lines.draw(axes, some, quantity, looks, text, ring=True)
    return figure


def _across(profiles: pd.DataFrame) -> str:
    return "speech heard before" if profiles["work"].iloc[0] in STREAMS else "length of speech"


def _subtitle(profiles: pd.DataFrame, drawn: pd.DataFrame, quantity: Quantity) -> str:
    """What is drawn, and on a second line remarks."""
    first = profiles.iloc[0]
    what = f"{lines.SCALES[quantity].name}, {first['regime'] or _PLAIN}, against {_across(profiles)}"
    zero = profiles[(profiles["status"] == "ok") & (profiles[quantity.value] == 0)]
    remarks = ["bidirectional solid, causal dashed"] if drawn["direction"].nunique() > 1 else []
    remarks.append("Tᵖ: growth with length towards the end")
    if curve_table.overtakes(drawn, quantity):
        remarks.append("ring: fused softmax is undercut from there on")
    remarks += lines.marks(profiles, [quantity])
    if len(zero):
        remarks.append(f"{units.counted(len(zero), 'point')} of 0 bytes left out")
    return "\n".join([f"{what} · {first['hardware']} · {first['setting']}", " · ".join(remarks)])


def _text(beside: Curves, quantity: Quantity, brief: bool, curve: pd.DataFrame) -> str:
    """ "RetNet  T¹·⁰³  from 41 s", and why a curve stops short; `brief`: name and growth alone."""
    points = lines.measured(curve, quantity)
    parts = lines.name_and_growth(points, quantity)
    if brief:
        return "  ".join(parts)
    crossing = curve_table.crossover(points, lines.softmax_beside(beside, curve, quantity), quantity)
    parts += [curve_table.crossing_words(crossing, points)] if crossing is not None else []
    return "  ".join(filter(None, [*parts, _ending(curve)]))


def _ending(curve: pd.DataFrame) -> str:
    """Why a curve stops short, for its label."""
    stopped = curve[curve["status"] != "ok"]
    if stopped.empty:
        return ""
    first = stopped.iloc[0]
    reason = "out of memory" if first["status"] == "oom" else first["status"]
    return f"{reason} at {units.seconds(first['seconds'])}"
