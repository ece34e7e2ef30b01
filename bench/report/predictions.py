"""The predictions of runs, each file read once; what runs of a fold share is kept once for all of them.

    predictions = Predictions(store)
    found = predictions.of(run, "test")
    found.truth.rows               # utterance, speaker, label, …: one object for all runs that hold the same
    found.outputs                  # logits and predicted attributes, row by row beside these

All runs of a fold hear the same utterances, as a rule. Who speaks, what is right and which group an utterance
is in are then looked up once a fold instead of once a run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.errors import SuiteError
from bench.evidence import confusion
from bench.evidence.records import RunRecord
from bench.evidence.store import Store

Places = npt.NDArray[np.intp]
Outputs = dict[str, npt.NDArray[Any]]  # (N,) by column
Utterances = frozenset[tuple[str, str]]  # utterance, speaker


@dataclass(frozen=True, eq=False)
class Truth:
    """The utterances of one split and what is known of them: every column that no system predicted."""

    rows: pd.DataFrame
    _positions: dict[tuple[str, tuple[str, ...]], Places] = field(default_factory=dict, repr=False)

    @cached_property
    def utterances(self) -> Utterances:
        """Every utterance with its speaker."""
        named = (self.rows[name].tolist() for name in ("utterance", "speaker"))
        return frozenset(zip(*named, strict=True))

    @cached_property
    def speakers(self) -> frozenset[str]:
        """Who is heard."""
        return frozenset(self.rows["speaker"].unique())

    def positions(self, column: str, known: Sequence[str]) -> Places:
        """Where the values of a column stand in `known`, (N,); SuiteError for one that does not."""
        key = column, tuple(known)
        if key not in self._positions:
            confusion.require(self.rows, [column])
            self._positions[key] = confusion.positions(self.rows[column], known, column)
        return self._positions[key]


@dataclass(frozen=True, eq=False)
class Predicted:
    """One run on one split: the truth, and what the run made of it."""

    truth: Truth
    outputs: Outputs

    @property
    def table(self) -> pd.DataFrame:
        """Both as one table (columns: see `bench.evidence.records`)."""
        return self.truth.rows.assign(**self.outputs)


@dataclass(frozen=True)
class _Known:
    """The columns of a file that no system predicted, and their rows split by split."""

    columns: Any  # pyarrow.Table
    splits: Mapping[str, tuple[Truth, Places]]


class Predictions:
    """The predictions of runs by split; a run's file is read once, and what was read is kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, list[_Known]] = defaultdict(list)  # by fold
        self._files: dict[str, tuple[_Known, Outputs]] = {}
        self._found: dict[tuple[str, str], Predicted] = {}
        self._utterances: dict[tuple[Truth, ...], Utterances] = {}

    def of(self, run: RunRecord, split: str) -> Predicted:
        """The predictions of one split; SuiteError with the file's path where there are none."""
        key = run.id, split
        if key not in self._found:
            if run.id not in self._files:
                self._files[run.id] = self._read(run)
            with self.naming(run):
                self._found[key] = _of_split(*self._files[run.id], run, split)
        return self._found[key]

    def utterances(self, folds: Sequence[Truth]) -> Utterances:
        """The utterances of several folds; one object for all runs that hold the same."""
        key = tuple(folds)
        if key not in self._utterances:
            self._utterances[key] = frozenset().union(*(truth.utterances for truth in folds))
        return self._utterances[key]

    @contextmanager
    def naming(self, run: RunRecord) -> Iterator[None]:
        """Puts the path of the run's file in front of what is found to be wrong with it."""
        try:
            yield
        except SuiteError as error:
            raise SuiteError(f"{self._store.predictions_path(run.id)}: {error}") from error

    def _read(self, run: RunRecord) -> tuple[_Known, Outputs]:
        table = self._store.prediction_columns(run.id)
        names = table.column_names
        missing = [name for name in ("split", "utterance", "speaker") if name not in names]
        with self.naming(run):
            if missing:
                raise SuiteError(f"lacks the column {missing[0]!r}; delete the run's record to redo it")
        outputs = [name for name in names if name.startswith(("logit_", "predicted_"))]
        known = self._shared(run.config.task.fold, table.drop_columns(outputs))
        return known, {name: table[name].to_numpy() for name in outputs}

    def _shared(self, fold: int, columns: Any) -> _Known:
        """What another run of the fold has read already, where it is the same."""
        columns = columns.replace_schema_metadata()
        for known in self._known[fold]:
            if known.columns.equals(columns):
                return known
        rows = columns.to_pandas()
        places = {str(split): found for split, found in rows.groupby("split").indices.items()}
        splits = {
            split: (Truth(rows.iloc[found].reset_index(drop=True)), found) for split, found in places.items()
        }
        self._known[fold].append(_Known(columns, splits))
        return self._known[fold][-1]


def _of_split(known: _Known, outputs: Outputs, run: RunRecord, split: str) -> Predicted:
    if split not in known.splits:
        raise SuiteError(f"holds no {split} predictions; delete the run's record to redo it")
    truth, places = known.splits[split]
    if run.utterances.get(split, len(places)) != len(places):
        raise SuiteError(
            f"holds {len(places):,} utterances of {split}, its record says {run.utterances[split]:,}; "
            "delete the run's record to redo it"
        )
    return Predicted(truth, {name: values[places] for name, values in outputs.items()})
