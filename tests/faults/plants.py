"""Faults that are planted in a run before it starts: each a function of strings, named to `Stage.start`.

They stand for what cannot be had from outside at the right moment, and act in a run and in its cohorts. The
errors that they raise are those of torch and of the system.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

OOM = {  # torch's words on a GPU and on a processor
    "cuda": "CUDA out of memory. Tried to allocate 9.00 GiB.",
    "cpu": "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 9663676416 bytes. Error code 12 (Cannot allocate memory)",
}


def forked_cohorts() -> None:
    """Cohorts are forked from the run, which has all imports behind it."""
    import multiprocessing

    from bench.training import workers

    class Forking:
        get_context = staticmethod(lambda method: multiprocessing.get_context("fork"))

    workers.multiprocessing = Forking  # type: ignore[misc, assignment]


def no_report() -> None:
    """The run ends with its last record."""
    from bench import cli

    cli._write_report = lambda *_: None


def nan(layout: str) -> None:
    """The outputs of one student are NaN in training, from its second epoch on."""
    _struck(layout, "training_step", lambda outputs, encoded: (outputs * float("nan"), encoded))


def nan_on_dev(layout: str) -> None:
    """The outputs of one student are NaN where the second epoch is scored."""
    _struck(layout, "validation_step", lambda outputs, encoded: (outputs * float("nan"), encoded))


def out_of_memory(layout: str, where: str, device: str) -> None:
    """One student is out of memory: in its "training_step", its "validation_step" or in "scoring"."""
    import torch

    def fail(*found: Any) -> Any:
        raise torch.OutOfMemoryError(OOM["cuda"]) if device == "cuda" else RuntimeError(OOM["cpu"])

    _struck(layout, where, fail)


def _struck(layout: str, where: str, becomes: Callable[..., Any]) -> None:
    """What the student of a layout gives there becomes something else, from the second epoch on."""
    from bench.training.cohort import Cohort, Student

    made, forward = Student.__init__, Cohort._forward

    def make(self: Any, cell: Any, *others: Any) -> None:
        made(self, cell, *others)
        self.layout = cell.system.layout

    def forwarded(self: Any, student: Any, heard: Any) -> Any:
        found = forward(self, student, heard)
        now = getattr(self, "step_now", "scoring")
        return becomes(*found) if (student.layout, now) == (layout, where) and self.current_epoch else found

    Student.__init__, Cohort._forward = make, forwarded  # type: ignore[method-assign]
    for name in ("training_step", "validation_step"):
        _named(Cohort, name)


def _named(cohort: Any, name: str) -> None:
    """Let a cohort know in which step it is."""
    step = getattr(cohort, name)

    def stepping(self: Any, batch: Any, number: int) -> Any:
        self.step_now = name
        try:
            return step(self, batch, number)
        finally:
            self.step_now = "scoring"

    setattr(cohort, name, stepping)


def hung_reader() -> None:
    """The reading of a batch of the second epoch never ends; a run gives it up after a second."""
    import time

    from bench.training import listening, reading, split, workers

    listening.Normalised.slow_to_read = True
    reading.PATIENCE_S, workers.GRACE_S = 1.0, 1.0
    real, calls = split.Batches.__getitem__, []

    def reads(self: Any, number: int) -> Any:
        calls.append(number)
        if len(calls) == 12:
            time.sleep(3600)
        return real(self, number)

    split.Batches.__getitem__ = reads  # type: ignore[method-assign]


def clock_set_back(days: str) -> None:
    """The clock says what it said so many days ago."""
    import datetime
    import time

    now, now_ns, back_s = time.time, time.time_ns, float(days) * 86_400
    time.time = lambda: now() - back_s
    time.time_ns = lambda: now_ns() - int(back_s * 1e9)

    class Earlier(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Earlier:
            return super().now(tz) - datetime.timedelta(seconds=back_s)  # type: ignore[return-value]

    datetime.datetime = Earlier  # type: ignore[misc]


def vanishes(path: str, epoch: str) -> None:
    """A recording is gone after so many epochs."""
    from bench.training import fit

    real = fit._Progress.on_train_epoch_end

    def ended(self: Any, trainer: Any, module: Any) -> None:
        real(self, trainer, module)
        if trainer.current_epoch + 1 == int(epoch):
            Path(path).unlink()

    fit._Progress.on_train_epoch_end = ended  # type: ignore[method-assign]


def dies_writing(pattern: str, when: str) -> None:
    """Everything is killed as a file or folder whose path fits is put in place: "before" or "after"."""

    def strike(path: Path) -> None:
        os.killpg(0, signal.SIGKILL)

    _at_writes(pattern, when, strike)


def dies_removing_checkpoints() -> None:
    """Everything is killed when the first of a cohort's training checkpoints is removed."""
    from bench.training import run

    def forget(training: Path) -> None:
        next(training.iterdir()).unlink()
        os.killpg(0, signal.SIGKILL)

    run._forget = forget


def disk_full_at(pattern: str, ballast: str) -> None:
    """The disk is full, for real, as soon as a file or folder whose path fits is to be written."""

    def strike(path: Path) -> None:
        with suppress(OSError), open(ballast, "ab", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    _at_writes(pattern, "begun", strike)


def _at_writes(pattern: str, when: str, strike: Callable[[Path], object]) -> None:
    """Call `strike` when a target that fits is "begun", or "before" or "after" it is put in place."""
    from contextlib import contextmanager

    from bench import folders, locks
    from bench.evidence import store
    from bench.training import claims

    real = locks.beside

    @contextmanager
    def beside(target: Path) -> Any:
        struck = fnmatch(str(target), pattern)
        with real(target) as temporary:
            if struck and when == "begun":
                strike(target)
            yield temporary
            if struck and when == "after":
                strike(target)

    folders.beside = store.beside = beside  # type: ignore[attr-defined]
    replace, rename, locked = Path.replace, Path.rename, claims._locked

    def placing(real: Callable[..., Any]) -> Callable[..., Any]:
        def place(self: Path, target: Path) -> Any:
            if when == "before" and fnmatch(str(target), pattern):
                strike(Path(target))
            return real(self, target)

        return place

    Path.replace, Path.rename = placing(replace), placing(rename)  # type: ignore[method-assign]

    def claiming(path: Path, wait: bool) -> Any:
        if when == "begun" and fnmatch(str(path), pattern):
            strike(path)
        return locked(path, wait)

    claims._locked = claiming
