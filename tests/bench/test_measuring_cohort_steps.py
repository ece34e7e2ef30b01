"""The cost of training steps: one record, filled run by run, and each run a training as it is for records."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from bench.config import CohortShape
from bench.errors import SuiteError
from bench.evidence.cohorts import COHORT, CohortRun
from bench.evidence.store import Store
from bench.evidence.verification import faults
from bench.features.made_models import make
from bench.measuring import cohort_steps
from bench.measuring.cohort_cost import MADE
from bench.measuring.cohort_steps import Job, time_cohorts, train
from bench.measuring.isolation import Failure, Guard
from bench.model import layout

SHAPE = CohortShape(
    encoder_size="tiny",
    batch_size=2,
    seconds=0.5,
    steps=2,
    epochs=3,
    precision="float32",
    layouts=("softmax", "retnet"),
    device="cpu",
)
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that were asked for; retnet's ends without an answer the first time."""
    asked: list[str] = []

    def stand_in(task: Callable, jobs: Sequence[Job], guard: Guard) -> Iterator[CohortRun | Failure]:
        for job in jobs:
            asked.append(job.name)
            if job.name == "retnet" and asked.count("retnet") == 1:
                yield Failure("oom", "CUDA out of memory")
            else:
                yield CohortRun(name=job.name, status="ok", samples_ms=(3.0, 2.0, 7.0), peak_bytes=1000)

    monkeypatch.setattr(cohort_steps, "outcomes", stand_in)
    monkeypatch.setattr(cohort_steps, "make", lambda *arguments: None)
    return asked


def test_the_cohort_and_each_system_alone_are_timed_once(tmp_path: Path, trained: list[str]) -> None:
    store = Store(tmp_path)
    first = time_cohorts(SHAPE, store, seconds=0.0)
    assert (first.done, first.left) == (0, 3)
    summary = time_cohorts(SHAPE, store)
    assert (summary.done, summary.failed, summary.left) == (2, 1, 0)
    assert time_cohorts(SHAPE, store).done == 0
    assert trained == [COHORT, "softmax", "retnet"]
    (record,) = store.cohorts()
    assert [run.status for run in record.runs] == ["ok", "ok", "oom"]
    assert record.runs[0].step_ms == 3.0
    assert not faults(store)


def test_a_run_that_failed_is_timed_again_when_asked_for(tmp_path: Path, trained: list[str]) -> None:
    store = Store(tmp_path)
    time_cohorts(SHAPE, store)
    assert time_cohorts(SHAPE, store, again=True).done == 1
    assert [run.status for run in store.cohorts()[0].runs] == ["ok"] * 3
    assert trained.count("softmax") == 1


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs transformers")
def test_a_run_is_a_training_whose_first_epoch_is_not_counted(tmp_path: Path) -> None:
    make(tmp_path / "models" / MADE, "wavlm", "tiny")
    run = train(Job(SHAPE, "softmax", tmp_path / "models", tmp_path / "results"))
    assert run.status == "ok", run.reason
    assert len(run.samples_ms) == SHAPE.epochs - 1
    assert min(run.samples_ms) > 0
    assert run.kernels == ()


def test_without_names_every_standard_layout_is_timed() -> None:
    named = cohort_steps.setting_of(SHAPE.model_copy(update={"layouts": ()}), "x")
    assert named.layouts == layout.standard()


@no_gpu
def test_without_a_gpu_the_steps_of_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="training steps: torch finds no CUDA device here"):
        time_cohorts(CohortShape(), Store(tmp_path))
