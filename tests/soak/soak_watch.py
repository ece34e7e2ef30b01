"""Repeats some work in one long-lived process and looks at that process and its children once a second.

    for sample in samples(Round(folder), folder, seconds=3600):
        sample.round, sample.own_bytes, sample.handles, …

`work(number)` is called with 0, 1, 2, …; it is pickled, since the process is a fresh one. Before each round
the process rests, with nothing held that only waits to be freed, until it has been looked at. What it prints
goes to `folder/log.txt`, its temporary files to `folder/temporary`. Leaving the iteration ends the process
and its children.

Memory is what no file backs: RSS less its shared part, on Linux. USS would do where a process is alone, but
rises and falls with the libraries that other processes map, and with every fork.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from bench.measuring.memory import trim_heap
from bench.processes import cause_of_death, follow_parent

SHARED = Path("/dev/shm")
Work = Callable[[int], object]


@dataclass(frozen=True)
class Sample:
    """What a process, its children and its folder held at one moment."""

    seconds: float  # since the watch began
    round: int  # under way, from 0
    own_bytes: int  # memory of the process that no file backs
    resident_bytes: int  # all of it that is in memory (RSS)
    handles: int  # open files, pipes, sockets
    threads: int
    children: int
    children_bytes: int  # of all of them, that no file backs
    files: int  # under the folder
    shared: int  # in /dev/shm, younger than the watch


def samples(work: Work, folder: Path, seconds: float, every_s: float = 1.0) -> Iterator[Sample]:
    """A sample every `every_s` for so many seconds, while `work` is repeated.

    RuntimeError where the work ends before that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_repeat, args=(work, folder, 2 * every_s, sender))
    process.start()
    sender.close()
    try:
        yield from _watched(psutil.Process(process.pid), receiver, folder, seconds, every_s)
        if not process.is_alive():
            process.join()
            raise RuntimeError(f"the work ended by itself: {cause_of_death(process.exitcode or 0)}")
    finally:
        _end(process.pid)
        process.join()
        receiver.close()


def _repeat(work: Work, folder: Path, rest_s: float, sender: Connection) -> None:
    """The process: tells which round begins, rests, and works."""
    follow_parent()
    _stay_within(folder)
    for number in count():
        gc.collect()
        trim_heap()
        sender.send(number)
        time.sleep(rest_s)
        work(number)


def _stay_within(folder: Path) -> None:
    """Print to a file and have temporary files, both in the folder; children do the same."""
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary.resolve())


def _watched(
    process: psutil.Process, receiver: Connection, folder: Path, seconds: float, every_s: float
) -> Iterator[Sample]:
    """Samples from the first round on, until the time is over or the process gone."""
    number = 0
    with suppress(EOFError):
        receiver.poll(None)
    begun, started = time.time(), time.monotonic()
    while (now := time.monotonic() - started) < seconds:
        try:
            while receiver.poll():
                number = receiver.recv()
            yield _sample(process, folder, begun, now, number)
        except (EOFError, psutil.NoSuchProcess, psutil.ZombieProcess):
            return
        time.sleep(max(0.0, every_s - (time.monotonic() - started - now)))


def _sample(process: psutil.Process, folder: Path, begun: float, now: float, number: int) -> Sample:
    children = process.children(recursive=True)
    return Sample(
        seconds=round(now, 3),
        round=number,
        own_bytes=_held_bytes(process),
        resident_bytes=process.memory_info().rss,
        handles=process.num_fds(),
        threads=process.num_threads(),
        children=len(children),
        children_bytes=sum(_held_or_gone(child) for child in children),
        files=sum(len(names) for _, _, names in os.walk(folder)),
        shared=sum(_younger(path, begun) for path in SHARED.glob("*")),
    )


def _held_bytes(process: psutil.Process) -> int:
    """Memory of a process that no file backs; USS where the system does not tell."""
    memory = process.memory_info()
    if hasattr(memory, "shared"):
        return int(memory.rss - memory.shared)
    return int(process.memory_full_info().uss)


def _held_or_gone(process: psutil.Process) -> int:
    """The same, 0 where the process has just gone."""
    try:
        return _held_bytes(process)
    except psutil.Error:
        return 0


def _younger(path: Path, moment: float) -> bool:
    """Whether a file was made after a moment; False where it has just gone."""
    try:
        return path.stat().st_mtime > moment
    except OSError:
        return False


def _end(pid: int | None) -> None:
    """Kill a process and all its children; it is stopped first, or it would start more."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.suspend()
        for each in (*process.children(recursive=True), process):
            with suppress(psutil.NoSuchProcess):
                each.kill()
