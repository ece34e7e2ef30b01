"""Causal against bidirectional: a dumbbell a layout, from the score of one to that of the other.

    figure = directions(dumbbells(rows of one comparison, details.directions), looks)

Hollow markers are causal, filled ones bidirectional; thin bars are their 95 % intervals. The gain and its
interval are paired on the same speakers (`bench.report.directions`).
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from bench.evidence.ranks import LEVEL
from bench.report import headline, sections, style, units
from bench.report.figures.rows import Column, hold, lay
from bench.report.headline import Headline
from bench.report.sheets import SCREEN, Sheet
from bench.report.style import Look, Picture

_APART = 0.13  # rows between a dumbbell and its bars


def dumbbells(rows: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """The layouts of one comparison that have both directions, the best bidirectional first; may be empty.

    `found`: `Details.directions`.
    """
    if found.empty:
        return found
    ours = found[found["comparison"] == rows["comparison"].iloc[0]]
    return ours.sort_values(["bidirectional", "layout"], ascending=[False, True], ignore_index=True)


def directions(
    pairs: pd.DataFrame, rows: pd.DataFrame, looks: Mapping[str, Look], sheet: Sheet = SCREEN
) -> Picture:
    """Draw the table of `dumbbells`, which must not be empty, of the comparison that `rows` are of."""
    measure = headline.of(rows)
    laid = lay(pairs["name"].tolist(), _columns(pairs, measure), sheet)
    with style.page(
        finding(pairs, measure), _subtitle(rows, measure), laid.width, laid.body, sheet
    ) as figure:
        axes = laid.panel(figure)
        names = [f"{name}_{end}" for name in ("causal", "bidirectional") for end in ("low", "high")]
        hold(axes, *(pairs[name] for name in (*names, "causal", "bidirectional")))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, measure)))
        for row, (_, pair) in enumerate(pairs.iterrows()):
            _dumbbell(axes, row, pair, style.system_look(pair["mixers"], "bidirectional", looks))
        if sheet.captioned:
            axes.set_xlabel(_named(measure), size=style.SMALL_PT, labelpad=2)
    return figure


def finding(pairs: pd.DataFrame, measure: Headline) -> str:
    """How many layouts can be told to gain from hearing both ways, and by how much."""
    sure = pairs["p_adjusted"] < LEVEL
    gaining, losing = pairs[sure & (pairs["gain"] > 0)], pairs[sure & (pairs["gain"] < 0)]
    parts = []
    for verb, some, most in (("gain", gaining, "idxmax"), ("lose", losing, "idxmin")):
        if len(some):
            best = pairs.loc[getattr(some["gain"], most)()]
            parts.append(
                f"{len(some)} of {len(pairs)} layouts {verb} by hearing both ways, "
                f"{best['name']} most ({measure.lead(best['gain'])})"
            )
    if parts:
        return f"{'; '.join(parts)}."
    low, high = measure.lead(pairs["gain"].min()), measure.lead(pairs["gain"].max())
    return f"Hearing both ways makes no difference that can be told from chance: {low} to {high}."


def _named(measure: Headline) -> str:
    return "UAR, %" if measure is headline.UAR else "CCC"


def _tick(value: float, measure: Headline) -> str:
    return f"{100 * value:g}" if measure is headline.UAR else f"{value:g}"


def _subtitle(rows: pd.DataFrame, measure: Headline) -> str:
    return (
        f"{_named(measure)} · hollow: causal, filled: bidirectional · bars: 95 % intervals · "
        f"gain: paired by speaker, p adjusted (Holm)\n{sections.subject(rows)}"
    )


def _columns(pairs: pd.DataFrame, measure: Headline) -> list[Column]:
    written = [
        f"{measure.difference(pair['gain'])} [{measure.difference(pair['gain_low'])}, "
        f"{measure.difference(pair['gain_high'])}]"
        for _, pair in pairs.iterrows()
    ]
    return [
        Column("gain, 95 % interval", written),
        Column("p, adjusted", [units.probability(p) for p in pairs["p_adjusted"]]),
    ]


def _dumbbell(axes: Axes, row: int, pair: pd.Series, look: Look) -> None:
    axes.plot(
        [pair["causal"], pair["bidirectional"]],
        [row, row],
        color=style.blend(look.colour, "white", 0.55),
        lw=3.5,
    )
    for name, shift in (("bidirectional", -_APART), ("causal", _APART)):
        both = [row + shift * 2, row + shift * 2]
        axes.plot(
            [pair[f"{name}_low"], pair[f"{name}_high"]], both, color=look.colour, lw=0.8, ls=_dash(name)
        )
        axes.plot([pair[name]], [row], ls="", zorder=3, **look.marker_style(6.5, hollow=name == "causal"))


def _dash(direction: str) -> str:
    return "-" if direction == "bidirectional" else "--"
