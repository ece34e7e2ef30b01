"""One system's predictions of a split, pooled over folds: what is scored, and whether it may be compared.

    scored = score(store, runs, folds={0, 1, 2, 3, 4}, split="test")
    estimates(scored, emotions)["uar"].interval()
    obstacle(scored, folds, common_utterances([...]))      # "" or why it has no place in the order

A seed counts once it has every fold; a system without such a seed is scored on its fullest seed and is
incomplete. Systems scored on the same speakers share the bootstrap draws, which is what pairs them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.errors import SuiteError
from bench.evidence.bootstrap import Estimate, Resample, Weights, estimate, speaker_weights
from bench.evidence.confusion import by_speaker
from bench.evidence.metrics import METRICS, recall_of
from bench.evidence.records import RunRecord
from bench.evidence.store import Store


@dataclass(frozen=True)
class Scored:
    """Confusion counts (seed, speaker, C, C) of a system and what they were counted on."""

    counts: npt.NDArray[np.int64]
    speakers: tuple[str, ...]
    utterances: frozenset[str]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]


def score(store: Store, runs: Sequence[RunRecord], folds: set[int], split: str) -> Scored | None:
    """Count a system's predictions of one split; None where no cell is done."""
    used = _seeds_to_score([run for run in runs if run.status == "ok"], folds)
    if not used:
        return None
    tables = {run.id: _predictions(store, run, split) for some in used.values() for run in some}
    speakers = tuple(sorted({name for table in tables.values() for name in table["speaker"]}))
    counts = [sum(_count(store, run, tables[run.id], speakers) for run in some) for some in used.values()]
    return Scored(
        counts=np.stack(counts),
        speakers=speakers,
        utterances=frozenset(name for table in tables.values() for name in table["utterance"]),
        folds=tuple(sorted({run.config.task.fold for some in used.values() for run in some})),
        seeds=tuple(used),
    )


def _seeds_to_score(runs: Sequence[RunRecord], folds: set[int]) -> dict[int, list[RunRecord]]:
    """The runs of every seed that has all folds; where none has, those of the one with most folds."""
    by_seed: dict[int, list[RunRecord]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.config.seed, run.config.task.fold)):
        by_seed[run.config.seed].append(run)
    full = {seed: some for seed, some in by_seed.items() if len(some) == len(folds)}
    if full or not by_seed:
        return full
    fullest = max(by_seed, key=lambda seed: (len(by_seed[seed]), -seed))
    return {fullest: by_seed[fullest]}


def _predictions(store: Store, run: RunRecord, split: str) -> pd.DataFrame:
    table = store.predictions(run.id)
    path = store.predictions_path(run.id)
    missing = [name for name in ("split", "utterance", "speaker") if name not in table]
    if missing:
        raise SuiteError(f"{path}: lacks the column {missing[0]!r}; delete the run's record to redo it")
    scored = table[table["split"] == split]
    if scored.empty:
        raise SuiteError(f"{path}: holds no {split} predictions; delete the run's record to redo it")
    return scored


def _count(
    store: Store, run: RunRecord, table: pd.DataFrame, speakers: Sequence[str]
) -> npt.NDArray[np.int64]:
    """`by_speaker`, with the file's name in front of what is wrong with it."""
    try:
        return by_speaker(table, run.emotions, speakers)
    except SuiteError as error:
        raise SuiteError(f"{store.predictions_path(run.id)}: {error}") from error


def common_utterances(scored: Iterable[Scored | None], folds: set[int]) -> frozenset[str]:
    """The utterances that most of the complete systems were scored on."""
    votes = Counter(found.utterances for found in scored if found and len(found.folds) == len(folds))
    return max(votes, key=lambda names: (votes[names], len(names), sorted(names)), default=frozenset())


def obstacle(scored: Scored | None, folds: set[int], common: frozenset[str]) -> str:
    """Why a system cannot be compared with the others; empty where it can."""
    if scored is None:
        return "failed"
    if len(scored.folds) < len(folds):
        done = ", ".join(str(fold) for fold in scored.folds)
        return f"incomplete: {'fold' if len(scored.folds) == 1 else 'folds'} {done} of {len(folds)}"
    if scored.utterances != common:
        return f"other utterances: {len(scored.utterances):,} where the others have {len(common):,}"
    return ""


def estimates(scored: Scored, emotions: Sequence[str]) -> dict[str, Estimate]:
    """Every score of a system ("uar", "macro_f1", "wa", "recall_<emotion>") with its draws."""
    resample = Resample.of(scored.counts, _weights(len(scored.speakers)))
    recalls = {f"recall_{emotion}": recall_of(index) for index, emotion in enumerate(emotions)}
    return {name: estimate(metric, resample) for name, metric in (METRICS | recalls).items()}


@lru_cache(maxsize=8)
def _weights(speakers: int) -> Weights:
    return speaker_weights(speakers)
