"""Cohorts in processes of their own: followed, and ended together when the run ends.

    with Workers(2, folders, threads=1) as workers:
        for job, outcome in workers.run(jobs):
            ...                       # its records, or a sentence on why there are none

A crash or a full memory costs the cohort that it happened in, and no other. Leaving the block (Ctrl-C, an
error) ends the processes at once; what they had checkpointed is continued by the next run.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Lock
from types import TracebackType

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench.errors import SuiteError
from bench.evidence.records import RunRecord
from bench.folders import Folders
from bench.processes import cause_of_death, follow_parent
from bench.training.run import Job, run_cohort

Outcome = list[RunRecord] | str


class Workers:
    """At most `count` cohorts at a time, each with `threads` threads."""

    def __init__(self, count: int, folders: Folders, threads: int) -> None:
        self.folders, self.threads = folders, threads
        self._pool = ThreadPoolExecutor(max_workers=count)
        self._children: set[BaseProcess] = set()
        self._lock, self._ended = Lock(), False
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )

    def __enter__(self) -> Workers:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._ended = True
            for child in self._children:
                child.kill()
        self._pool.shutdown(cancel_futures=True)
        self._progress.stop()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Each job with its outcome, as they finish; a SuiteError of a child is raised here."""
        futures = {self._pool.submit(self._supervise, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()

    def _supervise(self, job: Job) -> Outcome:
        """Start one child and follow it to its end."""
        bar = self._progress.add_task(job.name, total=job.cells[0].recipe.epochs)
        receiver, child = self._start(job)
        outcome: Outcome | SuiteError | None = None
        for message in _messages(receiver):
            if isinstance(message, int):
                self._progress.update(bar, completed=message)
            else:
                outcome = message
        child.join()
        with self._lock:
            self._children.discard(child)
        if isinstance(outcome, SuiteError):
            raise outcome
        return outcome or cause_of_death(child.exitcode or 0)

    def _start(self, job: Job) -> tuple[Connection, BaseProcess]:
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(job, self.folders, self.threads, sender))
        with self._lock:
            if self._ended:
                raise SuiteError("the run has ended")
            child.start()
            self._children.add(child)
        sender.close()
        return receiver, child


def _messages(receiver: Connection) -> Iterator[int | Outcome | SuiteError]:
    """What a child sends, until it is gone."""
    with suppress(EOFError):
        while True:
            yield receiver.recv()


def _child(job: Job, folders: Folders, threads: int, sender: Connection) -> None:
    """A cohort's process: sends the number of epochs done, then records, or a reason, or a SuiteError."""
    follow_parent()
    torch.set_num_threads(threads)
    try:
        sender.send(run_cohort(job, folders, sender.send))
    except SuiteError as error:
        sender.send(SuiteError(str(error)))
    except Exception as error:
        traceback.print_exc()
        sender.send(f"{type(error).__name__}: {error}")
