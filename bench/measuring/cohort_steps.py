"""What a training step costs: the cohort of all layouts, and each alone, on batches like MSP-Podcast's.

    summary = time_cohorts(CohortShape(), Store(Path("results")))       # one record, filled as it goes

Each run is a whole training of some epochs by the loop that trains for records, in a process of its own, on
noise and under a frozen encoder with random weights: what is heard changes no cost. Its first epoch compiles,
tunes and warms up; a sample is the mean step of one of the others, which holds a dev batch and a checkpoint
too. A second call goes on with the runs that are missing.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

from bench.config import CohortShape
from bench.errors import SuiteError
from bench.evidence.cohorts import COHORT, CohortRecord, CohortRun, CohortSetting
from bench.evidence.store import Store, read
from bench.features.made_models import make
from bench.measuring import environment, noise
from bench.measuring.claim import say_waiting, sole
from bench.measuring.cohort_cost import MADE, cells_of, made_encoder, recipe_of
from bench.measuring.counted import Counted
from bench.measuring.isolation import Failure, Guard, default_guard, outcomes
from bench.measuring.kernels import trust_recorded
from bench.model import layout
from bench.progress import track
from bench.training.fit import fit


@dataclass(frozen=True)
class Job:
    """One run, and where its frozen encoder and what is known of kernels lie."""

    shape: CohortShape
    name: str
    models: Path
    results: Path


@dataclass
class Summary(Counted):
    """Runs timed now, and those that failed instead."""

    record: CohortRecord
    done: int = 0
    failed: int = 0

    def counts(self) -> tuple[str, ...]:
        return f"{self.done} runs timed", f"{self.failed} failed"


def time_cohorts(
    shape: CohortShape,
    store: Store,
    *,
    again: bool = False,
    seconds: float | None = None,
    guard: Guard | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Time the runs that the record lacks; `again`: those too that have failed. None begins after `seconds`.

    SuiteError where there is no such device, transformers is missing, or the record cannot be written.
    """
    with sole(store.root / "profiles", say_waiting), tempfile.TemporaryDirectory() as scratch:
        record, start = _recorded(shape, store), clock()
        todo, models = record.left(again), Path(scratch)
        summary = Summary(record, left=len(todo))
        for name in track(todo, "timing training steps", len(todo)):
            if seconds is not None and clock() - start >= seconds:
                break
            if not (models / MADE).exists():
                make(models / MADE, shape.encoder_kind, shape.encoder_size)
            job = Job(shape, name, models, store.root)
            (outcome,) = outcomes(train, [job], guard or default_guard())
            _add(summary, outcome if isinstance(outcome, CohortRun) else _ended(name, outcome))
            store.write(summary.record)
    return summary


def known(shape: CohortShape, hardware: str, store: Store) -> CohortRecord | None:
    """The record of a shape on a machine, where there is one."""
    path = store.cohort_path(setting_of(shape, hardware).id)
    return read(path, CohortRecord) if path.is_file() else None


def setting_of(shape: CohortShape, hardware: str) -> CohortSetting:
    """What identifies such a record."""
    named = shape.model_copy(update={"layouts": shape.layouts or layout.standard()})
    return CohortSetting(**named.model_dump(), hardware=hardware)


def _recorded(shape: CohortShape, store: Store) -> CohortRecord:
    """The record of a shape on this machine as far as it is filled, or an empty one."""
    if shape.device == "cuda" and not torch.cuda.is_available():
        raise SuiteError("training steps: torch finds no CUDA device here; choose device cpu")
    here = environment.describe(1, shape.device)
    setting = setting_of(shape, here.device)
    return known(shape, here.device, store) or CohortRecord(id=setting.id, setting=setting, environment=here)


def train(job: Job) -> CohortRun:
    """One run, on the GPU where there is one."""
    shape, kernels = job.shape, trust_recorded(Store(job.results))
    features, encoders = made_encoder(job.models)
    recipe = recipe_of(shape.batch_size, epochs=shape.epochs, precision=shape.precision)
    names = (shape.layouts or layout.standard()) if job.name == COHORT else (job.name,)
    sizes = (shape.steps * shape.batch_size, shape.batch_size)
    heard, dev = noise.splits(features, sizes, shape.seconds)
    ends: list[float] = []

    def on_epoch(done: int) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            if done == 1:
                torch.cuda.reset_peak_memory_stats()
        ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory(prefix="serbench-") as folder:
        cohort = fit(cells_of(features, recipe, names), heard, dev, None, Path(folder), on_epoch, encoders)
    broken = [
        f"{student.status}: {student.reason}" for _, student in cohort.students.items() if student.reason
    ]
    samples = [1e3 * (end - begin) / shape.steps for begin, end in pairwise(ends)]
    return CohortRun(
        name=job.name,
        status="failed" if broken else "ok",
        reason="; ".join(broken),
        samples_ms=() if broken else tuple(round(sample, 4) for sample in samples),
        peak_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
        kernels=kernels,
    )


def _ended(name: str, failure: Failure) -> CohortRun:
    return CohortRun(name=name, status=failure.status, reason=failure.reason)


def _add(summary: Summary, run: CohortRun) -> None:
    """Put a run into the record, in the place of an earlier try."""
    kept = tuple(known for known in summary.record.runs if known.name != run.name)
    summary.record = summary.record.model_copy(update={"runs": (*kept, run)})
    summary.done += run.status == "ok"
    summary.failed += run.status != "ok"
    summary.left -= 1
