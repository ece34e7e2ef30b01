"""How far a run is: each cell of its grid done, running, failed or waiting. Reads files; imports no torch.

    progress = look(folders, "open")
    progress.counts()                  # {"done": 37, "running": 1, "failed": 1, "waiting": 1}
    show(table(progress))

The grid is that of the preset's latest `serbench run`, on this machine or any other that shares the results
folder; what runs is what holds a claim (`bench.training.claims`), what waits may be in Slurm's queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from rich.table import Table

from bench import outline
from bench.cluster import queue
from bench.cluster.queue import QueuedJob
from bench.console import plain_table
from bench.evidence.records import RunRecord
from bench.evidence.store import Store, read
from bench.folders import Folders
from bench.outline import OutlinedCell
from bench.training import claims

State = Literal["done", "running", "failed", "waiting"]
STATES: tuple[State, ...] = ("done", "running", "failed", "waiting")


@dataclass(frozen=True)
class CellStatus:
    """One cell: its state, and where it runs, why it failed or what it waits for."""

    cell: OutlinedCell
    state: State
    note: str = ""


@dataclass(frozen=True)
class Progress:
    """The cells of a run, cohort by cohort."""

    preset: str
    cells: tuple[CellStatus, ...]

    def counts(self) -> dict[State, int]:
        """Cells by state."""
        return {state: sum(each.state == state for each in self.cells) for state in STATES}

    def cohorts(self) -> Iterator[tuple[str, list[CellStatus]]]:
        """Each cohort's name and cells."""
        for name, cells in groupby(self.cells, key=lambda each: each.cell.cohort):
            yield name, list(cells)

    def failures(self) -> list[str]:
        """A line for each failed cell, with its reason."""
        failed = (each for each in self.cells if each.state == "failed")
        return [f"{each.cell.cohort}, {each.cell.system}: {each.note}" for each in failed]


def look(folders: Folders, preset: str) -> Progress:
    """The state of every cell; SuiteError where no such run was started or a record is damaged."""
    planned, store = outline.read(folders, preset), Store(folders.results)
    running = claims.holders(folders.claims)
    jobs = {cell: job for job in queue.jobs(folders) for cell in job.cells}  # the newest of each
    logs = queue.folder(folders)
    return Progress(preset, tuple(_status(cell, store, running, jobs, logs) for cell in planned.cells))


def _status(
    cell: OutlinedCell,
    store: Store,
    running: Mapping[str, str],
    jobs: Mapping[str, QueuedJob],
    logs: Path,
) -> CellStatus:
    if cell.id in running:
        return CellStatus(cell, "running", running[cell.id])
    job, path = jobs.get(cell.id), store.run_path(cell.id)
    if path.is_file():
        record = read(path, RunRecord)
        if record.status == "ok":
            return CellStatus(cell, "done")
        if job is None or not job.state:
            return CellStatus(cell, "failed", f"{record.status}: {record.reason}")
    if job is None:
        return CellStatus(cell, "waiting")
    if job.state:
        return CellStatus(cell, "waiting", job.sentence)
    return CellStatus(cell, "waiting", f"{job.sentence} left no record{_last_words(logs, job)}")


def _last_words(logs: Path, job: QueuedJob) -> str:
    """The last line of a job's error log, and where it is."""
    path = logs / f"{job.name}_0_log.err"
    try:
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return f": {lines[-1].strip()} ({path})" if lines else f" ({path})"


def table(progress: Progress) -> Table:
    """A row a cohort: cells by state, and what happens to it now."""
    counts = progress.counts()
    words = ", ".join(f"{count} {state}" for state, count in counts.items())
    shown = plain_table(
        f"{progress.preset}: {len(progress.cells)} cells, {words}", ("cohort", *STATES, "now"), right=STATES
    )
    for name, cells in progress.cohorts():
        tally = Counter(each.state for each in cells)
        notes = dict.fromkeys(
            each.note for each in cells if each.state in ("running", "waiting") and each.note
        )
        shown.add_row(name, *(str(tally[state] or "–") for state in STATES), "; ".join(notes))
    return shown
