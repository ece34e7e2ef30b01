"""Records that allow every figure: runs in both directions, utterances of unequal lengths, profiles, ops.

write_all(Store(tmp_path))
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import report_fixtures as fixtures
import size_fixtures

from bench.config import Bare
from bench.evidence.store import Store

BOTH_WAYS = ("softmax", "retnet", "kda")
STUDY = ("softmax", "softmax_unfused", "retnet", "lightnet", "gsa", "fox", "kda")
STUDY_S = (10.0, 50.0, 100.0, 400.0)
GPU = fixtures.CPU.model_copy(update={"device": "NVIDIA H100", "device_kind": "cuda"})
COMMITTED = Path(__file__).parents[2] / "results"


def write_all(store: Store) -> None:
    """Every kind of record that a figure is drawn from; published numbers and op benchmarks as committed."""
    fixtures.write_runs(store)
    write_causal(store)
    give_lengths(store)
    fixtures.write_profiles(store)
    write_study(store)
    size_fixtures.write_files(store)
    shutil.copytree(COMMITTED / "ops", store.root / "ops")
    shutil.copy(COMMITTED / "reported.csv", store.root)


def write_causal(store: Store, layouts=BOTH_WAYS, loss=0.3) -> None:
    """Causal runs of some layouts, worse than the bidirectional ones but for RetNet's."""
    table = fixtures.manifest()
    for layout, fold in itertools.product(layouts, range(5)):
        cell = fixtures.ravdess_cell(layout, fold, 0, "causal")
        skill = fixtures.SYSTEMS[layout][2] - (0 if layout == "retnet" else loss)
        fixtures.write_run(store, cell, fixtures.fold_part(table, fold), skill=skill)


def give_lengths(store: Store, seed=3) -> None:
    """Log-normal durations, the same for an utterance in every run."""
    names = fixtures.manifest()["utterance"]
    lengths = dict(zip(names, np.random.default_rng(seed).lognormal(1.4, 0.5, len(names)), strict=True))
    for run in store.runs():
        table = store.predictions(run.id)
        store.write_predictions(run.id, table.assign(duration_s=table["utterance"].map(lengths)))


def write_study(store: Store, layouts=STUDY) -> None:
    """What `serbench profile paper` leaves: one mixer of D = 1024 alone, in both directions."""
    for layout, direction, seconds in itertools.product(layouts, ("bidirectional", "causal"), STUDY_S):
        store.write(fixtures.profile_record(layout, "mixer", seconds, GPU, direction, Bare(d_model=1024)))
