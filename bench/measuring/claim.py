"""One sweep at a time in a results folder: two side by side would disturb each other's clock.

    with sole(Path("results/profiles"), waiting=lambda: print("…")):
        …                                   # nobody else is here

The lock is the system's, on the folder itself: it ends with the process that holds it, however that ends,
and leaves no file. Where the system has no such lock (Windows) none is taken.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import SuiteError


def say_waiting() -> None:
    """One sentence on standard error."""
    print("serbench: another process is measuring into this folder; waiting for it to end", file=sys.stderr)


@contextmanager
def sole(folder: Path, waiting: Callable[[], object]) -> Iterator[None]:
    """Hold `folder` (made where it is missing); where another process does, say `waiting` once and wait."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SuiteError(
            f"cannot write {folder}: {error.strerror or error}; choose another folder"
        ) from error
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # closing is not enough where a forked child has the handle too
        os.close(handle)
