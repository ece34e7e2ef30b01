"""The metrics of a run, from its predictions: what its record holds, and `serbench results verify` redoes.

of(predictions, emotions, attributes)        # {"dev": {"uar": …, "ccc": …}, "test": {…}}
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.evidence import concordance, confusion, metrics


def of(
    predictions: pd.DataFrame, emotions: Sequence[str], attributes: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """Scores of each split of a predictions table.

    UAR, macro-F1, WA and recalls of emotions, where there are any; CCC of each attribute and their mean.
    SuiteError where the table does not hold what these need.
    """
    return {str(name): _scores(rows, emotions, attributes) for name, rows in predictions.groupby("split")}


def _scores(rows: pd.DataFrame, emotions: Sequence[str], attributes: Sequence[str]) -> dict[str, float]:
    speakers = sorted(set(rows["speaker"]))
    scores: dict[str, float] = {}
    if emotions:
        counts = confusion.by_speaker(rows, emotions, speakers).sum(axis=0)
        scores |= metrics.summary(counts, emotions)
    if attributes:
        sums = concordance.by_speaker(rows, attributes, speakers).sum(axis=0)
        scores |= concordance.summary(sums, attributes)
    return scores
