"""What a Slurm job is asked for: `serbench run PRESET --launcher slurm --slurm.gpus 4 --slurm.hours 24`.

No part of a cell's settings: where a cell is trained is no part of its id.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.config import PositiveInt, Settings


class Slurm(Settings):
    """One array of jobs."""

    array: Literal["cohorts", "cells"] = "cohorts"  # a job trains a cohort on the same batches, or one system
    partition: str = ""  # else the cluster's own
    account: str = ""
    qos: str = ""
    constraint: str = ""  # features that a node must have
    hours: float = Field(default=24.0, gt=0)  # of one job; what is not done by then goes on in the next
    gpus: Annotated[int, Field(ge=0)] = 1  # of one job, on one node; they share every batch
    cpus: PositiveInt = 8  # a GPU
    memory_gb: Annotated[float, Field(gt=0)] | None = None  # of one job; else the cluster's own
    at_once: PositiveInt = 256  # jobs of the array
    warning_s: Annotated[int, Field(ge=10)] = 120  # before the end: for a checkpoint, and to queue again
    options: dict[str, str] = Field(default_factory=dict)  # more of sbatch's, as {"reservation": "night"}
    setup: tuple[str, ...] = ()  # shell lines before a job, as "module load cuda"

    @property
    def processes(self) -> int:
        """Processes of one job: one a GPU, and one where there is none."""
        return max(1, self.gpus)
