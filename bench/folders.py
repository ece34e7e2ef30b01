"""Where recordings and caches live, and how a folder comes into being whole or not at all.

data_folder()                      # $SER_DATA_ROOT, or None
models_folder()                    # $SER_MODELS, or None
cache_folder()                     # $SER_CACHE, or ~/.cache/serbench
Folders(Path("results"), cache_folder(), data_folder())
with whole_folder(target) as temporary:
    (temporary / "part").write_bytes(…)      # target appears when the body has ended
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import SuiteError
from bench.locks import beside

FeaturePlan = Literal["auto", "cache", "fly"]
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


@dataclass(frozen=True)
class Folders:
    """Where a run reads and writes, and what it does that no result's id holds."""

    results: Path
    cache: Path
    data_root: Path | None = None
    skip_bad: bool = False  # whether it goes on without unreadable recordings
    models: Path | None = None  # folder of pretrained models; else SER_MODELS
    feature_plan: FeaturePlan = "auto"  # how hidden states reach training: see `bench.features.plan`
    deterministic: bool = False  # whether torch is asked to be: see `bench.training.determinism`

    @property
    def work(self) -> Path:
        """What runs keep for one another beside the records: claims, grids, jobs of a cluster."""
        return self.results / "work"

    @property
    def claims(self) -> Path:
        """The claims on cells in training: see `bench.training.claims`."""
        return self.work / "claims"


def data_folder() -> Path | None:
    """The folder that holds the corpora: `$SER_DATA_ROOT`, or None where that is unset or empty."""
    named = os.environ.get("SER_DATA_ROOT", "")
    return Path(named).expanduser() if named else None


def models_folder() -> Path | None:
    """The folder that holds pretrained models: `$SER_MODELS`, or None where that is unset or empty."""
    named = os.environ.get("SER_MODELS", "")
    return Path(named).expanduser() if named else None


def cache_folder() -> Path:
    """The folder for what can be computed again: `$SER_CACHE`, or `~/.cache/serbench`."""
    named = os.environ.get("SER_CACHE", "")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "serbench"


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target`; on leaving, its files are flushed and it is renamed to `target`.

    Where the body or the disk fails nothing is left behind, and what a killed process has left is removed; a
    full or read-only disk is a SuiteError. Where another process has made `target` meanwhile, its folder
    stands and ours is dropped.
    """
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with beside(target) as temporary:
            temporary.mkdir()
            yield temporary
            _flush(temporary)
            temporary.chmod(0o755)
            _rename(temporary, target)


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """A disk that is full, or that cannot be written, is a SuiteError that names `target`.

    Writers that wrap the system's error in one of their own (torch, zlib) are seen through.
    """
    try:
        yield
    except SuiteError:
        raise
    except Exception as error:
        cause = error if isinstance(error, OSError) else _of_the_disk(error)
        if cause is None:
            raise
        raise SuiteError(
            f"cannot write {target}: {cause.strerror or cause}; free space or choose another folder"
        ) from error


def _of_the_disk(error: BaseException | None) -> OSError | None:
    """The system's error in whose wake another was raised, where it is the disk's."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return error
        error = error.__cause__ or error.__context__
    return None


def _rename(temporary: Path, target: Path) -> None:
    try:
        temporary.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _flush(folder: Path) -> None:
    for path in (path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
