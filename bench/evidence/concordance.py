"""Concordance correlation (CCC) of predicted attributes, from sums that add.

    CCC = 2·cov(x, y) / (var x + var y + (mean x − mean y)²)         Lin 1989, Biometrics 45, p. 255

Variances and covariance are means over the utterances (1/n). x is the prediction, y the truth. Like
confusion counts, the six sums n, Σx, Σy, Σx², Σy², Σxy add over speakers, folds and bootstrap draws; every
function of them works on all leading axes at once.

    sums = by_speaker(store.predictions(run_id), ("arousal", "valence"), speakers)      # (speaker, A, 6)
    ccc(sums.sum(axis=0))                                                               # (A,)

Utterances whose truth is unknown are left out. Without any, and where truth and prediction are one constant,
there is no CCC (NaN), and a mean over attributes is over the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.errors import SuiteError
from bench.evidence.confusion import positions, require
from bench.evidence.metrics import Metric, Scores, mean_of_present, ratio

Sums = npt.NDArray[np.float64]  # (…, 6)
NUM_SUMS = 6
ROUNDING = 1e-12  # of float64 sums, relative


def sums(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> Sums:
    """The six sums of each utterance, (N, 6), from predictions and truth (N,); 0 where the truth is NaN."""
    y = np.asarray(truth, dtype=np.float64)
    known = ~np.isnan(y)
    x, y = np.where(known, predicted, 0.0), np.where(known, y, 0.0)
    return np.stack([known, x, y, x * x, y * y, x * y], axis=-1)


def ccc(sums: Sums) -> Scores:
    """CCC (…) from sums (…, 6)."""
    n, x, y, xx, yy, xy = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    covariance = n * xy - x * y  # times n², as are the other terms
    spread = _variance(n, x, xx) + _variance(n, y, yy) + (x - y) ** 2
    return ratio(2 * covariance, spread)


def _variance(n: Scores, total: Scores, squares: Scores) -> Scores:
    """Variance times n²; exactly 0 where the values are constant but for rounding."""
    variance = n * squares - total**2
    return np.where(variance > ROUNDING * n * squares, variance, 0.0)


def mean_ccc(sums: Sums) -> Scores:
    """Mean over attributes of the CCC, (…) from sums (…, A, 6)."""
    return mean_of_present(ccc(sums))


def ccc_of(index: int) -> Metric:
    """The metric "CCC of attribute `index`", from sums (…, A, 6)."""
    return lambda sums: ccc(sums[..., index, :])


def metrics(attributes: Sequence[str]) -> dict[str, Metric]:
    """The metrics of sums (…, A, 6): "ccc", the mean, and "ccc_<attribute>"."""
    each = {f"ccc_{attribute}": ccc_of(index) for index, attribute in enumerate(attributes)}
    return {"ccc": mean_ccc} | each


def by_speaker(predictions: pd.DataFrame, attributes: Sequence[str], speakers: Sequence[str]) -> Sums:
    """Sums (speaker, A, 6), float64: `predicted_<attribute>` against `<attribute>`.

    `predictions` as described in `bench.evidence.records`; `speakers` gives the order of the first axis. A
    missing column, an unknown speaker or a NaN prediction is a SuiteError.
    """
    columns = [name for attribute in attributes for name in (attribute, f"predicted_{attribute}")]
    require(predictions, ("speaker", *columns))
    speaker = positions(predictions["speaker"], speakers, "speaker")
    found = np.zeros((len(speakers), len(attributes), NUM_SUMS))
    for index, attribute in enumerate(attributes):
        each = sums(_predicted(predictions, attribute), predictions[attribute])
        for place, values in enumerate(each.T):
            found[:, index, place] = np.bincount(speaker, values, minlength=len(speakers))
    return found


def _predicted(predictions: pd.DataFrame, attribute: str) -> Scores:
    values = predictions[f"predicted_{attribute}"].to_numpy(dtype=np.float64)
    if np.isnan(values).any():
        row = int(np.isnan(values).argmax())
        raise SuiteError(
            f"predictions hold a NaN predicted_{attribute} in row {row}; delete the run's record to redo it"
        )
    return values


def summary(sums: Sums, attributes: Sequence[str]) -> dict[str, float]:
    """The scores of one (A, 6) array by name: ccc and ccc_<attribute>, those left out that are undefined."""
    scores = {name: float(metric(sums)) for name, metric in metrics(attributes).items()} if attributes else {}
    return {name: score for name, score in scores.items() if not np.isnan(score)}
