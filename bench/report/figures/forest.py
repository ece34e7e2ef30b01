"""Differences to the baseline, system by system: which of them the data can tell from nothing.

    figure = forest(differing(rows of one comparison), looks)

Each system is compared with the baseline of its own direction on the same speakers
(`bench.evidence.differences`). A thick bar is the 95 % interval of that difference alone, the thin one holds
for all the differences drawn together (Bonferroni); p is adjusted by Holm. A filled marker: p below 0.05.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from bench.evidence.bootstrap import Interval
from bench.evidence.differences import simultaneous
from bench.evidence.ranks import LEVEL
from bench.report import findings, headline, sections, style, units
from bench.report.figures.rows import Column, hold, lay
from bench.report.headline import Headline
from bench.report.sheets import SCREEN, Sheet
from bench.report.style import Look, Picture

_NAMED = 3  # systems that the title names; of more it gives the number


def differing(rows: pd.DataFrame) -> pd.DataFrame:
    """The comparable systems of one comparison that have a difference to the baseline, the highest first.

    Columns: those of the accuracy table, and all_low and all_high, the ends of the interval that holds for
    all of these together.
    """
    found = rows[rows["comparable"] & rows["delta"].notna()]
    found = found.sort_values(["delta", "layout", "direction"], ascending=[False, True, True])
    wide = [
        simultaneous(Interval(row["delta"], row["delta_low"], row["delta_high"]), row["speakers"], len(found))
        for _, row in found.iterrows()
    ]
    return found.assign(all_low=[one.low for one in wide], all_high=[one.high for one in wide])


def forest(differences: pd.DataFrame, looks: Mapping[str, Look], sheet: Sheet = SCREEN) -> Picture:
    """Draw the table of `differing`, which must not be empty."""
    measure = headline.of(differences)
    laid = lay(differences["name"].tolist(), _columns(differences, measure), sheet)
    baseline = findings.baseline_name(differences)
    with style.page(finding(differences), _subtitle(differences), laid.width, laid.body, sheet) as figure:
        axes = laid.panel(figure)
        hold(axes, differences["all_low"], differences["all_high"], differences["delta"], [0.0])
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: measure.difference(value).removesuffix(".0"))
        )
        axes.axvline(0, color=style.INK, lw=0.9, zorder=1)
        above = 1 + 0.1 / laid.height
        place = axes.get_xaxis_transform()
        axes.text(0, above, baseline, transform=place, ha="center", size=style.SMALL_PT, color=style.INK)
        for row, (_, system) in enumerate(differences.iterrows()):
            _bar(axes, row, system, style.system_look(system["mixers"], system["direction"], looks))
        if sheet.captioned:
            axes.set_xlabel(f"difference in {_quantity(measure)}", size=style.SMALL_PT, labelpad=2)
    return figure


def finding(differences: pd.DataFrame) -> str:
    """How many systems can be told apart from the baseline, and which; or what could have been."""
    measure, baseline = headline.of(differences), findings.baseline_name(differences)
    apart = differences[differences["p_adjusted"] < LEVEL]
    if len(apart):
        count = f"{len(apart)} of {len(differences)} systems can be told apart from {baseline}"
        named = [f"{row['name']} ({measure.lead(row['delta'])})" for _, row in apart.iterrows()]
        better = int((apart["delta"] > 0).sum())
        sides = f"{better} better, {len(apart) - better} worse"
        return f"{count}: {units.listing(named) if len(apart) <= _NAMED else sides}."
    none = f"No system can be told apart from {baseline}"
    detectable = differences["detectable"].median()
    if pd.isna(detectable):
        return f"{none}: there is one speaker alone."
    return f"{none}; one test alone would see a difference of {measure.gap(detectable)} four times in five."


def _quantity(measure: Headline) -> str:
    return "UAR, points" if measure is headline.UAR else "CCC"


def _subtitle(differences: pd.DataFrame) -> str:
    baseline, count = findings.baseline_name(differences), len(differences)
    what = f"{_quantity(headline.of(differences))}: difference to {baseline} of the same direction"
    together = f", thin: for all {count} together" if count > 1 else ""
    bars = f"thick: 95 % interval{together} · filled: p below {LEVEL:g} (Holm)"
    return f"{what} · paired by speaker · {bars}\n{sections.subject(differences)}"


def _columns(differences: pd.DataFrame, measure: Headline) -> list[Column]:
    """Each difference with its interval, and its p-value."""
    written = [
        f"{measure.difference(row['delta'])} [{measure.difference(row['delta_low'])}, "
        f"{measure.difference(row['delta_high'])}]"
        for _, row in differences.iterrows()
    ]
    p_values = [units.probability(p) for p in differences["p_adjusted"]]
    return [Column("difference, 95 %", written), Column("p, adjusted", p_values)]


def _bar(axes: Axes, row: int, system: pd.Series, look: Look) -> None:
    both = [row, row]
    axes.plot([system["all_low"], system["all_high"]], both, color=look.colour, lw=0.9, zorder=2)
    axes.plot([system["delta_low"], system["delta_high"]], both, color=look.colour, lw=2.6, zorder=2)
    hollow = not system["p_adjusted"] < LEVEL
    axes.plot([system["delta"]], [row], ls="", zorder=3, **look.marker_style(6.5, hollow))
