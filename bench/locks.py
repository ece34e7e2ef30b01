"""The system's locks on files: one process at a time has one, and it ends with that process, however it ends.

    with only_one(folder.with_name("key.lock")):         # wait until nobody else does this
        …
    with beside(target) as temporary:                    # a path beside `target`, gone afterwards
        …

They hold between machines that share a folder, where their file system has locks (NFS, GPFS, Lustre mounted
with flock). Where there are none, nobody is kept out, and nothing is swept.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TRIES = 3  # whoever asks whether a file is free locks it for a moment
PAUSE_S = 0.05
UNFINISHED, LOCK = ".unfinished", ".lock"  # end the names of what is being written, and of what is locked
OURS = re.compile(rf"(\..+\.[0-9a-f]{{8}})({UNFINISHED}|{LOCK})")


def locked(path: Path, wait: bool) -> int | None:
    """The open file of `path`, made where it is missing, locked; None where another process has it.

    OSError where it cannot be made.
    """
    for attempt in range(TRIES):
        handle = _open(path)
        while lock(handle, wait) is not False:
            if _is_at(handle, path):
                return handle
            os.close(handle)  # who had it has removed it in between: there may be a new one
            handle = _open(path)
        os.close(handle)
        time.sleep(PAUSE_S if attempt < TRIES - 1 else 0)
    return None


def lock(handle: int, wait: bool = False, shared: bool = False) -> bool | None:
    """Whether an open file is now locked by us; None where files cannot be locked here at all.

    A `shared` lock is refused while somebody has one that is not; it needs no right to write.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def release(path: Path, handle: int) -> None:
    """Remove the file that `locked` gave, and with it the lock."""
    if sys.platform == "win32":  # where an open file cannot be removed
        os.close(handle)
    with suppress(OSError):  # a file system that has become read-only
        path.unlink(missing_ok=True)
    if sys.platform != "win32":
        os.close(handle)


@contextmanager
def only_one(path: Path, wait: bool = True) -> Iterator[bool]:
    """Whether we have `path`, which is locked within and gone afterwards; with `wait` always."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = locked(path, wait)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            release(path, handle)


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A path beside `target` to write it at; whatever is left there afterwards is removed.

    What killed processes have left in its folder is removed first: the files that they had locked are free.
    No clock is asked.
    """
    sweep(target.parent)
    name = f".{target.name}.{secrets.token_hex(4)}"
    with only_one(target.with_name(name + LOCK)):
        temporary = target.with_name(name + UNFINISHED)
        try:
            yield temporary
        finally:
            _remove(temporary)


def sweep(folder: Path) -> None:
    """Remove from a folder what killed processes were writing with `beside`."""
    found = (OURS.fullmatch(path.name) for path in folder.glob(".*"))
    for name in {match[1] for match in found if match}:
        with suppress(OSError), _free(folder / (name + LOCK)) as free:
            if free:
                _remove(folder / (name + UNFINISHED))
                _remove(folder / (name + LOCK))


@contextmanager
def _free(path: Path) -> Iterator[bool]:
    """Whether nobody has locked `path`, as far as files can be locked here."""
    handle = _open(path)
    try:
        yield lock(handle) is True
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """A file or a folder, where it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
