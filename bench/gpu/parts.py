"""The kinds of work that a slice may be: what its cells are, which are left, and how some minutes of it run.

    part = Shapes(profiles.build("paper"))
    part.cells(places), part.left(places), part.least_s(places)
    part.run(places, seconds=480)

Every part does what one command of its own does, with the same records: `serbench profile kernels`, `serbench
profile`, and `serbench run PRESET`, which is run as that command, because only a process that is interrupted
stops a training in the middle.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from statistics import mean
from typing import Literal, Protocol

from bench.config import CohortShape, KernelScope, Plan, content_id
from bench.errors import SuiteError
from bench.evidence.cohorts import COHORT
from bench.evidence.kernels import KernelCase
from bench.evidence.store import Store
from bench.folders import Folders
from bench.measuring.isolation import Guard, default_guard

CELL_LIMIT_S = 240.0  # a cell that takes longer is ended: tuning a layer's kernels may take minutes
GRACE_S = 30.0  # for a training to end when it is interrupted


@dataclass(frozen=True)
class Places:
    """Where a part reads and writes, on which GPU, and whether what has failed is tried again."""

    folders: Folders
    hardware: str = ""  # the GPU's name; "" where it is not known here
    again: bool = False

    @property
    def store(self) -> Store:
        """The records."""
        return Store(self.folders.results)


def hardware() -> str:
    """The name of the GPU that torch computes on; "" where there is none."""
    import torch

    from bench.measuring.environment import gpu_name

    return gpu_name() if torch.cuda.is_available() else ""


class Part(Protocol):
    """One kind of work. A cell is named by the hash of its settings, so that no two parts share one."""

    def cells(self, places: Places) -> list[str]:
        """All of them; SuiteError where they cannot be told, as without the recordings."""
        ...

    def left(self, places: Places) -> list[str]:
        """Those that are still to be done."""
        ...

    def least_s(self, places: Places) -> float | None:
        """Seconds that these take at least; None where nothing is known of it on this GPU."""
        ...

    def run(self, places: Places, seconds: float) -> str:
        """Do what is left, for so long; says what was done. No cell begins that might not end in time."""
        ...


def _guard() -> Guard:
    return replace(default_guard(), hang_s=CELL_LIMIT_S)


@dataclass(frozen=True)
class Kernels:
    """The comparisons of one op or one mixer."""

    scope: KernelScope
    of: Literal["op", "mixer"]
    name: str

    def cells(self, places: Places) -> list[str]:
        return [content_id(case) for case in self._cases()]

    def left(self, places: Places) -> list[str]:
        return [content_id(case) for case in self._left(places)]

    def least_s(self, places: Places) -> float | None:
        seen = [
            finding.wall_s
            for record in places.store.kernels()
            if record.setting.hardware == places.hardware and record.device == self.scope.device
            for finding in record.findings
            if finding.wall_s
        ]
        return mean(seen) * len(self._left(places)) if seen else None

    def run(self, places: Places, seconds: float) -> str:
        from bench.measuring.kernels import check_kernels

        limit = seconds - CELL_LIMIT_S
        cases = self._cases()
        summary = check_kernels(
            self.scope, places.store, only=cases, again=places.again, seconds=limit, guard=_guard()
        )
        return summary.text()

    def _cases(self) -> list[KernelCase]:
        from bench.measuring.kernel_cases import cases

        return [case for case in cases(self.scope) if (case.of, case.name) == (self.of, self.name)]

    def _left(self, places: Places) -> list[KernelCase]:
        from bench.measuring.kernels import known

        record = known(self.scope, places.hardware, places.store)
        return self._cases() if record is None else record.left(self._cases(), places.again)


@dataclass(frozen=True)
class Shapes:
    """The curves of a plan that trains nothing."""

    plan: Plan

    def cells(self, places: Places) -> list[str]:
        return [shape.id for curve in self._curves(places) for shape in curve]

    def left(self, places: Places) -> list[str]:
        return [shape.id for curve in self._missing(places) for shape in curve]

    def least_s(self, places: Places) -> float | None:
        from bench.measuring.profile import forecast

        return sum(seconds for _, seconds in forecast(self._missing(places), self.plan.profiling))

    def run(self, places: Places, seconds: float) -> str:
        from bench.measuring.profile import profile

        plan, minutes = self.plan, (seconds - CELL_LIMIT_S) / 60
        limits = {"minutes": minutes, "cell_limit_s": CELL_LIMIT_S}
        profiling = plan.profiling.model_copy(update=limits)
        return profile(
            profiling, plan.features, plan.encoder, plan.layouts, places.store, again=places.again
        ).text()

    def _curves(self, places: Places) -> list:
        from bench.measuring.cells import curves

        plan = self.plan
        return curves(plan.profiling, plan.features, plan.encoder, plan.layouts, places.hardware)

    def _missing(self, places: Places) -> list:
        from bench.measuring.profile import missing

        return missing(self._curves(places), places.store, places.again)


@dataclass(frozen=True)
class Steps:
    """The training steps of a cohort and of its students."""

    shape: CohortShape

    def cells(self, places: Places) -> list[str]:
        return [self._named(name) for name in (COHORT, *self.shape.layouts)]

    def left(self, places: Places) -> list[str]:
        from bench.measuring.cohort_steps import known

        record = known(self.shape, places.hardware, places.store)
        if record is None:
            return self.cells(places)
        return [self._named(name) for name in record.left(places.again)]

    def least_s(self, places: Places) -> float | None:
        return None

    def run(self, places: Places, seconds: float) -> str:
        from bench.measuring.cohort_steps import time_cohorts

        limit = seconds - CELL_LIMIT_S
        return time_cohorts(
            self.shape, places.store, again=places.again, seconds=limit, guard=_guard()
        ).text()

    def _named(self, name: str) -> str:
        return f"{content_id(self.shape)}-{name}"


@dataclass(frozen=True)
class Training:
    """A preset's cells of some tasks, trained by its own command."""

    plan: Plan
    changes: tuple[str, ...] = field(default=())  # the flags that make the plan of its preset

    def cells(self, places: Places) -> list[str]:
        from bench.training import grid

        plan = self.plan
        planned = grid.cells(plan, lambda corpus: grid.manifest(plan, corpus, places.folders))
        return [cell.id for cell in planned]

    def left(self, places: Places) -> list[str]:
        kept = ("ok", "diverged", "oom") if places.again else ("ok", "diverged", "oom", "failed")
        done = {record.id for record in places.store.runs() if record.status in kept}
        return [name for name in self.cells(places) if name not in done]

    def least_s(self, places: Places) -> float | None:
        corpora = {task.partition("/")[0] for task in self.plan.tasks}
        seen = [
            record.cost.cohort_wall_s / len(record.cost.cohort)
            for record in places.store.runs()
            if record.cost
            and record.environment.device == places.hardware
            and record.config.task.corpus in corpora
        ]
        return mean(seen) * len(self.left(places)) if seen else None

    def run(self, places: Places, seconds: float) -> str:
        limit = seconds - GRACE_S
        if limit <= 0:
            return "no time left"
        process = subprocess.Popen(self.command(places), stdout=subprocess.DEVNULL)
        try:
            code = process.wait(limit)
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as stopped:
            _end(process)
            if isinstance(stopped, KeyboardInterrupt):
                raise
            return "interrupted, the next time goes on"
        if code not in (0, 1):  # 1: some cell has failed, and its record says why
            raise SuiteError(f"{' '.join(self.command(places)[2:])} ended with {code}; see above")
        return "done"

    def command(self, places: Places) -> list[str]:
        """The command that trains what is missing."""
        folders = places.folders
        given = {"--data-root": folders.data_root, "--models": folders.models}
        where = ["--results", str(folders.results), "--cache", str(folders.cache)]
        where += [text for flag, path in given.items() if path for text in (flag, str(path))]
        skip = ["--skip-bad"] if folders.skip_bad else []
        cli = [sys.executable, "-m", "bench.cli", "run", self.plan.name]
        return [*cli, *self.changes, "--no-profile", *where, *skip]


def _end(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does, and for good if that is not heard."""
    process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
