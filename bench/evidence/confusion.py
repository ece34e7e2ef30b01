"""From per-utterance predictions to confusion counts, one matrix a speaker.

    counts = by_speaker(store.predictions(run_id), emotions, speakers)    # (speaker, C, C)

The speaker is kept because utterances of one speaker are not independent: the bootstrap draws
speakers (`bench.evidence.bootstrap`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.errors import SuiteError


def by_speaker(
    predictions: pd.DataFrame, emotions: Sequence[str], speakers: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Confusion counts, int64 (speaker, C, C): reference on the rows, highest logit on the columns.

    `predictions` as described in `bench.evidence.records`; `emotions` gives the class order and
    `speakers` the order of the first axis. A label, speaker or logit outside these is a SuiteError.
    """
    columns = [f"logit_{emotion}" for emotion in emotions]
    missing = [name for name in ("speaker", "label", *columns) if name not in predictions]
    if missing:
        raise SuiteError(f"predictions lack the column {missing[0]!r}; delete the run's record to redo it")
    logits = predictions[columns].to_numpy(dtype=np.float64)
    if np.isnan(logits).any():
        row = int(np.isnan(logits).any(axis=1).argmax())
        raise SuiteError(f"predictions hold a NaN logit in row {row}; delete the run's record to redo it")
    speaker = positions(predictions["speaker"], speakers, "speaker")
    label = positions(predictions["label"], emotions, "label")
    size = len(emotions)
    flat = (speaker * size + label) * size + logits.argmax(axis=1)
    return np.bincount(flat, minlength=len(speakers) * size * size).reshape(len(speakers), size, size)


def positions(values: pd.Series, known: Sequence[str], what: str) -> npt.NDArray[np.intp]:
    """Where each value stands in `known`; SuiteError naming the first that does not, as a `what`."""
    found = pd.Index(known).get_indexer(pd.Index(values))
    if (found < 0).any():
        stranger = values.iloc[int((found < 0).argmax())]
        raise SuiteError(f"predictions hold the {what} {stranger!r}, none of {', '.join(known)}")
    return found
