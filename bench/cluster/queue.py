"""What Slurm says of our jobs: which cells each was given, and whether it waits, runs or has ended.

    queue.remember(folders, {"123_0": ids, "123_1": other_ids})    # after submission
    queue.jobs(folders)                                            # newest last, each with its state

Where Slurm does not answer (another machine, a laptop) no job has a state.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bench.config import Settings
from bench.errors import SuiteError
from bench.evidence.store import atomic
from bench.folders import Folders

ASK = ("squeue", "--me", "--array", "--noheader", "--format=%i|%T|%r|%N")
PATIENCE_S = 20


class Submission(Settings):
    """One array: job → ids of the cells that it trains."""

    jobs: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class QueuedJob:
    """One job; `state` is Slurm's word ("PENDING", "RUNNING", …), "" where it is in the queue no more."""

    name: str
    cells: tuple[str, ...]
    state: str
    why: str  # where it runs, or why it waits

    @property
    def sentence(self) -> str:
        """For people."""
        known = ", ".join(part for part in (self.state.lower().replace("_", " "), self.why) if part)
        return f"Slurm job {self.name}" + (f" ({known})" if known else "")


def folder(folders: Folders) -> Path:
    """Where submissions and the jobs' logs lie."""
    return folders.work / "slurm"


def remember(folders: Folders, jobs: Mapping[str, Sequence[str]]) -> None:
    """Write down which cells the jobs of an array train."""
    array = next(iter(jobs)).partition("_")[0]
    submission = Submission(jobs={name: tuple(ids) for name, ids in jobs.items()})
    with atomic(folder(folders) / f"{array}.json") as temporary:
        temporary.write_text(submission.model_dump_json(indent=1) + "\n", encoding="utf-8")


def jobs(folders: Folders) -> list[QueuedJob]:
    """Every job that was submitted for this results folder, oldest first; SuiteError for a damaged file."""
    submissions = list(_submissions(folder(folders)))
    states = _states() if submissions else {}
    return [
        QueuedJob(name, cells, *states.get(name, ("", "")))
        for submission in submissions
        for name, cells in submission.jobs.items()
    ]


def _submissions(where: Path) -> Iterator[Submission]:
    for path in sorted(where.glob("*.json"), key=lambda path: path.stem.zfill(20)):
        try:
            yield Submission.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise SuiteError(f"{path}: not a list of Slurm jobs; delete it") from error


def _states() -> dict[str, tuple[str, str]]:
    """State of this user's jobs by name, and where each runs or why it waits; none where Slurm is silent."""
    try:
        done = subprocess.run(ASK, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    found = {}
    for line in done.stdout.splitlines():
        name, state, reason, node = (*line.split("|"), "", "", "")[:4]
        found[name] = (state, node or ("" if reason == "None" else reason))
    return found
