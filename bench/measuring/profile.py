"""The sweep: every shape of a profile measured, one record each as soon as it is there.

    summary = profile(plan.profiling, plan.features, plan.encoder, layouts, Store(Path("results")))
    print(summary.text())

Each cell runs in a process of its own, one at a time, because two side by side would disturb each other's
clock; a second sweep on the same folder waits for the first, and goes on with what that has left. Lengths
ascend, and the cells of a length come in a seeded random order, so that a machine that drifts does not do it
on one mixer. Among them stands the A/A control: one shape measured twice, as if it were two systems. Shapes
with an `ok` record are left alone; a kill loses the cell in hand, no more. A curve (one system's growth with
length) that fails or runs out of memory ends there, with a record that says why, and the sweep goes on. On
fla's kernels a system is timed only where they were found right (`bench.measuring.kernels`).
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench.config import AnyEncoder, AnyFeatures, Profiling
from bench.evidence.controls import stated
from bench.evidence.records import (
    Ceilings,
    Control,
    Environment,
    ProfileRecord,
    Shape,
    Status,
    SweepRecord,
    SweepSetting,
)
from bench.evidence.store import Store, read
from bench.measuring import environment
from bench.measuring.ceilings import Machine, ceilings
from bench.measuring.cells import Curve, check, curves
from bench.measuring.claim import say_waiting, sole
from bench.measuring.counted import Counted
from bench.measuring.cuda_clocks import CudaTimes
from bench.measuring.energy import Energy
from bench.measuring.isolation import Failure, Guard, default_guard, outcomes
from bench.measuring.kernel_cases import kernels_of_layout
from bench.measuring.kernels import decided
from bench.measuring.latency import Latency
from bench.measuring.nvml import say_if_missing
from bench.measuring.sizes import encoder_frames
from bench.measuring.targets import Effort, Job, Measurement, Target, build, measure
from bench.model import layout
from bench.progress import track

__all__ = ["Curve", "Summary", "curves", "missing", "profile"]

UNCHECKED = "was not found right on this GPU with these packages; see `serbench profile kernels`"
Cell = tuple[int | None, Shape]  # number of its curve; None: of the control


@dataclass
class Summary(Counted):
    """Shapes measured now, left alone because they had a record, failed, and not tried.

    `untried` lie beyond the failure of their curve. `sweep` is its record, None where nothing was to be done.
    """

    done: int = 0
    skipped: int = 0
    failed: int = 0
    untried: int = 0
    sweep: SweepRecord | None = field(default=None, compare=False)

    def counts(self) -> tuple[str, ...]:
        return f"{self.done} shapes measured", f"{self.skipped} already done", f"{self.failed} failed"


def profile(
    profiling: Profiling,
    features: AnyFeatures,
    encoder: AnyEncoder,
    layouts: Sequence[str],
    store: Store,
    *,
    build_target: Callable[[Shape], Target] | None = None,
    guard: Guard | None = None,
    seed: int = 0,
    again: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Measure every missing shape of the profile and write its record; see `cells` for which these are.

    `again`: curves that have ended in a failure are tried again. `build_target` makes a shape runnable (a
    function that can be pickled); `clock` gives the seconds that `profiling.minutes` is held to. SuiteError
    on a bad layout, on what this machine cannot do, before anything is timed, and where a record cannot be
    written.
    """
    check(profiling)
    if profiling.device == "cuda":
        say_if_missing()
    here = environment.describe(profiling.threads, profiling.device)
    planned = curves(profiling, features, encoder, layouts, here.device)
    setting = SweepSetting(
        profiling=profiling,
        features=features,
        encoder=encoder,
        layouts=tuple(layouts),
        device=here.device,
        started=datetime.now(UTC).isoformat(),
    )
    with (
        sole(store.root / "profiles", say_waiting),
        tempfile.TemporaryDirectory(prefix="serbench-") as scratch,
    ):
        todo = missing(planned, store, again)
        summary = Summary(skipped=_size(planned) - _size(todo))
        if todo:
            make = build_target or partial(build, scratch=Path(scratch))
            kernels = decided(store) if _on_kernels(todo) else frozenset()
            sweep = _Sweep(setting, here, store, make, guard or _guard(profiling), kernels, clock)
            sweep.run(todo, random.Random(seed), summary)
    return summary


