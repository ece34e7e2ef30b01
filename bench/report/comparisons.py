"""The comparisons that the runs make: who was scored on the same thing, and who may be compared with whom.

    for compared in comparisons(store, store.runs()):
        compared.systems[key], compared.scored[key], compared.notes[key]        # key: (layout, direction)

A comparison is one corpus, protocol, corpus options, features, encoder and recipe, scored on one split
(`bench.evidence.comparison`). Where a protocol has several test splits, each is a comparison, and so is dev.
What is scored: `bench.report.scoring`. The predictions of one comparison are in memory at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.config import content_id
from bench.evidence.comparison import comparison
from bench.evidence.records import RunRecord
from bench.evidence.store import Store
from bench.report.predictions import Predictions
from bench.report.scoring import Scored, common_utterances, obstacle, score

Key = tuple[str, str]  # layout, direction


@dataclass(frozen=True)
class Compared:
    """One comparison on one split; `id` is the hash of what its systems share, and the split's name."""

    id: str
    split: str
    runs: Sequence[RunRecord]
    systems: Mapping[Key, Sequence[RunRecord]]
    scored: Mapping[Key, Scored | None]
    notes: Mapping[Key, str]  # why a system cannot be compared; "" where it can
    predictions: Predictions

    @property
    def comparable(self) -> list[Key]:
        """The systems that may be compared, in alphabetical order."""
        return [key for key, note in self.notes.items() if not note]


def comparisons(store: Store, runs: Sequence[RunRecord]) -> Iterator[Compared]:
    """Every comparison that some runs of a results folder make.

    SuiteError where a record or its predictions are damaged.
    """
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        groups[content_id(comparison(run))].append(run)
    for name, group in groups.items():
        predictions = Predictions(store)
        for split in _splits(group):
            yield _compared(name if split == "test" else f"{name}-{split}", split, group, predictions)


def _splits(runs: Sequence[RunRecord]) -> list[str]:
    """The splits to report: "test"; where the protocol names its test splits or has none, dev and these."""
    scored = sorted({split for run in runs for split in run.metrics})
    return ["test"] if "test" in scored or not scored else scored


def _compared(name: str, split: str, runs: Sequence[RunRecord], predictions: Predictions) -> Compared:
    folds = {run.config.task.fold for run in runs}
    systems: dict[Key, list[RunRecord]] = defaultdict(list)
    for run in runs:
        systems[run.config.system.layout, run.config.system.direction].append(run)
    scored = {key: score(predictions, systems[key], folds, split) for key in sorted(systems)}
    common = common_utterances(scored.values(), folds)
    notes = {key: obstacle(some, folds, common) for key, some in scored.items()}
    return Compared(name, split, runs, systems, scored, notes, predictions)
