"""What a training step costs: a whole cohort and each of its students alone; a record a machine and shape.

record.left()                     # "cohort" and layouts that are still to be timed
record.run("cohort").step_ms      # median over the epochs after the first
"""

from __future__ import annotations

from statistics import median
from typing import Literal

from bench.config import CohortShape, Settings, content_id
from bench.evidence.records import Environment, Status

COHORT = "cohort"  # the run of all layouts together


class CohortSetting(CohortShape):
    """The steps that are timed, every layout by name, and the machine: all that identifies a record."""

    hardware: str  # Environment.device

    @property
    def id(self) -> str:
        """Hash of the setting; the record's file name."""
        return content_id(self)


class CohortRun(Settings):
    """One training: of all layouts ("cohort"), or of one; a sample is the mean step of an epoch."""

    name: str
    status: Status
    reason: str = ""
    samples_ms: tuple[float, ...] = ()  # reading, listening, every student's step, and a dev batch an epoch
    peak_bytes: int | None = None  # allocated on the GPU, frozen encoder and weights included
    kernels: tuple[str, ...] = ()  # of fla, that recurrences could run on

    @property
    def step_ms(self) -> float | None:
        """Median sample; None where there is none."""
        return median(self.samples_ms) if self.samples_ms else None


class CohortRecord(Settings):
    """The runs so far."""

    kind: Literal["cohort"] = "cohort"
    schema_version: Literal[1] = 1
    id: str
    setting: CohortSetting
    runs: tuple[CohortRun, ...] = ()
    environment: Environment

    def left(self, again: bool = False) -> list[str]:
        """Runs without a result; with `again` also those that have failed."""
        settled = {run.name for run in self.runs if run.status == "ok" or not again}
        return [name for name in (COHORT, *self.setting.layouts) if name not in settled]

    def run(self, name: str) -> CohortRun | None:
        """The run of this name, or None."""
        return next((run for run in self.runs if run.name == name), None)
