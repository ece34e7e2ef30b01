"""Groups of utterances that a score may differ between: gender, length, corpus.

    for kind, grouping in of(predictions, corpora=("ravdess", "emodb")).items():      # "gender", "length", …
        confusion.coded(predictions, emotions, speakers).counts(grouping.codes, len(grouping.names))

Lengths fall in bins that are the same for every corpus, lower end included. An utterance of a joined corpus
is named `corpus/utterance` (`bench.corpora.manifest`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

EDGES_S = (2.0, 4.0, 6.0, 8.0, 12.0, 20.0)
LENGTHS = (
    f"under {EDGES_S[0]:g} s",
    *(f"{low:g} to {high:g} s" for low, high in pairwise(EDGES_S)),
    f"{EDGES_S[-1]:g} s and over",
)
GENDERS = ("female", "male")


@dataclass(frozen=True)
class Grouping:
    """The groups of one kind, and which of them each utterance is in: `codes` (N,), −1 where unknown."""

    names: tuple[str, ...]
    codes: npt.NDArray[np.intp]


def of(predictions: pd.DataFrame, corpora: Sequence[str]) -> dict[str, Grouping]:
    """The groups of the utterances of a predictions table, by kind: "gender", "length", "corpus".

    `corpora` are those that the predictions may be of; with several, an utterance's name says which. A kind
    whose column the table lacks is left out.
    """
    found = {}
    if "gender" in predictions:
        found["gender"] = _named(predictions["gender"], GENDERS)
    if "duration_s" in predictions:
        found["length"] = Grouping(LENGTHS, _bins(predictions["duration_s"].to_numpy(np.float64)))
    return found | {"corpus": _corpora(predictions["utterance"], corpora)}


def _named(values: pd.Series, names: Sequence[str]) -> Grouping:
    return Grouping(tuple(names), pd.Index(names).get_indexer(pd.Index(values)))


def _bins(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    return np.where(np.isnan(seconds), -1, np.digitize(seconds, EDGES_S))


def _corpora(utterances: pd.Series, corpora: Sequence[str]) -> Grouping:
    if len(corpora) == 1:
        return Grouping(tuple(corpora), np.zeros(len(utterances), dtype=np.intp))
    return _named(utterances.str.partition("/")[0], corpora)
