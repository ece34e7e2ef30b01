"""Whether a system's errors cluster by arousal: three numbers a system, and a sentence for people.

    arousal_columns(scored)       # arousal_clustering, _low, _high; NaN where no levels are declared
    sentence(row)                 # "Errors of KDA within a level of arousal … are 1.52 [1.31, 1.74] times …"

The measure: `bench.evidence.arousal`; which emotion is of which level: `bench.corpora.label_maps`. On
synthetic speech it would say nothing, and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.corpora.label_maps import arousal
from bench.evidence.arousal import clustering, comparable
from bench.evidence.bootstrap import UNKNOWN, estimate
from bench.report import units
from bench.report.scoring import Scored, resample

COLUMN = "arousal_clustering"
DRAWS = 2_000  # a quasi-independent table is fitted to each, which takes longer than counting


def arousal_columns(scored: Scored | None, synthetic: bool) -> dict[str, float]:
    """The clustering of a system's errors with its 95 % interval."""
    found = UNKNOWN
    if scored is not None and not synthetic:
        levels = [arousal(emotion) for emotion in scored.emotions]
        if comparable(levels):
            found = estimate(clustering(levels), resample(scored.counts, DRAWS)).interval()
    return found.columns(COLUMN)


def sentence(row: pd.Series) -> str:
    """What the numbers of one system say; empty where there are none."""
    if np.isnan(row[COLUMN]):
        return ""
    value, low, high = (f"{row[name]:.2f}" for name in (COLUMN, f"{COLUMN}_low", f"{COLUMN}_high"))
    span = "" if np.isnan(row[f"{COLUMN}_low"]) else f" [{low}, {high}]"
    return (
        f"Errors of {row['name']} within a level of arousal ({_levels(row['emotions'])}) are {value}{span} "
        "times as many as they would be if what a class is taken for did not depend on it."
    )


def _levels(emotions: Sequence[str]) -> str:
    """ "high: angry and happy; low: neutral and sad"."""
    members: dict[str, list[str]] = {}
    for emotion in emotions:
        members.setdefault(arousal(emotion), []).append(emotion)
    return "; ".join(
        f"{level}: {units.listing(members[level])}" for level in ("high", "low") if level in members
    )
