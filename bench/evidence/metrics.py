"""Scores of a classifier, computed from its confusion counts.

Counts rather than labels, because counts add: over speakers, folds and bootstrap draws alike. Every
function takes an array (…, C, C) with the reference on the rows and the prediction on the columns,
works on all leading axes at once, and returns fractions in float64.

    uar(counts)        # (…)
    recalls(counts)    # (…, C)

A class that is absent from the reference has no recall (NaN) and is left out of UAR. A class that is
absent from reference and prediction alike is left out of macro-F1. No utterances at all: NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[Any]  # (…, C, C), integer or float64
Scores = npt.NDArray[np.float64]
Metric = Callable[[Counts], Scores]


def ratio(numerator: Counts, denominator: Counts) -> Scores:
    """Elementwise quotient; NaN where the denominator is 0."""
    empty = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.divide(numerator, denominator, out=empty, where=denominator > 0)


def _hits(counts: Counts) -> Counts:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def mean_of_present(scores: Scores) -> Scores:
    """Mean over the last axis, NaN entries left out; NaN where all are."""
    present = ~np.isnan(scores)
    return ratio(np.where(present, scores, 0.0).sum(axis=-1), present.sum(axis=-1))


def recalls(counts: Counts) -> Scores:
    """Recall of every class, (…, C); NaN where the class is absent from the reference."""
    return ratio(_hits(counts), counts.sum(axis=-1))


def recall_of(index: int) -> Metric:
    """The metric "recall of class `index`"."""
    return lambda counts: ratio(counts[..., index, index], counts[..., index, :].sum(axis=-1))


def uar(counts: Counts) -> Scores:
    """Unweighted average recall, (…): mean recall of the classes that are present in the reference."""
    return mean_of_present(recalls(counts))


def macro_f1(counts: Counts) -> Scores:
    """Macro-F1, (…): mean F1 = 2·hits / (reference + predicted) of the classes present in either."""
    return mean_of_present(ratio(2 * _hits(counts), counts.sum(axis=-1) + counts.sum(axis=-2)))


def wa(counts: Counts) -> Scores:
    """Weighted accuracy, (…): the share of utterances recognised."""
    return ratio(_hits(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def summary(counts: Counts, emotions: Sequence[str]) -> dict[str, float]:
    """All scores of one (C, C) matrix by name: uar, macro_f1, wa, and recall_<emotion> where present."""
    scores = {name: float(metric(counts)) for name, metric in METRICS.items()}
    shares = zip(emotions, recalls(counts), strict=True)
    return scores | {f"recall_{emotion}": float(recall) for emotion, recall in shares if not np.isnan(recall)}


METRICS: dict[str, Metric] = {"uar": uar, "macro_f1": macro_f1, "wa": wa}
