"""One cohort from recordings to records: read, train, choose on dev, score on the test splits, write.

    run_missing(Job("open", cells), folders, on_epoch=print)      # those that nobody trains or has trained
    run_cohort(Job("open", cells), folders, on_epoch=print)

A test split is built only after every student's epoch has been chosen. Records are written last, so a cell
that has one has its predictions and checkpoint too; and where the disk is full before, the cohort is still
whole, and goes on from its training checkpoint. Lightning, slow to import, is imported where training begins:
`bench.training.grid` supervises without it.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from bench import corpora, locks, private
from bench.config import Cell, Pretrained
from bench.corpora.manifest import Manifest
from bench.errors import SuiteError
from bench.evidence import summary
from bench.evidence.records import Cost, Environment, RunRecord, Status
from bench.evidence.store import Store, atomic
from bench.features import plan as feature_plan
from bench.features.normaliser import Normaliser
from bench.features.plan import Source
from bench.folders import Folders
from bench.measuring import environment
from bench.measuring.kernels import trust_recorded
from bench.model import layout
from bench.training import checkpoint, claims, determinism, ranks, samplers, starting, streams, teachers
from bench.training.job import Job
from bench.training.listening import read_with
from bench.training.losses import require_targets
from bench.training.split import Split
from bench.training.tasks import require_tasks

if TYPE_CHECKING:
    from bench.training.cohort import Student
    from bench.training.fit import OnEpoch

CELLS = ".cells"  # ends the name of a file beside a folder of training checkpoints: the ids of its cells


@dataclass(frozen=True)
class Data:
    """A corpus, what its batches are made of, and which split each utterance is in."""

    manifest: Manifest
    source: Source
    assignment: pd.Series[str]
    tests: tuple[str, ...]  # names of the test splits

    def split(self, name: str) -> Split:
        """The utterances of one split; SuiteError where there are none."""
        split = Split.of(self.manifest, self.source.store, self.assignment, name, self.source.texts)
        if not len(split):
            raise SuiteError(
                f"{self.manifest.corpus}: no usable recording in the {name} split of this fold; "
                "complete the corpus or choose other folds with --folds"
            )
        return split


def run_missing(
    job: Job, folders: Folders, on_epoch: OnEpoch = lambda done: None, wait: bool = False
) -> list[RunRecord]:
    """`run_cohort` for the cells of a job that have no record and that nobody else is training.

    With `wait`, a cell that is being trained elsewhere is waited for, and trained here if it fails there.
    """
    store, epochs = Store(folders.results), job.cells[0].recipe.epochs
    wanted = [cell.id for cell in job.cells] if ranks.first() else []
    with claims.hold(folders.claims, wanted, wait) as held:
        free = ranks.told([name for name in wanted if name in held.ids and not store.finished(name)])

        def progress(done: int) -> None:
            held.note(f"epoch {done} of {epochs}")
            on_epoch(done)

        left = tuple(cell for cell in job.cells if cell.id in free)
        return run_cohort(Job(job.preset, left), folders, progress) if left else []


def run_cohort(job: Job, folders: Folders, on_epoch: OnEpoch = lambda done: None) -> list[RunRecord]:
    """Train one cohort and write its records, predictions and checkpoints; returns the records.

    A finished cohort leaves no training checkpoint behind. SuiteError for data that cannot be used.
    """
    with determinism.demanded(folders.deterministic) as lacking:
        return _run_cohort(job, folders, on_epoch, lacking)


def _run_cohort(job: Job, folders: Folders, on_epoch: OnEpoch, lacking: set[str]) -> list[RunRecord]:
    """See `run_cohort`; `lacking` names the operations that were not deterministic though that was asked."""
    from bench.training import scoring
    from bench.training.fit import fit

    started, machine = time.perf_counter(), _machine()
    kernels = trust_recorded(Store(folders.results))
    first = job.cells[0]
    data = read(first, folders)
    train, dev = data.split("train"), data.split("dev")
    normaliser = None
    if not isinstance(first.features, Pretrained):
        normaliser = Normaliser.fit(data.source.store, list(train.table["utterance"]))
    cohort_name = f"cohort-{streams.number(*sorted(cell.id for cell in job.cells)):x}"
    training = folders.results / "checkpoints" / cohort_name
    _name_cells(training, job)
    teacher = teachers.teacher(first, data.manifest.emotions, Store(folders.results), folders.models)
    start = starting.weights(first, folders.results, folders.models, train.emotions)
    encoders = data.source.encoders
    cohort = fit(job.cells, train, dev, normaliser, training, on_epoch, encoders, teacher, start)
    splits = {"train": train, "dev": dev} | {name: data.split(name) for name in data.tests}
    common = {
        "utterances": {name: len(split) for name, split in splits.items()},
        "skipped_files": tuple(private.utterance(problem.name) for problem in data.source.store.skipped),
    }
    cost = Cost(
        train_s=0.0,
        cohort_wall_s=time.perf_counter() - started,
        cohort=tuple(cell.system.layout for cell in job.cells),
        epochs=0,
        waiting_share=cohort.waiting_share,
        feature_plan=data.source.plan,
        kernels=kernels,
        deterministic=folders.deterministic,
        nondeterministic=tuple(sorted(lacking)),
    )
    held_out = {name: split for name, split in splits.items() if name != "train"}
    scored = [cell for cell in job.cells if cohort.student(cell).status == "ok"]
    predictions = scoring.predict_all(cohort, scored, held_out)
    records = []
    for cell in job.cells:
        trained = common | _training_fields(cohort.student(cell), cost)
        record = blank_record(cell, job.preset, data.manifest, machine).model_copy(update=trained)
        found = predictions.get(cell.id)
        records.append(_keep(record, cohort.student(cell), normaliser, found, Store(folders.results)))
    for record in records if ranks.first() else ():
        Store(folders.results).write(record)
    if ranks.first():
        _forget(training)
    ranks.meet()
    return records


def _name_cells(training: Path, job: Job) -> None:
    """Write down, beside a folder of training checkpoints, whose they are: see `sweep_finished`."""
    if ranks.first():
        with atomic(training.with_suffix(CELLS)) as temporary:
            temporary.write_text("".join(f"{cell.id}\n" for cell in job.cells), encoding="utf-8")


def _forget(training: Path) -> None:
    """Remove a folder of training checkpoints, and then what says whose they are."""
    shutil.rmtree(training, ignore_errors=True)
    training.with_suffix(CELLS).unlink(missing_ok=True)


def sweep_finished(folders: Folders) -> None:
    """Remove what killed processes have left of finished work: training checkpoints and unfinished files."""
    store = Store(folders.results)
    for name in ("runs", "predictions", "checkpoints"):
        locks.sweep(folders.results / name)
    for named in (folders.results / "checkpoints").glob(f"cohort-*{CELLS}"):
        with suppress(OSError):  # removed at this moment
            if all(store.finished(cell) for cell in named.read_text(encoding="utf-8").split()):
                _forget(named.with_suffix(""))


def _machine() -> Environment:
    here = environment.describe(torch.get_num_threads(), "cuda" if torch.cuda.is_available() else "cpu")
    return here.model_copy(update={"processes": ranks.count()})


def _keep(
    record: RunRecord,
    student: Student,
    normaliser: Normaliser | None,
    predictions: pd.DataFrame | None,
    store: Store,
) -> RunRecord:
    """A student's record with its scores; its checkpoint and its predictions are written.

    Of processes that share the work all have predicted, and the first writes.
    """
    if predictions is not None:
        cell = record.config
        scores = summary.of(predictions, record.emotions, record.attributes)
        record = record.model_copy(update={"metrics": scores})
        if ranks.first():
            path = store.checkpoint_path(cell.id)
            checkpoint.save(path, cell, student.best, normaliser, record.emotions, record.attributes)
            store.write_predictions(cell.id, predictions)
    return record


def require_cell(cell: Cell, manifest: Manifest) -> None:
    """SuiteError where the sampler of a cell cannot work on its fold, or a further task has no targets."""
    task, trained = cell.task, manifest.assign(cell.task.protocol, cell.task.fold).eq("train")
    emotions = manifest.table.loc[manifest.table["utterance"].map(trained).eq(True), "emotion"]
    where = f"{task.corpus}/{task.protocol} fold {task.fold}"
    present = [emotion for emotion in manifest.emotions if manifest.table["emotion"].eq(emotion).any()]
    samplers.require_batches(cell.recipe, where, list(emotions), present)
    samplers.guide(cell)
    require_tasks(cell.recipe, cell.features, manifest)
    teachers.require_teaching(cell.recipe)


def read(cell: Cell, folders: Folders) -> Data:
    """The corpus of a cell, its features, and each utterance's split; SuiteError where one is missing."""
    task = cell.task
    manifest = corpora.load(task.corpus, folders.data_root, task.corpus_options, folders.cache)
    require_targets(cell.recipe, manifest)
    require_cell(cell, manifest)
    with ranks.first_goes_ahead():
        folders = read_with(cell.recipe, folders)
        source = feature_plan.open_source(manifest, cell.features, folders, ranks.device_in_use())
    assignment = manifest.assign(task.protocol, task.fold)
    return Data(manifest, source, assignment, manifest.test_splits(task.protocol, task.fold))


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
        label=layout.label(cell.system.layout, cell.features),
        synthetic=manifest.synthetic,
        corpus_title=manifest.title,
        emotions=manifest.emotions if cell.recipe.emotion_weight else (),
        attributes=manifest.attributes if cell.recipe.attribute_weight else (),
        status=status,
        reason=reason,
        environment=machine,
    )


def write_failed(
    job: Job, manifest: Manifest, folders: Folders, threads: int, reason: str
) -> list[RunRecord]:
    """Write and return a failed record for every cell of a job that has none that stands.

    A cell that another process has taken up meanwhile is left to it.
    """
    store, machine = Store(folders.results), environment.describe(threads)
    with claims.hold(folders.claims, [cell.id for cell in job.cells]) as held:
        records = [
            blank_record(cell, job.preset, manifest, machine, "failed", reason)
            for cell in job.cells
            if cell.id in held.ids and not store.finished(cell.id)
        ]
        for record in records:
            store.write(record)
    return records


def _training_fields(student: Student, cohort: Cost) -> dict[str, object]:
    """Record fields that training fills; `cohort` holds the costs that are shared."""
    return {
        "status": student.status,
        "reason": student.reason,
        "best_epoch": student.best_epoch,
        "curve": tuple(student.curve),
        "parameters": student.sizes,
        "cost": cohort.model_copy(update={"train_s": student.train_s, "epochs": len(student.curve)}),
    }
