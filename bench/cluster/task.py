"""One job of an array: a cohort in a process of its own, as `serbench run` starts them on one machine.

submitit pickles a `Training`, and calls it on the node. Where Slurm warns the job (SIGUSR2: its time is up,
or it must make room), submitit calls `checkpoint`, which has the training kept, and queues the job again.
The job itself supervises; it imports torch only to write that a cohort failed.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bench.config import Cell
from bench.folders import Folders
from bench.training import warning
from bench.training.job import Job
from bench.training.workers import Workers

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission


class NotTrained(RuntimeError):
    """The job has ended without a result; the message says why."""


@dataclass
class Training:
    """Train the cells of one cohort; of several processes, each is called."""

    preset: str
    cells: tuple[Cell, ...]
    folders: Folders
    threads: int
    patience_s: float  # for the checkpoint, after a warning
    workers: Workers | None = field(default=None, repr=False)

    def __call__(self) -> None:
        """NotTrained where a cohort fails; its cells then have records with the reason."""
        from submitit.helpers import JobEnvironment, TorchDistributedEnvironment

        here = JobEnvironment()
        if here.num_tasks > 1:
            TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        submitit_hears = here.global_rank == 0  # of SIGUSR2
        warning.heed(signals=[signal.SIGTERM] if submitit_hears else warning.SIGNALS)
        with Workers(1, self.folders, self.threads) as self.workers:
            for job, outcome in self.workers.run([Job(self.preset, self.cells)]):
                if isinstance(outcome, str):
                    if not warning.given():  # else Slurm is ending the job, and the cohort did not fail
                        self._record(job, outcome)
                    raise NotTrained(outcome)

    def _record(self, job: Job, reason: str) -> None:
        """Write a failed record for each cell."""
        from bench import corpora
        from bench.training.run import write_failed

        task = job.cells[0].task
        manifest = corpora.load(task.corpus, self.folders.data_root, task.corpus_options, self.folders.cache)
        write_failed(job, manifest, self.folders, self.threads, reason)

    def checkpoint(self) -> DelayedSubmission:
        """Keep what is trained, and give what the next start of this job is to call."""
        from submitit.helpers import DelayedSubmission

        if self.workers is not None:
            self.workers.warn(self.patience_s)
        return DelayedSubmission(replace(self, workers=None))
