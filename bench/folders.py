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
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import SuiteError

FeaturePlan = Literal["auto", "cache", "fly"]
ABANDONED_S = 24 * 3600  # an unfinished folder untouched for so long belongs to a killed process


@dataclass(frozen=True)
class Folders:
    """Where a run reads and writes, and whether it goes on without unreadable recordings."""

    results: Path
    cache: Path
    data_root: Path | None = None
    skip_bad: bool = False
    models: Path | None = None  # folder of pretrained models; else SER_MODELS
    feature_plan: FeaturePlan = "auto"  # how hidden states reach training: see `bench.features.plan`

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

    Where the body or the disk fails nothing is left behind; a full or read-only disk is a SuiteError.
    Where another process has made `target` meanwhile, its folder stands and ours is dropped.
    """
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        yield temporary
        _flush(temporary)
        temporary.chmod(0o755)
        _rename(temporary, target)
    except OSError as error:
        raise SuiteError(
            f"cannot write {target}: {error.strerror or error}; free space or choose another folder"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


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


def _sweep(target: Path) -> None:
    """Remove what killed processes left of earlier attempts at `target`."""
    for left in target.parent.glob(f".{target.name}.*"):
        with suppress(OSError):  # where its owner finishes at this moment
            touched = max(path.stat().st_mtime for path in (left, *left.iterdir()))
            if time.time() - touched > ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)