def missing(planned: Sequence[Curve], store: Store, again: bool = True) -> list[Curve]:
    """What is left of each curve when shapes with an `ok` record are taken out; no empty curves.

    Without `again`, nothing is left of a curve from the first shape on that has failed.
    """
    left = []
    for curve in planned:
        known = [_status(store, shape) for shape in curve]
        ends = [place for place, status in enumerate(known) if status not in (None, "ok") and not again]
        within = zip(curve[: ends[0] if ends else None], known, strict=False)
        left.append(tuple(shape for shape, status in within if status != "ok"))
    return [curve for curve in left if curve]


def _status(store: Store, shape: Shape) -> Status | None:
    path = store.profile_path(shape.id)
    return read(path, ProfileRecord).status if path.is_file() else None


def _on_kernels(todo: Sequence[Curve]) -> bool:
    """Whether some shape runs our recurrences on fla's kernels; fla's own layers answer for themselves."""
    return any(shape.backend == "fla" and shape.target != "fla_layer" for curve in todo for shape in curve)


def ordered(todo: Sequence[Curve], chance: random.Random) -> list[Cell]:
    """Shortest first, the cells of a length in random order; the control twice among those of its length."""
    cells: list[Cell] = [(number, shape) for number, curve in enumerate(todo) for shape in curve]
    cells += [(None, control_shape(todo))] * 2
    chance.shuffle(cells)
    return sorted(cells, key=lambda cell: cell[1].seconds)


