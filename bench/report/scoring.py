"""One system's predictions of a split, pooled over folds: what is scored, and whether it may be compared.

    scored = score(Predictions(store), runs, folds={0, 1, 2, 3, 4}, split="test")
    estimates(scored)["uar"].interval()
    headline(scored)                                       # the score that orders a comparison
    obstacle(scored, folds, common_utterances([...]))      # "" or why it has no place in the order

A seed counts once it has every fold; a system without such a seed is scored on its fullest seed and is
incomplete. Systems scored on the same speakers share the bootstrap draws, which is what pairs them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bench.evidence import concordance, confusion
from bench.evidence.bootstrap import DRAWS, Estimate, Resample, Weights, estimate, speaker_weights
from bench.evidence.confusion import Coded
from bench.evidence.metrics import METRICS, Counts, Metric, recall_of
from bench.evidence.records import RunRecord
from bench.report.predictions import Predicted, Predictions, Utterances


@dataclass(frozen=True)
class Scored:
    """What the scores of a system are made of, and what it was counted on."""

    emotions: tuple[str, ...]
    attributes: tuple[str, ...]
    counts: npt.NDArray[np.int64]  # confusions of emotions (seed, speaker, C, C)
    sums: npt.NDArray[np.float64]  # of attributes (seed, speaker, A, 6); see `bench.evidence.concordance`
    speakers: tuple[str, ...]
    utterances: tuple[Utterances, ...]  # of each seed
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    runs: tuple[tuple[RunRecord, ...], ...]  # of each seed
    codes: Mapping[str, Coded]  # utterances as numbers, by run; none where there are no emotions


def score(predictions: Predictions, runs: Sequence[RunRecord], folds: set[int], split: str) -> Scored | None:
    """Count a system's predictions of one split; None where no cell is done."""
    used = _seeds_to_score([run for run in runs if run.status == "ok"], folds)
    if not used:
        return None
    cells = [[(run, predictions.of(run, split)) for run in some] for some in used.values()]
    speakers = tuple(sorted({name for some in cells for _, one in some for name in one.truth.speakers}))
    codes = {run.id: _coded(predictions, run, one, speakers) for some in cells for run, one in some}
    counts = [_confusions([codes[run.id] for run in some], len(speakers)) for some in used.values()]
    sums = [sum(_sums(predictions, run, one, speakers) for run, one in some) for some in cells]
    return Scored(
        emotions=runs[0].emotions,
        attributes=runs[0].attributes,
        counts=np.stack(counts),
        sums=np.stack(sums),
        speakers=speakers,
        utterances=tuple(predictions.utterances([one.truth for _, one in some]) for some in cells),
        folds=tuple(sorted({run.config.task.fold for some in used.values() for run in some})),
        seeds=tuple(used),
        runs=tuple(tuple(some) for some in used.values()),
        codes={name: code for name, code in codes.items() if code},
    )


def confusions(
    predictions: Predictions, runs: Sequence[RunRecord], scored: Scored | None, split: str
) -> dict[str, list[int]]:
    """Confusion counts (C · C, row by row of the reference) of every finished run, by its id.

    Runs that were scored are at hand; the predictions of others (of a seed that lacks a fold) are read. None
    where no emotions are told apart.
    """
    known = scored.codes if scored else {}
    found = {}
    for run in runs:
        if run.status == "ok" and run.emotions:
            code = known.get(run.id) or _coded(predictions, run, predictions.of(run, split))
            assert code is not None
            found[run.id] = code.by_speaker().sum(0).ravel().tolist()
    return found


def _confusions(codes: Sequence[Coded | None], speakers: int) -> npt.NDArray[np.int64]:
    """Counts (speaker, C, C) of one seed, summed over its folds; C is 0 where there are no emotions."""
    found = [code.by_speaker() for code in codes if code]
    return np.sum(found, axis=0) if found else np.zeros((speakers, 0, 0), dtype=np.int64)


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


def _coded(
    predictions: Predictions, run: RunRecord, found: Predicted, speakers: Sequence[str] = ()
) -> Coded | None:
    """A run's emotions as numbers; None where it tells none apart. Without `speakers`: those heard."""
    if not run.emotions:
        return None
    speakers, truth = speakers or sorted(found.truth.speakers), found.truth
    with predictions.naming(run):
        label = truth.positions("label", run.emotions)
        guess = confusion.guesses(found.outputs, run.emotions)
    return Coded(truth.positions("speaker", speakers), label, guess, len(speakers), len(run.emotions))


def _sums(
    predictions: Predictions, run: RunRecord, found: Predicted, speakers: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Sums of attributes (speaker, A, 6); A may be 0."""
    if not run.attributes:
        return np.zeros((len(speakers), 0, concordance.NUM_SUMS))
    with predictions.naming(run):
        return concordance.by_speaker(found.table, run.attributes, speakers)


def common_utterances(scored: Iterable[Scored | None], folds: set[int]) -> Utterances:
    """The utterances that most of the complete systems were scored on."""
    votes = Counter(found.utterances[0] for found in scored if found and len(found.folds) == len(folds))
    return max(votes, key=lambda names: (votes[names], len(names), sorted(names)), default=frozenset())


def obstacle(scored: Scored | None, folds: set[int], common: Utterances) -> str:
    """Why a system cannot be compared with the others; empty where it can."""
    if scored is None:
        return "failed"
    if len(scored.folds) < len(folds):
        done = ", ".join(str(fold) for fold in scored.folds)
        return f"incomplete: {'fold' if len(scored.folds) == 1 else 'folds'} {done} of {len(folds)}"
    for seed, utterances in zip(scored.seeds, scored.utterances, strict=True):
        if utterances != common:
            return f"other utterances in seed {seed}: {_unlike(utterances, common)}"
    return ""


def _unlike(ours: Utterances, common: Utterances) -> str:
    """How one set of utterances differs from another: "lacks 2 (such as 05-000)"."""
    differences = {"lacks": common - ours, "adds": ours - common}
    return ", ".join(
        f"{verb} {len(some):,} (such as {min(some)[0]})" for verb, some in differences.items() if some
    )


def estimates(scored: Scored) -> dict[str, Estimate]:
    """Every score of a system with its draws, by name.

    "uar", "macro_f1", "wa" and "recall_<emotion>" where it tells emotions apart; "ccc" and "ccc_<attribute>"
    where it predicts attributes.
    """
    found: dict[str, Estimate] = {}
    if scored.emotions:
        recalls = {f"recall_{emotion}": recall_of(index) for index, emotion in enumerate(scored.emotions)}
        found |= _estimates(scored.counts, METRICS | recalls)
    if scored.attributes:
        found |= _estimates(scored.sums, concordance.metrics(scored.attributes))
    return found


def _estimates(statistics: Counts, metrics: Mapping[str, Metric]) -> dict[str, Estimate]:
    drawn = resample(statistics)
    return {name: estimate(metric, drawn) for name, metric in metrics.items()}


def headline(scored: Scored) -> tuple[str, Metric, Counts]:
    """The score that orders a comparison, its metric and its statistics: UAR, or CCC of attributes alone."""
    if scored.emotions:
        return "uar", METRICS["uar"], scored.counts
    return "ccc", concordance.mean_ccc, scored.sums


def resample(statistics: Counts, draws: int = DRAWS) -> Resample:
    """Pooled statistics (seed, speaker, …) with their draws: the same for as many speakers."""
    return Resample.of(statistics, _weights(statistics.shape[1], draws))


@lru_cache(maxsize=8)
def _weights(speakers: int, draws: int) -> Weights:
    return speaker_weights(speakers, draws)
