"""The op benchmark (`serbench profile ops`): is each recurrence as fast as it should be on this machine?

    record = benchmark(OpShape(), Effort(relative_interval=0.03, time_limit_s=1.0), store)

Each op meets its frame-by-frame loop, fla's naive reference where that is installed, fused softmax attention
over a range of lengths, itself at other lengths, and its own forward and backward pass. The calls of one
comparison are sampled in turns in one fresh process; memory is read in processes of its own. A comparison
that fails or runs out of memory is part of the record with its reason. One record a machine and shape: the
next benchmark takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from bench.config import OpName, OpShape
from bench.evidence.records import (
    Comparison,
    Environment,
    OpComparison,
    OpMemory,
    OpRecord,
    OpRun,
    OpSetting,
    OpTiming,
)
from bench.evidence.store import Store
from bench.measuring import environment
from bench.measuring.isolation import Failure, Guard, default_guard, outcomes
from bench.measuring.latency import Latency
from bench.measuring.op_targets import OPS, Job, Task, compare, reference_path, weigh
from bench.measuring.targets import Effort
from bench.progress import track

Result = TypeVar("Result")


def benchmark(shape: OpShape, effort: Effort, store: Store, guard: Guard | None = None) -> OpRecord:
    """Measure every comparison of `shape` and write the record; SuiteError where it cannot be written."""
    here = environment.describe(shape.threads)
    timed, weighed = comparisons(shape), lengths_weighed(shape)
    with_effort = [Task(job, shape, effort) for job in timed]
    results = [
        _comparison(job, _alone(compare, task, guard))
        for job, task in zip(timed, track(with_effort, "timing ops", len(timed)), strict=True)
    ]
    weights = [
        _memory(job, _alone(weigh, Task(job, shape, effort), guard))
        for job in track(weighed, "weighing ops", len(weighed))
    ]
    record = _record(shape, here, results, weights)
    store.write(record)
    return record


def comparisons(shape: OpShape) -> list[Job]:
    """Every question of a benchmark, op by op."""
    return [job for op in shape.ops for job in _comparisons_of(op, shape)]


def _comparisons_of(op: OpName, shape: OpShape) -> list[Job]:
    """The loop is also timed at an eighth of the length, so that it can be drawn as a line."""

    def beside(run: OpRun, against: Comparison, frames: int) -> Job:
        return Job(op, against, (("op", frames), (run, frames)))

    T = shape.frames
    jobs = [beside("loop", "loop", frames) for frames in sorted({max(1, T // 8), T})]
    if OPS[op].linear:
        jobs.append(beside("loop_in_place", "loop_in_place", T))
    if reference_path(op) is not None:
        jobs.append(beside("reference", "reference", T))
    jobs += [beside("softmax", "softmax", frames) for frames in sorted({*shape.crossover, T})]
    jobs.append(beside("training", "training", T))
    lengths = growth_lengths(op, shape)
    if len(lengths) > 1:
        jobs.append(Job(op, "growth", tuple(("op", frames) for frames in lengths)))
    return jobs


def growth_lengths(op: OpName, shape: OpShape) -> list[int]:
    """Lengths over which an op's growth is followed: O(T²) ops go no further than beside softmax."""
    longest = max(shape.growth) if OPS[op].linear else max(shape.crossover)
    return [frames for frames in shape.growth if frames <= longest]


def lengths_weighed(shape: OpShape) -> list[Job]:
    """Each op at the shortest and the longest of its growth lengths."""
    ends = {op: growth_lengths(op, shape) for op in shape.ops}
    return [
        Job(op, "growth", (("op", frames),))
        for op, lengths in ends.items()
        for frames in sorted({*lengths[:1], *lengths[-1:]})
    ]


def _alone(task: Callable[[Task], Result], item: Task, guard: Guard | None) -> Result | Failure:
    """The outcome of one task in a process of its own."""
    (outcome,) = outcomes(task, [item], guard or default_guard())
    return outcome


def _comparison(job: Job, outcome: Sequence[Latency] | Failure) -> OpComparison:
    if isinstance(outcome, Failure):
        return OpComparison(
            op=job.op, against=job.against, frames=job.frames, status=outcome.status, reason=outcome.reason
        )
    timings = tuple(
        OpTiming(run=run, frames=frames, samples_ms=latency.samples_ms, median_ms=latency.median)
        for (run, frames), latency in zip(job.calls, outcome, strict=True)
    )
    converged = all(latency.converged for latency in outcome)
    return OpComparison(
        op=job.op,
        against=job.against,
        frames=job.frames,
        status="ok",
        timings=timings,
        converged=converged,
    )


def _memory(job: Job, outcome: int | Failure | None) -> OpMemory:
    if isinstance(outcome, Failure):
        return OpMemory(op=job.op, frames=job.frames, status=outcome.status, reason=outcome.reason)
    return OpMemory(op=job.op, frames=job.frames, status="ok", peak_bytes=outcome)


def _record(
    shape: OpShape, here: Environment, results: Sequence[OpComparison], weights: Sequence[OpMemory]
) -> OpRecord:
    setting = OpSetting(**shape.model_dump(), device=here.device)
    return OpRecord(
        id=setting.id, setting=setting, comparisons=tuple(results), memory=tuple(weights), environment=here
    )
