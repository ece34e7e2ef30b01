"""The manifest: what every corpus becomes, and the only thing about a corpus that later stages see.

    manifest = corpora.load("ravdess", root)
    manifest.table[["utterance", "speaker", "emotion"]]
    split = manifest.assign("luna", fold=0)        # Series: utterance → "train" | "dev" | "test"
    manifest.test_splits("luna", fold=0)           # ("test",)

A corpus reads names and label files; it never opens audio. Durations are therefore NaN until
`bench.features` has read the files. A protocol's folds are either speakers held out (`Fold`) or the
splits that the corpus comes with (`OwnSplits`), which may have several test splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from bench.attributes import ATTRIBUTES
from bench.errors import Problem, SuiteError

NEARLY_ALL = 0.95  # share of the utterances that must have an attribute for a corpus to have it

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
ADDED = "added"  # the split of utterances that train in every fold


def fingerprint(file: Path) -> str:
    """Eight hex digits of a file's SHA-256, for a protocol's name: another file is another comparison."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:8]


@dataclass(frozen=True)
class Fold:
    """Speakers held out: `dev` for choosing the epoch, `test` for the score; all others train."""

    dev: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def test_splits(self) -> tuple[str, ...]:
        """The names of the splits that are scored and never chosen on."""
        return ("test",)

    def assign(self, table: pd.DataFrame) -> pd.Series[str]:
        """Split of every row of a manifest's table, by row."""
        held = dict.fromkeys(self.dev, "dev") | dict.fromkeys(self.test, "test")
        return table["speaker"].map(held).fillna("train")


def rotation(groups: Sequence[tuple[str, ...]]) -> tuple[Fold, ...]:
    """A fold a group of speakers: it is tested, and the next (after the last comes the first) is dev."""
    return tuple(Fold(dev=groups[(i + 1) % len(groups)], test=group) for i, group in enumerate(groups))


@dataclass(frozen=True)
class OwnSplits:
    """The splits that a corpus comes with; `roles` names each: "train", "dev", or a test split.

    `roles` maps values of the table's column `split`; utterances of other splits have no part. With
    `disjoint`, training utterances of speakers who are also in a held-out split have none either.
    """

    roles: Mapping[str, str]
    disjoint: bool = False

    @property
    def test_splits(self) -> tuple[str, ...]:
        """The names of the splits that are scored and never chosen on; there may be none."""
        return tuple(name for name in self.roles.values() if name not in ("train", "dev"))

    def assign(self, table: pd.DataFrame) -> pd.Series[str]:
        """Split of the rows of a manifest's table that have a part, by row."""
        split = table["split"].map(dict(self.roles)).dropna()
        if not self.disjoint:
            return split
        speakers = table["speaker"].loc[split.index]
        held = speakers[split != "train"].unique()
        return split[(split != "train") | ~speakers.isin(held)]


@dataclass(frozen=True)
class Manifest:
    """One corpus: a row an utterance, sorted by utterance.

    `protocols` maps a protocol's name ("luna", "loso") to its folds. `problems` are the files that
    were left out of `table` because their name or label cannot be read. `notes` are what else the corpus
    counted, as (heading, text): releases, utterances left out by rule. `warnings` are what to know
    before a score is believed, one sentence each. `parts` are the corpora that this one joins, each whole and
    under its own names; the features are theirs. An utterance or speaker x of part a is a/x here.
    """

    corpus: str
    title: str
    root: Path
    emotions: tuple[str, ...]  # class order: the order of the logits
    table: pd.DataFrame
    protocols: Mapping[str, tuple[Fold | OwnSplits, ...]]
    synthetic: bool = False
    problems: tuple[Problem, ...] = field(default=())
    notes: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    parts: tuple[Manifest, ...] = ()

    def __post_init__(self) -> None:
        """Reject a table that breaks the contract: columns, unique utterances, known emotions."""
        if list(self.table.columns) != list(COLUMNS):
            raise ValueError(f"{self.corpus}: manifest columns are {list(self.table.columns)}")
        repeated = self.table["utterance"][self.table["utterance"].duplicated()]
        if len(repeated):
            raise SuiteError(f"{self.corpus}: utterance {repeated.iloc[0]!r} stands in the corpus twice")
        unknown = set(self.table["emotion"].unique()) - set(self.emotions)
        if unknown:
            raise ValueError(f"{self.corpus}: emotions {sorted(unknown)} are none of {self.emotions}")

    def __len__(self) -> int:
        return len(self.table)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Those of arousal, valence and dominance that are known of (nearly) all utterances."""
        share = self.table[list(ATTRIBUTES)].notna().mean()
        return tuple(name for name in ATTRIBUTES if share[name] >= NEARLY_ALL)

    def protocol(self, name: str) -> str:
        """The full name of a protocol: a corpus of several releases calls "official" `official-2.0`.

        SuiteError where the corpus has no such protocol.
        """
        full = [known for known in self.protocols if known == name or known.startswith(f"{name}-")]
        if not full:
            raise SuiteError(
                f"{self.corpus}: no protocol {name!r}; there is {', '.join(sorted(self.protocols))}"
            )
        return name if name in full else full[0]

    def folds(self, protocol: str) -> tuple[Fold | OwnSplits, ...]:
        """The folds of a protocol; SuiteError where the corpus has no such protocol."""
        return self.protocols[self.protocol(protocol)]

    def assign(self, protocol: str, fold: int) -> pd.Series[str]:
        """Split of every utterance that has one ("train", "dev", …), indexed by utterance."""
        split = self._fold(protocol, fold).assign(self.table)
        split.index = pd.Index(self.table["utterance"].loc[split.index])
        return split

    def test_splits(self, protocol: str, fold: int) -> tuple[str, ...]:
        """The names of a fold's test splits: "test", or those of the corpus."""
        return self._fold(protocol, fold).test_splits

    def _fold(self, protocol: str, fold: int) -> Fold | OwnSplits:
        folds = self.folds(protocol)
        if not 0 <= fold < len(folds):
            raise SuiteError(
                f"{self.corpus}: protocol {protocol!r} has folds 0 to {len(folds) - 1}, not {fold}"
            )
        return folds[fold]
