"""A plan becomes cells, cells become cohorts, cohorts run in processes of their own.

    grid.run(presets.build("open"), folders, workers=2)

Cells that have a record are left alone; cells that lack one are grouped into cohorts. Each cohort runs
in a fresh process, so that a crash or a full memory costs that cohort alone: its cells get a record
with the reason.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing.connection import Connection

import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench import corpora
from bench.config import Cell, Plan, System, Task, content_id
from bench.corpora.manifest import Manifest
from bench.errors import SuiteError
from bench.evidence.records import RunRecord
from bench.evidence.store import Store
from bench.features import cache as feature_cache
from bench.folders import Folders
from bench.model import layout
from bench.training.run import Job, blank_record, run_cohort

DONE = {"ok", "diverged", "oom"}  # a failed cell is tried again


@dataclass
class Summary:
    """What a run did: cells trained now, cells that had a record, and cells that failed, with reasons."""

    trained: int = 0
    already_done: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def cells(plan: Plan, manifest_of: Callable[[str], Manifest]) -> list[Cell]:
    """Every cell of a plan: tasks × folds × seeds × directions × layouts, cohort by cohort."""
    systems = [
        System(layout=layout.canonical(name), direction=direction)
        for direction in plan.directions
        for name in plan.layouts or layout.standard()
    ]
    return [
        Cell(
            task=task,
            seed=seed,
            system=system,
            features=plan.features,
            encoder=plan.encoder,
            recipe=plan.recipe,
        )
        for seed in plan.seeds
        for task in _tasks(plan, manifest_of)
        for system in systems
    ]


def _tasks(plan: Plan, manifest_of: Callable[[str], Manifest]) -> list[Task]:
    tasks = []
    for name in plan.tasks:
        corpus, _, protocol = name.partition("/")
        folds = range(len(manifest_of(corpus).folds(protocol)))
        for fold in plan.folds or folds:
            if fold not in folds:
                raise SuiteError(
                    f"{name} has folds 0 to {len(folds) - 1}, not {fold}; choose others with --folds"
                )
            options = plan.synthetic if corpus == "synthetic" else {}
            tasks.append(Task(corpus=corpus, protocol=protocol, fold=fold, corpus_options=options))
    return tasks


def jobs(plan: Plan, planned: list[Cell], store: Store) -> list[Job]:
    """Cohorts of the cells that have no finished record."""
    done = {record.id for record in store.runs() if record.status in DONE}
    missing = [cell for cell in planned if cell.id not in done]
    cohorts = groupby(missing, key=lambda cell: (content_id(cell.task), cell.seed))
    return [Job(plan.name, tuple(group)) for _, group in cohorts]


def run(plan: Plan, folders: Folders, workers: int, threads: int = 1) -> Summary:
    """Train every missing cell of the plan; returns what was done.

    Corpora are loaded and features cached here first, so that bad input stops the run before it starts.
    """
    manifests: dict[str, Manifest] = {}

    def manifest_of(corpus: str) -> Manifest:
        if corpus not in manifests:
            options = plan.synthetic if corpus == "synthetic" else {}
            manifests[corpus] = corpora.load(corpus, folders.data_root, options, folders.cache)
        return manifests[corpus]

    store = Store(folders.results)
    planned = cells(plan, manifest_of)
    todo = jobs(plan, planned, store)
    for corpus in dict.fromkeys(job.cells[0].task.corpus for job in todo):
        feature_cache.prepare(manifest_of(corpus), plan.features, folders.cache, skip_bad=folders.skip_bad)
    summary = Summary(already_done=len(planned) - sum(len(job.cells) for job in todo))
    with _progress() as progress, ThreadPoolExecutor(max_workers=workers) as pool:
        futures = {pool.submit(_supervise, job, folders, threads, progress): job for job in todo}
        for future in as_completed(futures):
            job, outcome = futures[future], future.result()
            if isinstance(outcome, str):
                outcome = _failed(job, manifest_of(job.cells[0].task.corpus), store, outcome)
            for record in outcome:
                summary.trained += record.status == "ok"
                if record.status != "ok":
                    summary.failed.append((f"{job.name} {record.label.text}", record.reason))
    return summary


def _progress() -> Progress:
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeElapsedColumn(),
    ]
    return Progress(*columns, TimeRemainingColumn())


def _supervise(job: Job, folders: Folders, threads: int, progress: Progress) -> list[RunRecord] | str:
    """Run one cohort in a child process and follow it: its records, or why there are none.

    A SuiteError in the child is raised here.
    """
    bar = progress.add_task(job.name, total=job.cells[0].recipe.epochs)
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(job, folders, threads, os.getpid(), sender))
    child.start()
    sender.close()
    outcome: list[RunRecord] | str | SuiteError | None = None
    for message in _messages(receiver):
        if isinstance(message, int):
            progress.update(bar, completed=message)
        else:
            outcome = message
    child.join()
    if isinstance(outcome, SuiteError):
        raise outcome
    return outcome or f"the training process died (exit code {child.exitcode})"


def _messages(receiver: Connection) -> Iterator[int | list[RunRecord] | str | SuiteError]:
    """What a child sends, until it is gone."""
    with suppress(EOFError):
        while True:
            yield receiver.recv()


def _child(job: Job, folders: Folders, threads: int, parent: int, sender: Connection) -> None:
    """A cohort's process: sends the number of epochs done, then records, or a reason, or a SuiteError."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(parent)
    torch.set_num_threads(threads)
    try:
        sender.send(run_cohort(job, folders, sender.send))
    except SuiteError as error:
        sender.send(SuiteError(str(error)))
    except Exception as error:
        traceback.print_exc()
        sender.send(f"{type(error).__name__}: {error}")


def _die_with(parent: int) -> None:
    """Have Linux kill this process when its parent dies, so that a killed run leaves no orphan at work."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def _failed(job: Job, manifest: Manifest, store: Store, reason: str) -> list[RunRecord]:
    """Write and return a failed record for every cell of a job."""
    records = [blank_record(cell, job.preset, manifest, "failed", reason) for cell in job.cells]
    for record in records:
        store.write(record)
    return records
