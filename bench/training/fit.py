"""One cohort from start to records: read, train, choose on dev, score on test, write.

    run_cohort(Job(cells=..., preset="open"), folders, on_epoch=print)

Everything is resumable: an epoch's end is a checkpoint, and a killed cohort continues from the last one
to the same result. The test split is built only after every student's epoch has been chosen.
"""

from __future__ import annotations

import logging
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch.utils.data import DataLoader

from bench import corpora
from bench.config import Cell
from bench.corpora.manifest import Manifest
from bench.evidence import metrics
from bench.evidence.confusion import by_speaker
from bench.evidence.records import Cost, RunRecord, Status
from bench.evidence.store import Store
from bench.features import cache as feature_cache
from bench.features.normaliser import Normaliser
from bench.folders import Folders
from bench.measuring import environment
from bench.model import layout, recogniser
from bench.training import checkpoint, streams
from bench.training.cohort import Cohort, Student
from bench.training.split import Batch, Batches, Split, buckets

OnEpoch = Callable[[int], None]  # told the number of epochs done


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


class Data(lightning.LightningDataModule):
    """Train and dev batches; bucketed anew each epoch from a stream named by seed and epoch."""

    def __init__(self, train: Split, dev: Split, cell: Cell) -> None:
        super().__init__()
        self.train, self.dev, self.cell = train, dev, cell
        self.crop_frames = round(cell.recipe.max_train_s * 1000 / cell.features.hop_ms)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Every training utterance once."""
        assert self.trainer is not None
        place = (self.cell.seed, self.trainer.current_epoch)
        rng = streams.generator("batches", *place)
        groups = buckets(self.train.lengths, self.cell.recipe.batch_size, rng)
        return _loader(Batches(self.train, groups, self.crop_frames, streams.number("crops", *place)))

    def val_dataloader(self) -> DataLoader[Batch]:
        """The whole dev utterances."""
        return _loader(Batches(self.dev, buckets(self.dev.lengths, self.cell.recipe.batch_size)))


def run_cohort(job: Job, folders: Folders, on_epoch: OnEpoch = lambda done: None) -> list[RunRecord]:
    """Train one cohort and write its records, predictions and checkpoints; returns the records."""
    quieten_lightning()
    started = time.perf_counter()
    first, store = job.cells[0], Store(folders.results)
    manifest = corpora.load(first.task.corpus, folders.data_root, first.task.corpus_options, folders.cache)
    features = feature_cache.prepare(manifest, first.features, folders.cache, skip_bad=folders.skip_bad)
    assignment = manifest.assign(first.task.protocol, first.task.fold)
    train, dev = (Split.of(manifest, features, assignment, name) for name in ("train", "dev"))
    normaliser = Normaliser.fit(features, list(train.table["utterance"]))
    cohort = fit(job.cells, train, dev, normaliser, folders.results / "checkpoints", on_epoch)
    test = Split.of(manifest, features, assignment, "test")
    wall_s = time.perf_counter() - started
    records = []
    for cell in job.cells:
        student = cohort.students[cell.id]
        assert isinstance(student, Student)
        record = blank_record(cell, job.preset, manifest).model_copy(
            update=_training_fields(student, job, wall_s)
            | {"skipped_files": tuple(str(problem.path) for problem in features.skipped)}
        )
        if student.status == "ok":
            predictions = predict_splits(student, normaliser, {"dev": dev, "test": test}, cell)
            record = record.model_copy(update=_score(predictions, manifest.emotions, len(train)))
            checkpoint.save(store.checkpoint_path(cell.id), cell, student.best, normaliser, manifest.emotions)
            store.write_predictions(cell.id, predictions)
        store.write(record)
        records.append(record)
    shutil.rmtree(_cohort_folder(folders.results / "checkpoints", job.cells), ignore_errors=True)
    return records


def fit(
    cells: tuple[Cell, ...],
    train: Split,
    dev: Split,
    normaliser: Normaliser,
    checkpoints: Path,
    on_epoch: OnEpoch,
) -> Cohort:
    """Train every student to the end of the recipe, from the last checkpoint if there is one."""
    recipe = cells[0].recipe
    steps = recipe.epochs * -(-len(train) // recipe.batch_size)
    cohort = Cohort(list(cells), normaliser, train.class_weights(), len(train.emotions), steps)
    folder = _cohort_folder(checkpoints, cells)
    keep = ModelCheckpoint(
        folder, filename="last", save_top_k=1, monitor=None, every_n_epochs=1, save_on_train_epoch_end=True
    )
    keep.FILE_EXTENSION = ".ckpt"
    trainer = lightning.Trainer(
        max_epochs=recipe.epochs,
        accelerator="auto",
        devices=1,
        logger=False,
        callbacks=[keep, _Progress(on_epoch)],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
    )
    last = folder / "last.ckpt"
    trainer.fit(
        cohort,
        datamodule=Data(train, dev, cells[0]),
        ckpt_path=last if last.exists() else None,
        weights_only=True,
    )
    return cohort


def predict_splits(
    student: Student, normaliser: Normaliser, splits: dict[str, Split], cell: Cell
) -> pd.DataFrame:
    """Logits of the chosen epoch for every utterance of the splits, as a predictions table."""
    student.model.load_state_dict(student.best)
    return pd.concat(
        [_predict(student, normaliser, split, name, cell) for name, split in splits.items()],
        ignore_index=True,
    )


@torch.inference_mode()
def _predict(student: Student, normaliser: Normaliser, split: Split, name: str, cell: Cell) -> pd.DataFrame:
    model = student.model.eval()
    device = next(model.parameters()).device
    mean, std = (
        torch.as_tensor(x, dtype=torch.float32, device=device) for x in (normaliser.mean, normaliser.std)
    )
    logits = np.empty((len(split), len(split.emotions)), np.float32)
    for batch in Batches(split, buckets(split.lengths, cell.recipe.batch_size)):
        frames = (batch.frames.to(device) - mean) / std
        logits[batch.index] = model(frames, batch.mask.to(device)).float().cpu().numpy()
    columns = ["utterance", "speaker", "gender", "duration_s"]
    table = split.table[columns].assign(split=name, label=split.table["emotion"])
    return table.assign(**{f"logit_{emotion}": logits[:, i] for i, emotion in enumerate(split.emotions)})


def _score(predictions: pd.DataFrame, emotions: tuple[str, ...], train: int) -> dict[str, object]:
    """Record fields from the predictions of a student: metrics and utterance counts per split."""
    scores, counts = {}, {"train": train}
    for name, rows in predictions.groupby("split"):
        confusion = by_speaker(rows, emotions, sorted(set(rows["speaker"]))).sum(0)
        scores[str(name)] = metrics.summary(confusion, emotions)
        counts[str(name)] = len(rows)
    return {"metrics": scores, "utterances": counts}


def blank_record(
    cell: Cell, preset: str, manifest: Manifest, status: Status = "ok", reason: str = ""
) -> RunRecord:
    """A record of a cell before anything is known of its training."""
    return RunRecord(
        id=cell.id,
        preset=preset,
        config=cell,
        label=layout.label(cell.system.layout),
        synthetic=manifest.synthetic,
        corpus_title=manifest.title,
        emotions=manifest.emotions,
        status=status,
        reason=reason,
        environment=environment.describe(torch.get_num_threads()),
    )


def _training_fields(student: Student, job: Job, wall_s: float) -> dict[str, object]:
    """Record fields that training fills."""
    return {
        "status": student.status,
        "reason": student.reason,
        "best_epoch": student.best_epoch,
        "curve": tuple(student.curve),
        "parameters": recogniser.count_parameters(student.model),
        "cost": Cost(
            train_s=student.train_s,
            cohort_wall_s=wall_s,
            cohort=tuple(mate.system.layout for mate in job.cells),
            epochs=len(student.curve),
        ),
    }


class _Progress(Callback):
    """Tells `on_epoch` how far training is."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        self.on_epoch = on_epoch

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.on_epoch(trainer.current_epoch + 1)


def quieten_lightning() -> None:
    """Lightning's notices about loaders, devices and tips say nothing here that the records do not."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


def _loader(batches: Batches) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None)


def _cohort_folder(checkpoints: Path, cells: tuple[Cell, ...]) -> Path:
    return checkpoints / f"cohort-{streams.number(*sorted(cell.id for cell in cells)):x}"
