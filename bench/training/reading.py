"""Batches in turn, read ahead of training where that takes long, and how long training waited for them.

    loader = Loader(batches, readers=3)
    for batch in loader: ...
    loader.waited_s

Readers are threads: decoding and reading leave Python's lock alone, a batch needs no shared memory to cross,
and what goes wrong keeps its sentence. One that hangs, as on a disk that is gone, is given up.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from bench.errors import SuiteError
from bench.training.split import Batch, Batches

PATIENCE_S = 900.0  # for one batch: far more than any reading takes, far less than a night
AHEAD = 2  # batches a reader
MOST_READERS = 4


def free_cores() -> int:
    """Readers that a process may have: a core each, and one is left for training; 0 on a single core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_READERS, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1)


class Loader:
    """The batches in order, from number `start`; with 0 readers each is read when it is asked for."""

    def __init__(self, batches: Batches, readers: int = 0, start: int = 0) -> None:
        self.batches, self.readers, self.start = batches, readers, start
        self.waited_s = 0.0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        numbers = range(self.start, len(self))
        source = self._ahead(numbers) if self.readers > 0 else (self.batches[number] for number in numbers)
        while True:
            started = time.perf_counter()
            batch = next(source, None)
            self.waited_s += time.perf_counter() - started
            if batch is None:
                return
            yield batch

    def _ahead(self, numbers: range) -> Iterator[Batch]:
        pool, pending = ThreadPoolExecutor(self.readers), deque[Future[Batch]]()
        try:
            for number in numbers:
                pending.append(pool.submit(self.batches.__getitem__, number))
                if len(pending) > AHEAD * self.readers:
                    yield _read(pending.popleft())
            while pending:
                yield _read(pending.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read(pending: Future[Batch]) -> Batch:
    """A batch, once it is read; SuiteError where that takes longer than `PATIENCE_S`."""
    if not wait([pending], PATIENCE_S).done:
        raise SuiteError(
            f"reading a batch has taken over {PATIENCE_S:g} s; see to the disk that holds the recordings "
            "and give the same command again: it goes on from the last checkpoint"
        )
    return pending.result()
