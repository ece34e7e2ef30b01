"""A task over items in one fresh process, where a crash, a hang or lack of memory is an outcome.

    for outcome in outcomes(measure, shapes, Guard(memory_bytes=8 << 30, hang_s=300)):
        ...                                     # what `measure` returned, or a Failure

Each outcome comes as soon as it is there, and the first Failure ends the items. On Linux the process
is forked from a server that has imported the heavy modules and done nothing else (a fork after torch
has computed is not safe), so a start takes milliseconds, not the seconds of `import torch`.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Literal, TypeVar

import psutil

from bench.measuring import cgroup
from bench.processes import cause_of_death, follow_parent

PRELOAD = ["__main__", "torch", "bench.measuring.targets"]
OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """Why an item has no result."""

    status: Literal["failed", "oom"]
    reason: str


@dataclass(frozen=True)
class Guard:
    """Bounds of the process: memory that it may allocate, and seconds that one item may take."""

    memory_bytes: int
    hang_s: float = 300.0


def default_guard() -> Guard:
    """60 % of the machine's memory, or of what the control group allows, but never what others are using."""
    memory = psutil.virtual_memory()
    total = min(memory.total, cgroup.memory_limit_bytes() or memory.total)
    return Guard(memory_bytes=int(min(0.6 * total, 0.8 * memory.available)))


def outcomes(
    task: Callable[[Item], Result], items: Sequence[Item], guard: Guard
) -> Iterator[Result | Failure]:
    """Outcome of `task(item)` for each item in turn, in one fresh process, up to the first Failure.

    `task` is a function of a module (it is pickled by name); items and results are pickled. Leaving
    the iteration ends the process.
    """
    context = _context()
    ours, theirs = context.Pipe(duplex=False)
    arguments = (theirs, task, tuple(items), guard.memory_bytes)
    process = context.Process(target=_work, args=arguments, daemon=True)  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    try:
        for _ in items:
            outcome = _receive(ours, process, guard.hang_s)
            yield outcome
            if isinstance(outcome, Failure):
                return
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        ours.close()


def _context() -> BaseContext:
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def _receive(connection: Connection, process: BaseProcess, hang_s: float) -> Any:
    if not connection.poll(hang_s):
        return Failure("failed", f"no answer within {hang_s:g} s")
    try:
        return connection.recv()
    except EOFError:
        process.join()
        return _death(process.exitcode or 0)


def _death(exit_code: int) -> Failure:
    killed = exit_code == -signal.SIGKILL
    return Failure("oom" if killed else "failed", cause_of_death(exit_code))


def _work(
    connection: Connection, task: Callable[[Item], Result], items: Sequence[Item], memory_bytes: int
) -> None:
    """The process: every outcome is sent at once; it ends quietly when nobody reads any more."""
    follow_parent()
    _limit_memory(memory_bytes)
    for item in items:
        outcome = _attempt(task, item)
        try:
            connection.send(outcome)
        except BrokenPipeError:
            return
        if isinstance(outcome, Failure):
            return


def _attempt(task: Callable[[Item], Result], item: Item) -> Result | Failure:
    try:
        return task(item)
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300].removesuffix(":")
        short = isinstance(error, MemoryError) or any(words in text.lower() for words in OUT_OF_MEMORY)
        return Failure("oom" if short else "failed", text)


def _limit_memory(memory_bytes: int) -> None:
    """Make allocation past the limit fail in this process, before the system has to kill somebody's."""
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
