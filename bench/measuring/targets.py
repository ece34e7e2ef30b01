"""What is timed: a shape becomes a callable, and the callable becomes a measurement.

    measurement = measure(Job(shape, Effort(relative_interval=0.03, time_limit_s=2.0)))

Runs in a fresh process (`bench.measuring.isolation`). Of this room what is timed imports torch:
`subjects`, `engines` and `streams` from here, `ceilings`, and for the ops alone `op_targets` and `loops`; and
what is compared, `kernel_checks` and its neighbours.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.config import STREAMS
from bench.evidence.records import Shape
from bench.measuring import streams, subjects, throughput
from bench.measuring.cuda_clocks import CudaTimes, time_on_cuda
from bench.measuring.energy import Energy, board, energy_of, rapl
from bench.measuring.engines import fix_threads, runner, settle
from bench.measuring.latency import Latency, sample_latency
from bench.measuring.memory import cuda_peak, peak_bytes
from bench.measuring.nvml import first_visible, open_gpu
from bench.measuring.sizes import encoder_frames

__all__ = ["Effort", "Job", "Measurement", "Target", "build", "encoder_frames", "fix_threads", "measure"]

PROBES = 5  # calls at one batch when the throughput batch is looked for


@dataclass(frozen=True)
class Target:
    """One pass, ready to run, and what is known of it without running it."""

    run: Callable[[], object]
    state_bytes: int | None
    flops: int | None
    parameters: int


@dataclass(frozen=True)
class Effort:
    """How long to sample one shape, and how narrow its median should get (see `Profiling`)."""

    relative_interval: float
    time_limit_s: float


@dataclass(frozen=True)
class Job:
    """One shape to measure, by the function that builds its target."""

    shape: Shape
    effort: Effort
    build: Callable[[Shape], Target]


@dataclass(frozen=True)
class Measurement:
    """What one shape costs; the fields are those of `ProfileRecord`."""

    latency: Latency
    peak_bytes: int | None
    state_bytes: int | None
    flops: int | None
    parameters: int
    batch: int
    reserved_bytes: int | None = None  # CUDA's allocator keeps more than it hands out
    energy: Energy | None = None
    cuda: CudaTimes | None = None  # the clocks beside the wall's


def build(shape: Shape, scratch: Path | None = None) -> Target:
    """The target of a shape whose batch is a number; inputs and weights are drawn from a fixed seed.

    `scratch`: folder for exported graphs, which cells of one sweep share.
    """
    if shape.work in STREAMS:
        mixer, run, state_bytes = streams.stream(shape)
        return Target(run, state_bytes, None, sum(parameter.numel() for parameter in mixer.parameters()))
    subject = subjects.build(shape)
    run = runner(subject, shape, scratch)
    return Target(run, subject.state_bytes, subject.flops, subject.parameters)


def measure(job: Job) -> Measurement:
    """Latency in one pass over the shape, memory in another.

    What is compiled or tuned for a shape is so in a first call, before the meter's own warm-up.
    """
    gc.freeze()  # what the process began with is no garbage; looking through it takes half a second
    settle(job.shape)
    batch = _batch(job)
    shape = job.shape.model_copy(update={"batch": batch})
    target = job.build(shape)
    if shape.engine != "eager" or shape.device_kind == "cuda":
        target.run()
    clocked = _on_cuda if shape.device_kind == "cuda" else _on_cpu
    return Measurement(
        state_bytes=target.state_bytes,
        flops=target.flops,
        parameters=target.parameters,
        batch=batch,
        **clocked(target.run, job.effort),
    )


def _on_cpu(run: Callable[[], object], effort: Effort) -> dict[str, Any]:
    latency = sample_latency(
        run, relative_interval=effort.relative_interval, time_limit_s=effort.time_limit_s
    )
    energy = energy_of(run, rapl(), window_s=effort.time_limit_s)
    return {"latency": latency, "energy": energy, "peak_bytes": peak_bytes(run)}


def _on_cuda(run: Callable[[], object], effort: Effort) -> dict[str, Any]:
    """The graph clock comes last: a capture that fails may leave the allocator in disorder."""
    peak = cuda_peak(run)
    energy = energy_of(run, board(open_gpu(first_visible())), window_s=effort.time_limit_s)
    times = time_on_cuda(run, relative_interval=effort.relative_interval, time_limit_s=effort.time_limit_s)
    return {
        "latency": times.wall,
        "energy": energy,
        "peak_bytes": peak.allocated_bytes,
        "reserved_bytes": peak.reserved_bytes,
        "cuda": times,
    }


def _batch(job: Job) -> int:
    """Utterances of one call, found by trying where the throughput is asked for."""
    if job.shape.utterances_s:
        return len(job.shape.utterances_s)
    if job.shape.batch != "throughput":
        return job.shape.batch

    def probe(batch: int) -> throughput.Probe:
        target = job.build(job.shape.model_copy(update={"batch": batch}))
        target.run()
        few = sample_latency(target.run, time_limit_s=job.effort.time_limit_s / PROBES, min_samples=PROBES)
        call_s = max(median(few.samples_ms) / 1e3, 1e-9)
        return throughput.Probe(batch / call_s, call_s)

    return throughput.largest(probe, patience_s=job.effort.time_limit_s)
