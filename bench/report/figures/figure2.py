"""The efficiency figure of arXiv 2603.15120 redone: one mixer alone at D = 1024, with the line that it lacks.

    shown = as_published(profiles of one machine)         # from `serbench profile paper`; may be empty
    figure = figure2(shown, looks, reported)

Softmax bidirectional and the others causal, as there, against length; beside the unfused softmax of the study
stands the fused one. A plus is a number as it was printed (`results/reported.csv`), on the study's hardware.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from bench.config import Bare
from bench.evidence.reported import Reported
from bench.report import findings, style, units
from bench.report.curve_table import UNFUSED
from bench.report.figures import lines, panels
from bench.report.findings import Quantity
from bench.report.labels import room
from bench.report.sheets import SCREEN, Sheet
from bench.report.style import Look, Picture
from bench.report.tables import BASELINE

SOURCE = "arXiv 2603.15120"
STUDIED = ("retnet", "lightnet", "fox", "kda", "gsa")  # causal there
_QUANTITIES = (findings.LATENCY, findings.MEMORY)
_PRINTED = {  # metric of `reported.csv`: seconds of speech
    findings.LATENCY: {"latency_10s_ms": 10.0, "latency_400s_ms": 400.0},
    findings.MEMORY: {"memory_400s_bytes": 400.0},
}


def as_published(profiles: pd.DataFrame) -> pd.DataFrame:
    """The rows of one machine that the study's figure shows, and fused softmax's; empty without the latter.

    `profiles`: plain ones. The names lose their direction, which the figure states.
    """
    alone = profiles[(profiles["target"] == "mixer") & (profiles["setting"] == Bare().summary)]
    both = alone["layout"].isin([BASELINE, UNFUSED]) & (alone["direction"] == "bidirectional")
    efficient = alone["layout"].isin(STUDIED) & (alone["direction"] == "causal")
    shown = alone[both | efficient]
    done = shown[shown["status"] == "ok"]
    if not {BASELINE, UNFUSED} <= set(done["layout"]) or not done["layout"].isin(STUDIED).any():
        return shown.iloc[:0]
    return shown.assign(name=shown["name"].str.removesuffix(", causal"))


def figure2(
    shown: pd.DataFrame, looks: Mapping[str, Look], reported: Sequence[Reported] = (), sheet: Sheet = SCREEN
) -> Picture:
    """Draw time and memory of `as_published`, which must not be empty."""
    texts = [partial(_text, quantity) for quantity in _QUANTITIES]
    names = [
        room(text(curve) for curve in lines.curves_of(shown) if len(lines.measured(curve, quantity)))
        for quantity, text in zip(_QUANTITIES, texts, strict=True)
    ]
    printed = [_printed(shown, quantity, reported) for quantity in _QUANTITIES]
    placed = panels.place(names, sheet)
    subtitle = _subtitle(shown, any(len(some) for some in printed))
    with style.page(finding(shown), subtitle, placed.width, placed.body, sheet) as figure:
        for quantity, text, some, box in zip(_QUANTITIES, texts, printed, placed.boxes, strict=True):
            axes = style.panel(figure, *box)
            if not sheet.captioned:
                name = lines.SCALES[quantity].name
                axes.set_title(name, loc="left", size=style.BODY_PT, color=style.MUTED, pad=9)
            style.name_axes(axes, "length of speech", lines.SCALES[quantity].name.partition(" beside")[0])
            lines.scale(axes, pd.concat([lines.measured(shown, quantity), some]), quantity, box[2])
            lines.draw(axes, shown, quantity, looks, text, ring=False)
            _pluses(axes, some, quantity, looks)
    return figure


def finding(shown: pd.DataFrame) -> str:
    """The fastest efficient mixer at the longest length that all have, against softmax both ways."""
    done = lines.measured(shown, findings.LATENCY)
    times = done.pivot_table(index="seconds", columns="layout", values="median_ms")
    compared = times.dropna(subset=[BASELINE, UNFUSED])
    if compared.empty:
        return "Fused and unfused softmax were not measured at one length."
    last = {str(layout): float(ms) for layout, ms in compared.iloc[-1].dropna().items()}
    fused, unfused = last.pop(BASELINE), last.pop(UNFUSED)
    at = units.seconds(float(compared.index[-1]))
    if not last:
        return f"At {at} fused softmax is {units.significant(unfused / fused)}× as fast as unfused softmax."
    best = min(last, key=lambda layout: last[layout])
    name = done.loc[done["layout"] == best, "name"].iloc[0]
    return (
        f"At {at} {name} is {units.significant(unfused / last[best])}× as fast as unfused softmax, "
        f"{units.significant(fused / last[best])}× as fast as fused softmax."
    )


def _text(quantity: Quantity, curve: pd.DataFrame) -> str:
    name, *growth = lines.name_and_growth(lines.measured(curve, quantity), quantity)
    fused = "Softmax (fused)" if curve["layout"].iloc[0] == BASELINE else name
    return "  ".join([fused, *growth])


def _subtitle(shown: pd.DataFrame, printed: bool) -> str:
    first = shown.iloc[0]
    what = f"One mixer layer alone, {first['setting']}, against length of speech · {first['hardware']}"
    remarks = ["softmax bidirectional, the others causal (dashed), as published"]
    remarks += [f"+: as printed in {SOURCE}, on one H100"] if printed else []
    remarks += ["Tᵖ: growth with length towards the end"]
    remarks += lines.marks(shown, _QUANTITIES)
    return "\n".join([what, " · ".join(remarks)])


def _printed(shown: pd.DataFrame, quantity: Quantity, reported: Sequence[Reported]) -> pd.DataFrame:
    """Numbers of the study within the lengths drawn: layout, mixers, seconds, and the quantity's columns."""
    layouts = {"Softmax": UNFUSED} | {
        name: layout
        for name, layout in zip(shown["name"], shown["layout"], strict=True)
        if layout not in (BASELINE, UNFUSED)
    }
    lengths = _PRINTED[quantity]
    within = shown["seconds"].min(), shown["seconds"].max()
    rows = [
        {"layout": layouts[number.system], "system": number.system, "seconds": lengths[number.metric]}
        | dict.fromkeys((quantity.value, quantity.low, quantity.high), number.value)
        for number in reported
        if number.source == SOURCE and number.metric in lengths and number.system in layouts
        if within[0] <= lengths[number.metric] <= within[1]
    ]
    columns = ("layout", "system", "seconds", quantity.value, quantity.low, quantity.high)
    return pd.DataFrame(rows, columns=[*dict.fromkeys(columns)])


def _pluses(axes: Axes, printed: pd.DataFrame, quantity: Quantity, looks: Mapping[str, Look]) -> None:
    """A plus for each printed number, named on the side where the panel has more room."""
    middle = math.sqrt(math.prod(axes.get_xlim()))
    for _, number in printed.iterrows():
        place, colour = (number["seconds"], number[quantity.value]), looks[number["layout"]].text
        axes.plot(*place, ls="", marker="+", ms=9, mew=1.4, color=colour, zorder=6)
        aside, to = ((-8, -2), "right") if number["seconds"] > middle else ((8, 4), "left")
        axes.annotate(
            number["system"],
            place,
            aside,
            textcoords="offset points",
            ha=to,
            va="center_baseline",
            color=colour,
            size=style.SMALL_PT,
            path_effects=[withStroke(linewidth=2, foreground="white")],
            zorder=6,
        )