def control_shape(todo: Sequence[Curve]) -> Shape:
    """What is measured twice: the first system that there is to measure, at its middle length."""
    return todo[0][(len(todo[0]) - 1) // 2]


class _Sweep:
    """One sweep under way: what all its cells share, and its record as it fills."""

    def __init__(
        self,
        setting: SweepSetting,
        here: Environment,
        store: Store,
        make: Callable[[Shape], Target],
        guard: Guard,
        kernels: frozenset[str],
        clock: Callable[[], float],
    ) -> None:
        self.profiling, self.here, self.store, self.make, self.guard = (
            setting.profiling,
            here,
            store,
            make,
            guard,
        )
        self.kernels, self.clock = kernels, clock
        self.record = SweepRecord(id=setting.id, setting=setting, environment=here)
        self.twice: list[Measurement | Failure] = []

    def run(self, todo: Sequence[Curve], chance: random.Random, summary: Summary) -> None:
        """Measure and record all of `todo` that the minutes allow; fills `summary`."""
        start = self.clock()
        self._note_ceilings()
        ended: set[int] = set()
        for number, shape in track(ordered(todo, chance), "profiling", _size(todo) + 2):
            late = self.profiling.minutes is not None and self.clock() - start >= 60 * self.profiling.minutes
            if number is None:
                self._note_control(shape)
            elif number in ended:
                summary.untried += 1
            elif late:
                summary.left += 1
            else:
                outcome = self._measured(shape)
                self.store.write(_record(shape, outcome, self.here, self.record.id))
                if isinstance(outcome, Failure):
                    ended.add(number)
                    summary.failed += 1
                else:
                    summary.done += 1
        summary.sweep = self.record

    def _measured(self, shape: Shape) -> Measurement | Failure:
        doubtful = self._doubtful(shape)
        if doubtful:
            return Failure("failed", f"fla's {', '.join(doubtful)} {UNCHECKED}")
        effort = Effort(self.profiling.relative_interval, self.profiling.time_limit_s)
        (outcome,) = outcomes(measure, [Job(shape, effort, self.make)], self.guard)
        return outcome

    def _doubtful(self, shape: Shape) -> list[str]:
        """Kernels that the shape would run, and that no record found right here; fla's own layers pass."""
        if shape.backend != "fla" or shape.target == "fla_layer":
            return []
        wanted = kernels_of_layout(shape.system.layout, shape.system.direction, shape.encoder)
        return sorted(wanted - self.kernels)

    def _note_ceilings(self) -> None:
        machine = Machine(self.profiling.device, self.profiling.threads, self.profiling.dtypes)
        (outcome,) = outcomes(ceilings, [machine], self.guard)
        if isinstance(outcome, Ceilings):
            self._note(ceilings=outcome)
        else:
            self._note(notes=(*self.record.notes, f"ceilings: {outcome.reason}"))

    def _note_control(self, shape: Shape) -> None:
        self.twice.append(self._measured(shape))
        if len(self.twice) == 2:
            self._note(control=_control(shape, self.twice, self.profiling.relative_interval))

    def _note(self, **found: Any) -> None:
        """Put what was found into the sweep's record, at once."""
        self.record = self.record.model_copy(update=found)
        self.store.write(self.record)


def _control(shape: Shape, twice: Sequence[Measurement | Failure], aim: float) -> Control:
    """`aim` is the relative interval at which sampling stops."""
    fill = partial(Control, shape=shape, label=layout.label(shape.system.layout))
    for outcome in twice:
        if isinstance(outcome, Failure):
            return fill(status=outcome.status, reason=outcome.reason)
    first, second = (outcome.latency for outcome in twice if isinstance(outcome, Measurement))
    error = stated([(latency.median, latency.low, latency.high) for latency in (first, second)], aim)
    return fill(
        status="ok",
        samples_ms=(first.samples_ms, second.samples_ms),
        ratio=second.median / first.median,
        error=error,
    )


def _record(shape: Shape, outcome: Measurement | Failure, here: Environment, sweep: str) -> ProfileRecord:
    fill = partial(
        ProfileRecord,
        id=shape.id,
        shape=shape,
        label=layout.label(shape.system.layout),
        frames=encoder_frames(shape),
        environment=here,
        sweep=sweep,
    )
    if isinstance(outcome, Failure):
        return fill(status=outcome.status, reason=outcome.reason)
    return fill(
        status="ok",
        peak_bytes=outcome.peak_bytes,
        state_bytes=outcome.state_bytes,
        flops=outcome.flops,
        parameters=outcome.parameters,
        batch=outcome.batch,
        reserved_bytes=outcome.reserved_bytes,
        **_times(outcome.latency),
        **_energy(outcome.energy),
        **_clocks(outcome.cuda),
    )


def _times(latency: Latency) -> dict[str, Any]:
    """The fields of a record that the meter fills."""
    return {
        "samples_ms": latency.samples_ms,
        "median_ms": latency.median,
        "median_low_ms": latency.low,
        "median_high_ms": latency.high,
        "converged": latency.converged,
        "p20_ms": latency.p20,
        "p80_ms": latency.p80,
        "p95_ms": latency.p95,
        "warm": latency.warm,
        "disturbed": latency.disturbed,
        "disturbances": latency.disturbances,
        "median_over": latency.median_over,
    }


def _energy(energy: Energy | None) -> dict[str, Any]:
    return {} if energy is None else {"joules": energy.joules_per_pass, "energy_source": energy.source}


def _clocks(cuda: CudaTimes | None) -> dict[str, Any]:
    """The fields of a record that only a GPU fills."""
    if cuda is None:
        return {}
    return {
        "graph_ms": cuda.graph.median if cuda.graph else None,
        "graph_failure": cuda.graph_failure,
        "kernel_ms": cuda.kernel_ms,
        "launch_bound": cuda.launch_bound,
    }


def _guard(profiling: Profiling) -> Guard:
    return Guard(default_guard().memory_bytes, profiling.cell_limit_s)


def _size(several: Sequence[Curve]) -> int:
    return sum(len(curve) for curve in several)


def forecast(planned: Sequence[Curve], profiling: Profiling) -> Iterator[tuple[Curve, float]]:
    """Every curve with the seconds that it takes at least: starts, and sampling up to the time limit."""
    for curve in planned:
        yield curve, len(curve) * (_start_s(curve[0]) + 1.25 * profiling.time_limit_s)


def _start_s(shape: Shape) -> float:
    """Seconds before a cell samples: its process, CUDA's context, a compilation, an export."""
    device = 6.0 if shape.device_kind == "cuda" else 0.3
    return device + {"compile": 20.0, "onnx": 5.0, "onnx-int8": 5.0}.get(shape.engine, 0.0)
