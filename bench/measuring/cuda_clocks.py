"""Three clocks for a call on a CUDA device, side by side, because at small shapes they disagree.

    times = time_on_cuda(lambda: model(x))
    times.wall.median           # ms between two synchronisations, as a caller waits
    times.graph                 # the same, replayed as a CUDA graph; None where `graph_failure` says why
    times.kernel_ms             # sum over its kernels on the device
    times.launch_bound          # share of the wall time in which no kernel ran

The call must be warm in its shape already: Triton tunes and compiles at the first. A capture that fails may
leave torch's allocator unusable in the rest of the process (so before torch 2.13), hence the graph comes
last here, and memory should be measured before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from bench.measuring.disturbance import Machine
from bench.measuring.latency import Latency, Run, sample_latency
from bench.measuring.nvml import open_gpu

KERNEL_PASSES = 5
FLUSH_TIMES = 4  # the size of the L2 cache; its replacement is not known
CAPTURE_WARM_UP = 3  # calls on the side stream, as torch's notes on CUDA graphs ask


@dataclass(frozen=True)
class CudaTimes:
    """A call by three clocks; `flush_l2` says whether each started with a cold L2 cache."""

    wall: Latency
    graph: Latency | None
    graph_failure: str  # why there is no graph; "" where there is one
    kernel_samples_ms: tuple[float, ...]  # a pass each; empty where the profiler sees no kernel
    flush_l2: bool

    @property
    def kernel_ms(self) -> float | None:
        """Median over the profiled passes of the time of all kernels, copies and fills added up."""
        return median(self.kernel_samples_ms) if self.kernel_samples_ms else None

    @property
    def launch_bound(self) -> float | None:
        """1 − kernel / wall: what the device spent waiting for launches; 0 where kernels overlap."""
        if self.kernel_ms is None:
            return None
        return max(0.0, 1 - self.kernel_ms / self.wall.median)


def time_on_cuda(
    run: Run, *, relative_interval: float = 0.01, time_limit_s: float = 2.0, flush_l2: bool = False
) -> CudaTimes:
    """Time `run`, whose work goes to the current CUDA device, by all three clocks.

    `relative_interval` and `time_limit_s` are those of `sample_latency`, for wall and graph each.
    `flush_l2`: write over the L2 cache ahead of every call, off the clock, as for a caller who did other
    work in between; without, weights and inputs may still lie there, as in a loop over one model.
    """
    before = _flusher() if flush_l2 else None
    watch = Machine(open_gpu(_uuid()))

    def sample(call: Run) -> Latency:
        return sample_latency(
            _finished(call),
            relative_interval=relative_interval,
            time_limit_s=time_limit_s,
            watch=watch,
            before=before,
        )

    wall = sample(run)
    kernel_samples_ms = _kernel_samples_ms(run, before)
    captured = _capture(run)
    graph = None if isinstance(captured, str) else sample(captured)
    failure = captured if isinstance(captured, str) else ""
    return CudaTimes(wall, graph, failure, kernel_samples_ms, flush_l2)


def _finished(run: Run) -> Run:
    """`run`, and the wait for what it started."""

    def run_and_wait() -> None:
        run()
        torch.cuda.synchronize()

    return run_and_wait


def _flusher() -> Run:
    """Writes a buffer several times as large as the L2 cache, and waits."""
    cache_bytes = torch.cuda.get_device_properties().L2_cache_size
    buffer = torch.empty(FLUSH_TIMES * cache_bytes, dtype=torch.int8, device="cuda")
    return _finished(buffer.zero_)


def _kernel_samples_ms(run: Run, before: Run | None) -> tuple[float, ...]:
    """Device time of single passes, each under a profiler of its own so that no flush is in it."""
    samples = [_device_ms(run, before) for _ in range(KERNEL_PASSES + 1)][1:]  # the first starts the tracer
    return tuple(samples) if all(samples) else ()


def _device_ms(run: Run, before: Run | None) -> float:
    finished = _finished(run)
    if before is not None:
        before()
    with profile(activities=[ProfilerActivity.CUDA]) as trace:
        finished()
    on_device = (event for event in trace.events() if event.device_type == DeviceType.CUDA)
    return 1e-3 * sum(event.time_range.elapsed_us() for event in on_device if not event.is_user_annotation)


def _capture(run: Run) -> Callable[[], None] | str:
    """The replay of `run` as a CUDA graph, or why it cannot be captured."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        _warm_on_side_stream(run)
        with torch.cuda.graph(graph):
            run()
        graph.replay()
        torch.cuda.synchronize()
    except Exception as error:  # whatever a kernel, its compiler or the allocator raises
        torch.cuda.set_stream(stream)  # a capture that ends badly leaves its own stream current
        first = error.__context__ or error  # the end of a broken capture fails once more
        return " ".join(f"{type(first).__name__}: {first}".split())[:300]
    return graph.replay


def _warm_on_side_stream(run: Run) -> None:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(CAPTURE_WARM_UP):
            run()
    torch.cuda.current_stream().wait_stream(side)


def _uuid() -> str:
    """How NVML knows the current device, whatever CUDA_VISIBLE_DEVICES calls it."""
    return f"GPU-{torch.cuda.get_device_properties().uuid}"
