"""The score that orders a comparison and is compared with softmax's: UAR, or CCC of attributes alone.

score = of(rows of one comparison)
score.said(rows.iloc[0]["uar"])                # "58.2 % UAR"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from bench.report import units


@dataclass(frozen=True)
class Headline:
    """A column of the accuracy table and how its values and their differences are written."""

    column: str
    head: str  # of a table's column
    written: Callable[[float], str]
    difference: Callable[[float], str]
    said: Callable[[float], str]  # in a sentence
    lead: Callable[[float], str]  # a difference, in a sentence

    def gap(self, value: float) -> str:
        """A difference above 0, in a sentence that says so."""
        return self.lead(value).lstrip("+")


UAR = Headline(
    "uar",
    "UAR %",
    units.percent,
    units.points,
    said=lambda value: f"{units.percent(value)} % UAR",
    lead=lambda value: f"{units.points(value)} points",
)
CCC = Headline(
    "ccc",
    "CCC",
    units.concordance,
    units.signed,
    said=lambda value: f"CCC {units.concordance(value)}",
    lead=units.signed,
)


def of(rows: pd.DataFrame) -> Headline:
    """UAR where the systems of a comparison tell emotions apart, else CCC."""
    return UAR if len(rows["emotions"].iloc[0]) else CCC
