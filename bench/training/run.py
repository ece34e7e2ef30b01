"""One cohort from recordings to records: read, train, choose on dev, score on the test splits, write.

    run_cohort(Job("open", cells), folders, on_epoch=print)

A test split is built only after every student's epoch has been chosen. A cell's record is written
last, so a cell that has one has its predictions and checkpoint too.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass

import pandas as pd
import torch

from bench import corpora
from bench.config import Cell
from bench.corpora.manifest import Manifest
from bench.errors import SuiteError
from bench.evidence import summary
from bench.evidence.records import Cost, Environment, RunRecord, Status
from bench.evidence.store import Store
from bench.features import cache as feature_cache
from bench.features.cache import FeatureStore
from bench.features.normaliser import Normaliser
from bench.folders import Folders
from bench.measuring import environment
from bench.model import layout
from bench.training import checkpoint, ranks, scoring, streams
from bench.training.cohort import Cohort, Student
from bench.training.fit import OnEpoch, fit
from bench.training.losses import require_targets
from bench.training.split import Split


@dataclass(frozen=True)
class Job:
    """The cells of one cohort: same task, seed, features, encoder and recipe; one system each."""

    preset: str
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """For people: corpus, fold and seed."""
        first = self.cells[0]
        return f"{first.task.corpus} {first.task.protocol} fold {first.task.fold} seed {first.seed}"

    @property
    def folder(self) -> str:
        """Name of the folder that holds the cohort's training checkpoint."""
        return f"cohort-{streams.number(*sorted(cell.id for cell in self.cells)):x}"


@dataclass(frozen=True)
class Data:
    """A corpus, its features, and which split each utterance is in."""

    manifest: Manifest
    store: FeatureStore
    assignment: pd.Series[str]
    tests: tuple[str, ...]  # names of the test splits

    def split(self, name: str) -> Split:
        """The utterances of one split; SuiteError where there are none."""
        split = Split.of(self.manifest, self.store, self.assignment, name)
        if not len(split):
            raise SuiteError(
                f"{self.manifest.corpus}: no usable recording in the {name} split of this fold; "
                "complete the corpus or choose other folds with --folds"
            )
        return split


def run_cohort(job: Job, folders: Folders, on_epoch: OnEpoch = lambda done: None) -> list[RunRecord]:
    """Train one cohort and write its records, predictions and checkpoints; returns the records.

    A finished cohort leaves no training checkpoint behind. SuiteError for data that cannot be used.
    """
    started, machine = time.perf_counter(), _machine()
    first = job.cells[0]
    data = _read(first, folders)
    train, dev = data.split("train"), data.split("dev")
    normaliser = Normaliser.fit(data.store, list(train.table["utterance"]))
    training = folders.results / "checkpoints" / job.folder
    cohort = fit(job.cells, train, dev, normaliser, training, on_epoch)
    splits = {"train": train, "dev": dev} | {name: data.split(name) for name in data.tests}
    common = {
        "utterances": {name: len(split) for name, split in splits.items()},
        "skipped_files": tuple(str(problem.path) for problem in data.store.skipped),
    }
    wall_s = time.perf_counter() - started
    records = []
    for cell in job.cells:
        trained = common | _training_fields(cohort.student(cell), job, wall_s)
        record = blank_record(cell, job.preset, data.manifest, machine).model_copy(update=trained)
        records.append(_keep(record, cohort, normaliser, splits, Store(folders.results)))
    if ranks.first():
        shutil.rmtree(training, ignore_errors=True)
    ranks.meet()
    return records


def _machine() -> Environment:
    here = environment.describe(torch.get_num_threads(), "cuda" if torch.cuda.is_available() else "cpu")
    return here.model_copy(update={"processes": ranks.count()})


def _keep(
    record: RunRecord, cohort: Cohort, normaliser: Normaliser, splits: dict[str, Split], store: Store
) -> RunRecord:
    """Score a student on dev and tests, and write its checkpoint, its predictions and, last, its record.

    Of processes that share the work all score, and the first writes.
    """
    if record.status == "ok":
        cell = record.config
        held_out = {name: split for name, split in splits.items() if name != "train"}
        predictions = scoring.predict(cohort, cell, held_out)
        best = cohort.student(cell).best
        scores = summary.of(predictions, record.emotions, record.attributes)
        record = record.model_copy(update={"metrics": scores})
        if ranks.first():
            path = store.checkpoint_path(cell.id)
            checkpoint.save(path, cell, best, normaliser, record.emotions, record.attributes)
            store.write_predictions(cell.id, predictions)
    if ranks.first():
        store.write(record)
    return record


def _read(cell: Cell, folders: Folders) -> Data:
    task = cell.task
    manifest = corpora.load(task.corpus, folders.data_root, task.corpus_options, folders.cache)
    require_targets(cell.recipe, manifest)
    with ranks.first_goes_ahead():
        store = feature_cache.prepare(manifest, cell.features, folders.cache, skip_bad=folders.skip_bad)
    assignment = manifest.assign(task.protocol, task.fold)
    return Data(manifest, store, assignment, manifest.test_splits(task.protocol, task.fold))


def blank_record(
    cell: Cell,
    preset: str,
    manifest: Manifest,
    machine: Environment,
    status: Status = "ok",
    reason: str = "",
) -> RunRecord:
    """A record of a cell before anything is known of its training."""
    return RunRecord(
        id=cell.id,
        preset=preset,
        config=cell,
        label=layout.label(cell.system.layout),
        synthetic=manifest.synthetic,
        corpus_title=manifest.title,
        emotions=manifest.emotions if cell.recipe.emotion_weight else (),
        attributes=manifest.attributes if cell.recipe.attribute_weight else (),
        status=status,
        reason=reason,
        environment=machine,
    )


def _training_fields(student: Student, job: Job, wall_s: float) -> dict[str, object]:
    """Record fields that training fills."""
    return {
        "status": student.status,
        "reason": student.reason,
        "best_epoch": student.best_epoch,
        "curve": tuple(student.curve),
        "parameters": student.model.parameter_counts(),
        "cost": Cost(
            train_s=student.train_s,
            cohort_wall_s=wall_s,
            cohort=tuple(mate.system.layout for mate in job.cells),
            epochs=len(student.curve),
        ),
    }
