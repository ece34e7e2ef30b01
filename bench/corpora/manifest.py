"""The manifest: what every corpus becomes, and the only thing about a corpus that later stages see.

    manifest = corpora.load("ravdess", root)
    manifest.table[["utterance", "speaker", "emotion"]]
    split = manifest.assign("luna", fold=0)        # Series: utterance → "train" | "dev" | "test"

A corpus reads names and label files; it never opens audio. Durations are therefore NaN until
`bench.features` has read the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from bench.errors import Problem, SuiteError

COLUMNS = {
    "utterance": "str",  # unique within the corpus
    "path": "str",  # relative to Manifest.root, POSIX slashes
    "speaker": "str",
    "gender": "str",  # "female", "male" or "" where unknown
    "emotion": "str",  # one of Manifest.emotions
    "arousal": "float64",  # NaN where the corpus has none
    "valence": "float64",
    "dominance": "float64",
    "transcript": "str",  # "" where unknown
    "duration_s": "float64",  # NaN until the audio has been read
    "split": "str",  # the corpus's own split, "" where it has none
}


@dataclass(frozen=True)
class Fold:
    """Speakers held out: `dev` for choosing the epoch, `test` for the score; all others train."""

    dev: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """One corpus: a row an utterance, sorted by utterance.

    `protocols` maps a protocol's name ("luna", "loso") to its folds. `problems` are the files that
    were left out of `table` because their name or label cannot be read.
    """

    corpus: str
    title: str
    root: Path
    emotions: tuple[str, ...]  # class order: the order of the logits
    table: pd.DataFrame
    protocols: Mapping[str, tuple[Fold, ...]]
    synthetic: bool = False
    problems: tuple[Problem, ...] = field(default=())

    def __post_init__(self) -> None:
        """Reject a table that breaks the contract: columns, unique utterances, known emotions."""
        if list(self.table.columns) != list(COLUMNS):
            raise ValueError(f"{self.corpus}: manifest columns are {list(self.table.columns)}")
        repeated = self.table["utterance"][self.table["utterance"].duplicated()]
        if len(repeated):
            raise SuiteError(f"{self.corpus}: utterance {repeated.iloc[0]!r} stands in the corpus twice")
        unknown = set(self.table["emotion"]) - set(self.emotions)
        if unknown:
            raise ValueError(f"{self.corpus}: emotions {sorted(unknown)} are none of {self.emotions}")

    def __len__(self) -> int:
        return len(self.table)

    def folds(self, protocol: str) -> tuple[Fold, ...]:
        """The folds of a protocol; SuiteError where the corpus has no such protocol."""
        if protocol not in self.protocols:
            raise SuiteError(
                f"{self.corpus}: no protocol {protocol!r}; there is {', '.join(sorted(self.protocols))}"
            )
        return self.protocols[protocol]

    def assign(self, protocol: str, fold: int) -> pd.Series[str]:
        """Split of every utterance ("train", "dev" or "test"), indexed by utterance."""
        folds = self.folds(protocol)
        if not 0 <= fold < len(folds):
            raise SuiteError(
                f"{self.corpus}: protocol {protocol!r} has folds 0 to {len(folds) - 1}, not {fold}"
            )
        held = {speaker: "dev" for speaker in folds[fold].dev} | {
            speaker: "test" for speaker in folds[fold].test
        }
        split = self.table["speaker"].map(held).fillna("train")
        split.index = pd.Index(self.table["utterance"])
        return split
