"""From per-utterance predictions to confusion counts, one matrix a speaker.

    counts = by_speaker(store.predictions(run_id), emotions, speakers)    # (speaker, C, C)
    coded(predictions, emotions, speakers).counts(group, groups=2)        # (group, speaker, C, C)

The speaker is kept because utterances of one speaker are not independent: the bootstrap draws
speakers (`bench.evidence.bootstrap`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.errors import SuiteError

Columns = pd.DataFrame | Mapping[str, npt.NDArray[Any]]  # by name


@dataclass(frozen=True)
class Coded:
    """Speaker, label and guess (the highest logit) of every utterance as numbers, each int (N,)."""

    speaker: npt.NDArray[np.intp]
    label: npt.NDArray[np.intp]
    guess: npt.NDArray[np.intp]
    speakers: int
    classes: int

    def by_speaker(self) -> npt.NDArray[np.int64]:
        """Confusion counts of all utterances, int64 (speaker, C, C)."""
        return self.counts(np.zeros(len(self.label), dtype=np.intp), 1)[0]

    def counts(self, group: npt.NDArray[np.intp], groups: int) -> npt.NDArray[np.int64]:
        """Confusion counts, int64 (groups, speaker, C, C); `group` (N,) is below 0 where there is none."""
        inside = group >= 0
        flat = (group * self.speakers + self.speaker) * self.classes + self.label
        flat = flat[inside] * self.classes + self.guess[inside]
        shape = (groups, self.speakers, self.classes, self.classes)
        return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)


def coded(predictions: pd.DataFrame, emotions: Sequence[str], speakers: Sequence[str]) -> Coded:
    """Predictions as numbers; a label, speaker or logit outside what is known is a SuiteError."""
    require(predictions, ("speaker", "label"))
    guess = guesses(predictions, emotions)
    speaker = positions(predictions["speaker"], speakers, "speaker")
    label = positions(predictions["label"], emotions, "label")
    return Coded(speaker, label, guess, len(speakers), len(emotions))


def guesses(predictions: Columns, emotions: Sequence[str]) -> npt.NDArray[np.intp]:
    """The emotion with the highest logit of every utterance, (N,), as its place in `emotions`.

    SuiteError where a logit is missing or NaN.
    """
    columns = [f"logit_{emotion}" for emotion in emotions]
    require(predictions, columns)
    logits = np.stack([np.asarray(predictions[name], dtype=np.float64) for name in columns], axis=1)
    if np.isnan(logits).any():
        row = int(np.isnan(logits).any(axis=1).argmax())
        raise SuiteError(f"predictions hold a NaN logit in row {row}; delete the run's record to redo it")
    return logits.argmax(axis=1)


def require(predictions: Columns, columns: Sequence[str]) -> None:
    """SuiteError naming the first of `columns` that a predictions table lacks."""
    missing = [name for name in columns if name not in predictions]
    if missing:
        raise SuiteError(f"predictions lack the column {missing[0]!r}; delete the run's record to redo it")


def by_speaker(
    predictions: pd.DataFrame, emotions: Sequence[str], speakers: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Confusion counts, int64 (speaker, C, C): reference on the rows, highest logit on the columns.

    `predictions` as described in `bench.evidence.records`; `emotions` gives the class order and
    `speakers` the order of the first axis. A label, speaker or logit outside these is a SuiteError.
    """
    return coded(predictions, emotions, speakers).by_speaker()


def positions(values: pd.Series, known: Sequence[str], what: str) -> npt.NDArray[np.intp]:
    """Where each value stands in `known`; SuiteError naming the first that does not, as a `what`."""
    found = pd.Index(known).get_indexer(pd.Index(values))
    if (found < 0).any():
        stranger = values.iloc[int((found < 0).argmax())]
        raise SuiteError(f"predictions hold the {what} {stranger!r}, none of {', '.join(known)}")
    return found
