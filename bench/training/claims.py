"""Which cells are in training now, and where: so that no cell is trained twice at once.

    with claims.hold(folders.claims, ids) as held:     # those of `ids` that nobody else holds
        held.ids, held.note("epoch 3 of 40")
    claims.holders(folders.claims)                     # id → "node7, process 4711, epoch 3 of 40"

A claim is the system's lock on a file that is named by the cell. It ends with its process, however that
ends, and holds between machines that share a folder, where their file system has locks (NFS, GPFS, Lustre
mounted with flock). Where there are none no claim is refused: two runs may then train a cell twice, to the
same record.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench import locks
from bench.errors import SuiteError


@dataclass(frozen=True)
class Held:
    """The cells that this process holds, and their open files."""

    ids: frozenset[str]
    files: tuple[int, ...] = ()

    def note(self, text: str) -> None:
        """Say how far these cells are, as far as the disk has room for it: the claim stands without."""
        line = ", ".join(part for part in (_where(), text) if part).encode()
        for handle in self.files:
            with suppress(OSError):
                os.ftruncate(handle, 0)
                os.pwrite(handle, line, 0)


@contextmanager
def hold(folder: Path, ids: Sequence[str], wait: bool = False) -> Iterator[Held]:
    """Hold those of `ids` that nobody else holds; with `wait` all of them, as soon as they are free.

    SuiteError where `folder` cannot be written.
    """
    if sys.platform == "win32":
        yield Held(frozenset(ids))
        return
    with ExitStack() as stack:
        files: dict[str, int] = {}
        for name in sorted(ids):  # one order for all, so that no two wait for each other
            handle = _locked(folder / name, wait)
            if handle is not None:
                files[name] = handle
                stack.callback(locks.release, folder / name, handle)
        held = Held(frozenset(files), tuple(files.values()))
        held.note("")
        yield held


def holders(folder: Path) -> dict[str, str]:
    """The cells that are held, by anyone, with what their holder last said."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*")) if sys.platform != "win32" else ():
        try:
            handle = os.open(path, os.O_RDONLY)  # who looks may have no right to write
        except OSError:  # released at this moment
            continue
        try:
            if locks.lock(handle, shared=True) is False:
                found[path.name] = os.pread(handle, 500, 0).decode(errors="replace")
        finally:
            os.close(handle)
    return found


def _locked(path: Path, wait: bool) -> int | None:
    """The open file of `path`, locked; None where another process holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return locks.locked(path, wait)
    except OSError as error:
        raise SuiteError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another folder"
        ) from error


def _where() -> str:
    """This machine, and the job or the process on it."""
    array, number = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{number}" if array else os.environ.get("SLURM_JOB_ID")
    return f"{socket.gethostname()}, " + (f"Slurm job {job}" if job else f"process {os.getpid()}")
