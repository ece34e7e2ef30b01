"""Cohorts in processes of their own: followed, and ended together when the run ends.

    with Workers(2, folders, threads=1) as workers:
        for job, outcome in workers.run(jobs):
            ...                       # its records, or a sentence on why there are none
        workers.warn(60)              # from a signal handler: until all have kept what they have

A crash or a full memory costs the cohort that it happened in, and no other. Leaving the block (Ctrl-C, an
error) ends the processes at once; what they had checkpointed is continued by the next run. This module
imports torch in the children alone.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Event, Lock
from types import TracebackType

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
from bench.training import warning
from bench.training.job import Job

Outcome = list[RunRecord] | str
KEPT = "kept"  # what a child says when it has answered a warning
GRACE_S = 30.0  # for a child to end after its last word


@dataclass(frozen=True)
class Reason:
    """Why a child has no records."""

    text: str


Message = int | str | list[RunRecord] | Reason | SuiteError  # epochs done, KEPT, or an outcome


class Workers:
    """At most `count` cohorts at a time, each with `threads` threads."""

    def __init__(self, count: int, folders: Folders, threads: int) -> None:
        self.folders, self.threads = folders, threads
        self._pool = ThreadPoolExecutor(max_workers=count)
        self._children: dict[BaseProcess, Event] = {}  # set when it has answered a warning, or is gone
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

    def run(self, jobs: Sequence[Job], wait: bool = False) -> Iterator[tuple[Job, Outcome]]:
        """Each job with its outcome, as they finish; a SuiteError of a child is raised here.

        Cells that are trained already, or (unless `wait`) elsewhere at this moment, have no record in it.
        """
        futures = {self._pool.submit(self._supervise, job, wait): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()

    def warn(self, seconds: float) -> None:
        """Warn every child (`bench.training.warning`); return when all have answered, or after `seconds`."""
        deadline = time.monotonic() + seconds
        for child, answered in dict(self._children).items():
            answered.clear()
            if child.pid is not None and child.is_alive():
                os.kill(child.pid, warning.SIGNALS[0])
                answered.wait(max(0.0, deadline - time.monotonic()))

    def _supervise(self, job: Job, wait: bool) -> Outcome:
        """Start one child and follow it to its end."""
        bar = self._progress.add_task(job.name, total=job.cells[0].recipe.epochs)
        receiver, child = self._start(job, wait)
        outcome: list[RunRecord] | Reason | SuiteError | None = None
        for message in _messages(receiver):
            if isinstance(message, int):
                self._progress.update(bar, completed=message)
            elif isinstance(message, str):
                self._children[child].set()
            else:
                outcome = message
                break
        _end(child)
        with self._lock:
            self._children.pop(child).set()
        if isinstance(outcome, SuiteError):
            raise outcome
        if outcome is None:
            return cause_of_death(child.exitcode or 0)
        return outcome.text if isinstance(outcome, Reason) else outcome

    def _start(self, job: Job, wait: bool) -> tuple[Connection, BaseProcess]:
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(job, self.folders, self.threads, wait, sender))
        with self._lock:
            if self._ended:
                raise SuiteError("the run has ended")
            if sys.platform != "win32":
                resource_tracker.ensure_running()  # or its start would let through what is held back
            with warning.held_back():
                child.start()
            self._children[child] = Event()
        sender.close()
        return receiver, child


def _end(child: BaseProcess) -> None:
    """Wait for a child that has said its last; one that cannot end, as where a reader hangs, is killed."""
    child.join(GRACE_S)
    if child.is_alive():
        child.kill()
        child.join()


def _messages(receiver: Connection) -> Iterator[Message]:
    """What a child sends, until it is gone."""
    with suppress(EOFError):
        while True:
            yield receiver.recv()


def _child(job: Job, folders: Folders, threads: int, wait: bool, sender: Connection) -> None:
    """A cohort's process: sends the number of epochs done, then records, or a reason, or a SuiteError."""
    follow_parent()
    warning.heed(lambda: sender.send(KEPT))
    import torch

    from bench.training.run import run_missing

    torch.set_num_threads(threads)
    try:
        sender.send(run_missing(job, folders, sender.send, wait))
    except SuiteError as error:
        sender.send(SuiteError(str(error)))
    except Exception as error:
        traceback.print_exc()
        sender.send(Reason(f"{type(error).__name__}: {error}"))
