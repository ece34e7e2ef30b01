"""A disk that is full, wherever the suite writes, and one that cannot be written: told in one sentence.

The disks are small file systems in memory that the system makes for root; elsewhere these faults are skipped,
and the table says so.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger import Ledger, Row, gone, standing
from stage import Places, Stage

PATIENCE_S = 10.0
SKIPPED = "needs root, to mount a small disk"
FULL = {  # where the suite writes: a run fails there, and nowhere before
    "a corpus": "*/corpora/*",
    "features": "*/features/*",
    "the grid": "*/work/grids/*",
    "claims": "*/work/claims/*",
    "a training checkpoint": "*/last.ckpt",
    "weights": "*/checkpoints/*.pt",
    "predictions": "*/predictions/*",
    "a record": "*/runs/*",
    "the leaderboard": "*/leaderboard.csv",
    "a figure": "*/figures/*.pdf",
}


class CannotMount(RuntimeError):
    """The system does not let us."""


@contextmanager
def disk(folder: Path, megabytes: int = 64) -> Iterator[Path]:
    """`folder`, on a disk of its own; CannotMount where that is not allowed."""
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def read_only(folder: Path, wanted: bool) -> None:
    """Let nobody write to a disk any more, or again."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return _mount("-o", f"remount,{'ro' if wanted else 'rw'}", str(folder))
        except CannotMount:  # who was killed holds files open for a moment longer
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _mount(*words: str) -> None:
    try:
        subprocess.run(["mount", *words], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotMount(str(error)) from error


def full(stage: Stage, folder: Path, ledger: Ledger, names: tuple[str, ...] = tuple(FULL)) -> Row:
    """One run whose disk is full in each of these places; room is made, and it is started again."""
    row = Row("disk full", "ends with one sentence, exit code 2")
    try:
        with disk(folder) as small:
            places = Places(small / "results", small / "cache", report="a figure" in names)
            for name in names:
                _filled(stage, places, small / "ballast", name, row)
            row.expect((ended := stage.finish(places)).code == 0, f"with room again: {ended.said[-500:]}")
            row.check(ledger, places.results, places.cache / "features", places.cache / "corpora")
    except CannotMount:
        row.skipped = SKIPPED
    return row


def _filled(stage: Stage, places: Places, ballast: Path, name: str, row: Row) -> None:
    before = standing(places.results)
    ended = stage.finish(places, ("disk_full_at", FULL[name], str(ballast)))
    row.tried += 1
    if name == "claims":  # which hold without a word in them: the run goes on to its first checkpoint
        row.expect("claims" not in ended.said, f"claims: {ended.said[-500:]}")
    row.expect(ended.code == 2 and ended.clean, f"{name}: {ended.code}, {ended.said[-500:]}")
    row.expect("No space left on device; free space" in ended.last, f"{name}: {ended.last}")
    ballast.unlink(missing_ok=True)
    row.lost += gone(before, places.results)


def forbidden(stage: Stage, folder: Path, cache: Path, ledger: Ledger) -> Row:
    """A run that is half done, in a folder that cannot be written for a while."""
    row = Row("read-only results folder", "ends with one sentence, exit code 2")
    try:
        with disk(folder) as small:
            places = Places(small / "results", cache, report=True)
            stage.finish(places, ("dies_writing", "*/runs/*", "after"))
            before = standing(places.results)
            read_only(small, True)
            for words in (places.words, ["report", "--results", str(places.results)]):
                ended = stage.finish(places, words=words)
                row.tried += 1
                row.expect(ended.code == 2 and ended.clean, f"{words[0]}: {ended.code}, {ended.said[-500:]}")
                row.expect("Read-only file system" in ended.last, f"{words[0]}: {ended.last}")
            read_only(small, False)
            row.lost += gone(before, places.results)
            row.expect(stage.finish(places).code == 0, "writable again, it does not go on")
            row.check(ledger, places.results)
    except CannotMount:
        row.skipped = SKIPPED
    return row
