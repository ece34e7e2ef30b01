"""Accuracy against the length of the utterance: who stays good on the long ones.

    figure = lengths(binned(rows of one comparison, details.lengths), rows, looks)

The bins hold about equally many utterances (`bench.report.lengths`). The best system and the baseline are
drawn with 95 % intervals, the others as thin lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.report import sections, style, units
from bench.report.labels import EndLabel, at_line_ends, room
from bench.report.sheets import SCREEN, Sheet
from bench.report.style import Look, Picture

_WIDTH, _HEIGHT, _HEIGHT_IN_PAPER = 4.6, 3.3, 2.1
_LEFT, _BOTTOM, _BOTTOM_IN_PAPER = 0.42, 0.4, 0.3
_APART = 0.05  # bins between the intervals of the two that have some


def binned(rows: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """The bins of the comparable systems of one comparison, best system first; may be empty.

    `found`: `Details.lengths`. Columns: those of it, and name, mixers, baseline of the accuracy table.
    """
    if found.empty:
        return found
    named = rows.loc[rows["comparable"], ["comparison", "layout", "direction", "name", "mixers", "baseline"]]
    return named.merge(found, on=["comparison", "layout", "direction"])


def lengths(
    bins: pd.DataFrame, rows: pd.DataFrame, looks: Mapping[str, Look], sheet: Sheet = SCREEN
) -> Picture:
    """Draw the table of `binned`, which must not be empty, of the comparison that `rows` are of."""
    systems = [some.sort_values("bin") for _, some in bins.groupby(["layout", "direction"], sort=False)]
    names = room(str(some["name"].iloc[0]) for some in systems)
    panel = _WIDTH if sheet.width is None else sheet.width - _LEFT - names
    height = _HEIGHT_IN_PAPER if sheet.captioned else _HEIGHT
    bottom = _BOTTOM_IN_PAPER + sheet.foot if sheet.captioned else _BOTTOM
    body = bottom + height + sheet.head
    with style.page(finding(bins), _subtitle(bins, rows), _LEFT + panel + names, body, sheet) as figure:
        axes = style.panel(figure, _LEFT, bottom, panel, height)
        shown = [some for place, some in enumerate(systems) if place == 0 or _is_baseline(some, systems[0])]
        _scale(axes, systems, shown)
        style.name_axes(axes, "length of the utterance, s", "UAR, %")
        drawn = [(some, _look(some, looks)) for some in systems]
        for some, look in drawn:
            _line(axes, some, look, at=next((i for i, each in enumerate(shown) if each is some), None))
        at_line_ends(axes, [_label(some, look) for some, look in drawn])
    return figure


def finding(bins: pd.DataFrame) -> str:
    """What the best system gains or loses from the shortest to the longest utterances."""
    best = bins[bins["bin"] == bins["bin"].max()].iloc[0]
    low, high = (units.points(best[f"change_{end}"]) for end in ("low", "high"))
    known = not pd.isna(best["change_low"])
    change, interval = (
        best["change"],
        f"95 % interval {low} to {high}" if known else "one speaker, no interval",
    )
    start = f"From the shortest to the longest utterances {best['name']}"
    if best["change_low"] > 0 or best["change_high"] < 0:
        return (
            f"{start} {'gains' if change > 0 else 'loses'} {units.percent(abs(change))} points ({interval})."
        )
    return f"{start} changes by {units.points(change)} points, which may be chance ({interval})."


def _subtitle(bins: pd.DataFrame, rows: pd.DataFrame) -> str:
    first = bins.iloc[0]
    number = int(bins["bin"].max()) + 1
    what = f"UAR, %, in {number} bins of about {int(bins['utterances'].mean()):,} utterances, by length"
    left_out = f" · without {first['rare']}: too few in some bin" if first["rare"] else ""
    return f"{what} · bars: 95 % intervals{left_out}\n{sections.subject(rows)}"


def _is_baseline(some: pd.DataFrame, best: pd.DataFrame) -> bool:
    first = some.iloc[0]
    return bool(first["layout"] == first["baseline"] and first["direction"] == best["direction"].iloc[0])


def _look(some: pd.DataFrame, looks: Mapping[str, Look]) -> Look:
    return style.system_look(some["mixers"].iloc[0], some["direction"].iloc[0], looks)


def _scale(axes: Axes, systems: Sequence[pd.DataFrame], shown: Sequence[pd.DataFrame]) -> None:
    """A place a bin, with the bins' edges below; limits from lines and intervals."""
    first = systems[0]
    values = [pd.concat(systems)["uar"], *(pd.concat(shown)[f"uar_{end}"] for end in ("low", "high"))]
    low, high = min(each.min() for each in values), max(each.max() for each in values)
    axes.set_ylim(low - 0.02, high + 0.02)
    axes.set_xlim(-0.6, len(first) - 0.4)
    edges = [*first["low_s"], first["high_s"].iloc[-1]]
    axes.set_xticks(
        np.arange(len(edges)) - 0.5, [f"{edge:.{int(edge < 10)}f}" for edge in edges], size=style.SMALL_PT
    )
    axes.set_xlabel("length of the utterance, s", size=style.SMALL_PT, labelpad=2)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    style.rule(axes)


def _line(axes: Axes, some: pd.DataFrame, look: Look, at: int | None) -> None:
    """One system; with its intervals where it is the `at`th that has some, else thin and pale."""
    x = some["bin"].to_numpy(float)
    if at is None:
        axes.plot(
            x,
            some["uar"],
            color=look.faded().colour,
            ls=look.dash,
            lw=1.0,
            zorder=2,
            **look.faded().marker_style(4),
        )
        return
    x = x + (_APART if at else -_APART)
    axes.vlines(x, some["uar_low"], some["uar_high"], color=look.colour, lw=1.1, zorder=3)
    axes.plot(x, some["uar"], color=look.colour, ls=look.dash, lw=1.5, zorder=4, **look.marker_style(6))


def _label(some: pd.DataFrame, look: Look) -> EndLabel:
    end = some.iloc[-1]
    return EndLabel(str(end["name"]), float(end["bin"]), float(end["uar"]), look.text, look.colour)
