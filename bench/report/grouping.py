"""Scores by groups of utterances: women and men, short and long, corpus by corpus.

    rows = group_rows(compared)         # dictionaries: comparison, layout, direction, kind, group, uar,
    uar_low, …

A row is one system on the utterances of one group (`bench.evidence.groups`): kind ("gender", "length" or
"corpus"), group, utterances, speakers, classes (emotions present), uar and wa with _low and _high (95 %).
Speakers of the group are drawn 2,000 times; draws that miss one of its emotions are left out, as their UAR
would be another quantity. Groups without an utterance have no row; where no emotions are trained there are
none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from bench import corpora
from bench.evidence.bootstrap import Resample, estimate
from bench.evidence.groups import Grouping, of
from bench.evidence.metrics import METRICS, Counts
from bench.evidence.records import RunRecord
from bench.report.comparisons import Compared, Key
from bench.report.predictions import Truth
from bench.report.scoring import Scored, resample

DRAWS = 2_000
METRICS_SHOWN = ("uar", "wa")


def group_rows(compared: Compared) -> list[dict[str, Any]]:
    """The rows of one comparison; see above."""
    rows: list[dict[str, Any]] = []
    for key, scored in compared.scored.items():
        if scored and scored.emotions:
            rows += [_identity(compared, key) | row for row in _system_rows(compared, scored)]
    return rows


def _identity(compared: Compared, key: Key) -> dict[str, Any]:
    run = compared.runs[0]
    return {
        "comparison": compared.id,
        "corpus": run.config.task.corpus,
        "split": compared.split,
        "synthetic": run.synthetic,
        "layout": key[0],
        "direction": key[1],
        "comparable": not compared.notes[key],
    }


def _system_rows(compared: Compared, scored: Scored) -> Iterator[dict[str, Any]]:
    """One row a kind and group that has utterances."""
    named = corpora.parts(compared.runs[0].config.task.corpus)
    groupings = cache(lambda truth: of(truth.rows, named))
    seeds = [_seed_counts(compared, some, scored, groupings) for some in scored.runs]
    for kind, (names, _) in seeds[0].items():
        for place, name in enumerate(names):
            counts = np.stack([seed[kind][1][place] for seed in seeds if kind in seed])
            if counts.any():
                yield {"kind": kind, "group": name, **_scores(counts)}


def _seed_counts(
    compared: Compared,
    runs: Sequence[RunRecord],
    scored: Scored,
    groupings: Callable[[Truth], dict[str, Grouping]],
) -> dict[str, tuple[tuple[str, ...], Counts]]:
    """Names and counts (group, speaker, C, C) of every kind of group, summed over the folds of one seed."""
    found: dict[str, tuple[tuple[str, ...], Counts]] = {}
    for run in runs:
        truth = compared.predictions.of(run, compared.split).truth
        for kind, grouping in groupings(truth).items():
            counts = scored.codes[run.id].counts(grouping.codes, len(grouping.names))
            found[kind] = (grouping.names, counts + found[kind][1] if kind in found else counts)
    return found


def _scores(counts: Counts) -> dict[str, Any]:
    """Sizes and scores from counts (seed, speaker, C, C), of those speakers who have utterances."""
    present = counts[:, counts.any(axis=(0, 2, 3))]
    sizes = {
        "utterances": int(present[0].sum()),
        "speakers": present.shape[1],
        "classes": int((present[0].sum(axis=(0, 2)) > 0).sum()),
    }
    drawn = _with_every_class(resample(present, DRAWS))
    for name in METRICS_SHOWN:
        sizes |= estimate(METRICS[name], drawn).interval().columns(name)
    return sizes


def _with_every_class(drawn: Resample) -> Resample:
    """Less the draws in which a class has no utterance that has some in the group."""
    missing = (drawn.draws.sum(axis=-1) == 0) & (drawn.point.sum(axis=-1) > 0)
    return replace(drawn, draws=drawn.draws[~missing.any(axis=(1, 2))])
