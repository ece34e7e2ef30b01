"""`serbench run PRESET --launcher slurm`: the missing cohorts of a plan as one array of jobs.

    submitted = submit(plan, folders, Slurm(gpus=4, hours=24))
    submitted.jobs                          # {"123_0": ids of its cells, …}

Each job trains as a process of `serbench run` does (`bench.cluster.task`), and writes the records itself.
Cells whose jobs wait or run already are not submitted again. A job that Slurm warns writes a checkpoint and
is queued again; one that was killed goes on from its last one. Results and cache lie on a disk that all nodes
share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cluster import queue
from bench.cluster.settings import Slurm
from bench.cluster.task import Training
from bench.config import Plan, Pretrained
from bench.errors import SuiteError
from bench.folders import Folders
from bench.training import grid
from bench.training.job import Job

if TYPE_CHECKING:
    from submitit import SlurmExecutor

WARNINGS = 1000  # after which a job is queued no more: submitit counts those at a time limit
KEEPING = 0.75  # of the time after a warning, in which the checkpoint must be written


@dataclass(frozen=True)
class Submitted:
    """The new jobs with their cells, and how many cells have a record or a job already."""

    jobs: dict[str, tuple[str, ...]]
    already_done: int
    already_queued: int

    @property
    def sentence(self) -> str:
        """For people."""
        count, names = sum(map(len, self.jobs.values())), list(self.jobs)
        what = f"{count} cells submitted"
        if names:
            span = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
            what += f" as Slurm job{'' if len(names) == 1 else 's'} {span}"
        return f"{what}, {self.already_queued} in the queue before, {self.already_done} already done"


def submit(plan: Plan, folders: Folders, slurm: Slurm) -> Submitted:
    """Submit every cohort that lacks a record and a job; returns at once.

    Log-mels and cepstra are cached here first; hidden states are left to the jobs. SuiteError where bad input
    would stop a run, where there is no Slurm, or where it refuses the jobs.
    """
    folders = _absolute(folders)
    executor = _executor(plan, folders, slurm)
    found = grid.look(plan, folders)
    queued = {cell for job in queue.jobs(folders) if job.state for cell in job.cells}
    lacking = sum(len(job.cells) for job in found.todo)
    todo = _parts(found.todo, queued, slurm)
    if not isinstance(plan.features, Pretrained):
        grid.prepare(found, folders)
    jobs = _submitted(executor, [_training(job, plan, folders, slurm) for job in todo])
    if jobs:
        queue.remember(folders, jobs)
    new = sum(map(len, jobs.values()))
    return Submitted(jobs, len(found.cells) - lacking, lacking - new)


def _parts(todo: list[Job], queued: set[str], slurm: Slurm) -> list[Job]:
    """What each job of the array trains: the cells of a cohort that are not queued, or one of them."""
    left = [Job(job.preset, tuple(cell for cell in job.cells if cell.id not in queued)) for job in todo]
    if slurm.array == "cells":
        return [Job(job.preset, (cell,)) for job in left for cell in job.cells]
    return [job for job in left if job.cells]


def _training(job: Job, plan: Plan, folders: Folders, slurm: Slurm) -> Training:
    threads = slurm.cpus if isinstance(plan.features, Pretrained) else 1  # as on one machine
    return Training(job.preset, job.cells, folders, threads, KEEPING * slurm.warning_s)


def _executor(plan: Plan, folders: Folders, slurm: Slurm) -> SlurmExecutor:
    """SuiteError where submitit or Slurm is missing."""
    try:
        from submitit import SlurmExecutor
    except ImportError as error:
        raise SuiteError(
            "--launcher slurm needs submitit; install it with `pip install 'serbench[slurm]'`"
        ) from error
    try:
        executor = SlurmExecutor(queue.folder(folders), max_num_timeout=WARNINGS)
    except RuntimeError as error:
        raise SuiteError(
            "--launcher slurm: there is no Slurm on this machine (no srun); submit from a login node"
        ) from error
    executor.update_parameters(
        job_name=f"serbench-{plan.name}",
        time=max(1, round(60 * slurm.hours)),
        nodes=1,
        ntasks_per_node=slurm.processes,
        cpus_per_task=slurm.cpus,
        signal_delay_s=slurm.warning_s,
        array_parallelism=slurm.at_once,
        setup=list(slurm.setup),
        srun_args=["--kill-on-bad-exit=1", f"--cpus-per-task={slurm.cpus}"],
        additional_parameters={"requeue": True, **slurm.options},
        **_chosen(slurm),
    )
    return executor


def _chosen(slurm: Slurm) -> dict[str, str | int]:
    """What is asked for beyond the cluster's own defaults."""
    named = {name: getattr(slurm, name) for name in ("partition", "account", "qos", "constraint")}
    asked: dict[str, str | int] = {name: value for name, value in named.items() if value}
    if slurm.gpus:
        asked["gpus_per_node"] = slurm.gpus
    if slurm.memory_gb:
        asked["mem"] = f"{round(1000 * slurm.memory_gb)}M"
    return asked


def _submitted(executor: SlurmExecutor, todo: list[Training]) -> dict[str, tuple[str, ...]]:
    """The jobs' names, each with its cells; SuiteError with Slurm's own words where it refuses."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    if not todo:
        return {}
    try:
        with executor.batch():
            jobs = [executor.submit(training) for training in todo]
    except (FailedJobError, FailedSubmissionError) as error:
        said = [line for line in str(error).splitlines() if line.strip()]
        raise SuiteError(f"Slurm refuses the jobs: {said[-1] if said else error}") from error
    names = [job.job_id for job in jobs]
    return {name: tuple(cell.id for cell in part.cells) for name, part in zip(names, todo, strict=True)}


def _absolute(folders: Folders) -> Folders:
    """The same folders from wherever a job starts."""

    def whole(path: Path | None) -> Path | None:
        return None if path is None else path.absolute()

    return replace(
        folders,
        results=folders.results.absolute(),
        cache=folders.cache.absolute(),
        data_root=whole(folders.data_root),
        models=whole(folders.models),
    )
