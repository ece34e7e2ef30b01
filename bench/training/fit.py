"""The training loop of one cohort: Lightning, a checkpoint at every epoch's end or warning, and resumption.

    cohort = fit(cells, train, dev, normaliser, folder, on_epoch=print)

It is handed the train and dev splits and nothing else, so no test label can sway which epoch is kept.
A cohort that was killed continues from its last checkpoint to the same weights: that of an epoch's end, or of
the batch after which the process was warned (`bench.training.warning`). The one before it is kept, for where
the last is damaged.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor

from bench.config import Cell
from bench.evidence.store import atomic
from bench.features.encoders import Encoders
from bench.features.normaliser import Normaliser
from bench.training import listening, ranks, samplers, streams, tasks, warning
from bench.training.checkpoint import Trained, intact
from bench.training.cohort import Cohort, Lessons
from bench.training.distillation import Teacher
from bench.training.reading import Loader, free_cores
from bench.training.split import Batches, Split, buckets
from bench.training.spread import Spread
from bench.training.tasks import Targets

OnEpoch = Callable[[int], None]  # told the number of epochs done


def fit(
    cells: tuple[Cell, ...],
    train: Split,
    dev: Split,
    normaliser: Normaliser | None,
    folder: Path,
    on_epoch: OnEpoch,
    encoders: Encoders | None = None,
    teacher: Trained | None = None,
    start: dict[str, Tensor] | None = None,
) -> Cohort:
    """Train every student to the end of the recipe, from the checkpoint in `folder` if there is one.

    `normaliser` is None for hidden states; `encoders` run on the batches where these hold samples, or are
    what students train. `teacher` is one that the recipe learns from; `start` an earlier run's weights
    (`bench.training.starting`).
    """
    _quieten_lightning()
    recipe = cells[0].recipe
    steps = recipe.epochs * -(-len(train) // (recipe.batch_size * recipe.accumulate))
    heard = listening.build(cells[0], normaliser, encoders)
    lessons = replace(_lessons(cells[0], train, heard, normaliser, teacher), start=start)
    cohort = Cohort(list(cells), heard, train.class_weights(), len(train.emotions), steps, lessons)
    keeper = _Keeper(folder)
    trainer = lightning.Trainer(
        max_epochs=recipe.epochs,
        accelerator="auto",
        devices=[ranks.device()] if torch.cuda.is_available() else 1,
        logger=False,
        plugins=[LightningEnvironment()],  # processes that share the work are those of `ranks`
        callbacks=[keeper, _Progress(on_epoch)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
    )
    data = Data(train, dev, cells[0], heard, lessons.spread)
    ranks.meet()  # and all see the same checkpoint, or none
    started = time.perf_counter()
    trainer.fit(
        cohort,
        datamodule=data,
        ckpt_path=keeper.found(),
        weights_only=True,
    )
    cohort.waiting_share = data.waited_s / (time.perf_counter() - started)
    ranks.meet()
    return cohort.to(trainer.strategy.root_device)  # from the CPU, where Lightning leaves it


def _lessons(
    cell: Cell,
    train: Split,
    heard: listening.Listening,
    normaliser: Normaliser | None,
    teacher: Trained | None,
) -> Lessons:
    """What the recipe learns from beside the labels of the train split."""
    recipe = cell.recipe
    return Lessons(
        Targets.of(train, heard.frames(recipe.max_train_s)) if tasks.wanted(recipe) else None,
        None if teacher is None else Teacher(teacher, normaliser),
        samplers.spread(recipe, train, cell.seed),
    )


class Data(lightning.LightningDataModule):
    """Train and dev batches; the former made anew each epoch by the recipe's sampler."""

    def __init__(
        self,
        train: Split,
        dev: Split,
        cell: Cell,
        heard: listening.Listening,
        spread: Spread | None = None,
    ) -> None:
        super().__init__()
        self.train, self.dev, self.cell, self.spread = train, dev, cell, spread
        self.heard, self.crop_frames = heard, heard.frames(cell.recipe.max_train_s)
        self.readers = max(1, free_cores()) if heard.slow_to_read else 0
        self.loaders: list[Loader] = []

    @property
    def waited_s(self) -> float:
        """Seconds that training and dev scoring have waited for batches."""
        return sum(loader.waited_s for loader in self.loaders)

    def train_dataloader(self) -> Loader:
        """The batches of the epoch."""
        assert self.trainer is not None
        place = (self.cell.seed, self.trainer.current_epoch)
        groups = samplers.groups(self.cell.recipe, self.train, *place, self.spread)
        seed, heard = streams.number("crops", *place), self.heard
        waveform = self.cell.recipe.waveform
        batches = Batches(self.train, groups, self.crop_frames, seed, heard.hop, heard.field, waveform)
        return self._loader(batches, self._trained())

    def val_dataloader(self) -> Loader:
        """The whole dev utterances."""
        return self._loader(Batches(self.dev, buckets(self.dev.lengths, self.cell.recipe.batch_size)))

    def _trained(self) -> int:
        """Batches of the epoch that a checkpoint has behind it."""
        assert self.trainer is not None
        loop = self.trainer.fit_loop
        return loop.epoch_loop.batch_progress.current.ready if loop.restarting else 0

    def _loader(self, batches: Batches, start: int = 0) -> Loader:
        self.loaders.append(Loader(batches, self.readers, start))
        return self.loaders[-1]


class _Keeper(Callback):
    """Writes the cohort's checkpoint at every epoch's end and, where the process is warned, at once.

    After a warning nothing ends: training goes on until it is done or killed.
    """

    def __init__(self, folder: Path) -> None:
        self.last, self.previous = folder / "last.ckpt", folder / "previous.ckpt"

    def found(self) -> Path | None:
        """The latest checkpoint that is whole; None where there is none. A damaged one is told."""
        for path in (self.last, self.previous):
            if path.is_file():
                if intact(path):
                    return path
                if ranks.first():
                    said = f"{path} is damaged; training goes on from an earlier state"
                    print(f"serbench: {said}", file=sys.stderr)
        return None

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        warning.again()  # Lightning has taken SIGTERM

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, *batch: Any
    ) -> None:
        """Between two steps of the optimisers, but not after the last: Lightning would skip the dev split."""
        assert isinstance(module, Cohort)
        if warning.given() and module.due(batch[-1]) and not trainer.is_last_batch:
            self._keep(trainer)

    def on_validation_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, *batch: Any
    ) -> None:
        """The epoch's training is done; its dev split will be scored anew."""
        if warning.given():
            self._keep(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._keep(trainer)

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let a checkpoint from amid the dev split begin that split again: its counts are not kept."""
        if trainer.validating:
            begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            progress.update(total=begun, current=begun)

    def _keep(self, trainer: lightning.Trainer) -> None:
        if ranks.first():
            with atomic(self.last) as temporary:
                trainer.save_checkpoint(temporary)
                if self.last.is_file():
                    self.last.replace(self.previous)
        if warning.given():
            warning.answer()


class _Progress(Callback):
    """Tells `on_epoch` how far training is."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        self.on_epoch = on_epoch

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.on_epoch(trainer.current_epoch + 1)


def _quieten_lightning() -> None:
    """Lightning's notices about loaders, devices and tips say nothing here that the records do not."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
