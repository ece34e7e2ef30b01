"""Three clocks on a CUDA device: on kernels of known time, beside Triton's meter, and where capture fails."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import torch

from bench.measuring.cuda_clocks import CudaTimes, time_on_cuda
from bench.measuring.isolation import Guard, outcomes
from bench.measuring.latency import Latency

GB = 1 << 30
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
GUARD = Guard(memory_bytes=64 * GB, hang_s=120.0)  # a failed capture must not reach the other tests


def times(wall_ms: float, kernels_ms: tuple[float, ...]) -> CudaTimes:
    wall = Latency((wall_ms,), wall_ms, None, None, converged=True)
    return CudaTimes(wall, None, "not tried", kernels_ms, flush_l2=False)


def test_kernel_time_is_the_median_of_its_passes() -> None:
    assert times(10.0, (2.0, 9.0, 3.0)).kernel_ms == 3.0


@pytest.mark.parametrize(("kernels_ms", "share"), [((2.0,), 0.8), ((10.0,), 0.0), ((12.0,), 0.0)])
def test_launch_bound_share_is_what_the_kernels_leave_of_the_wall_time(kernels_ms, share) -> None:
    assert times(10.0, kernels_ms).launch_bound == pytest.approx(share)


def test_without_a_kernel_nothing_is_said_of_launches() -> None:
    assert times(10.0, ()).kernel_ms is None
    assert times(10.0, ()).launch_bound is None


def test_module_is_imported_without_touching_a_device() -> None:
    script = "import torch, bench.measuring.cuda_clocks; print(torch.cuda.is_initialized())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# On a device; each in a process of its own, by name


def copy_of_four_gigabytes(_: int) -> tuple[CudaTimes, float]:
    from triton.testing import do_bench

    source = torch.ones(4 * GB, dtype=torch.int8, device="cuda")
    target = torch.empty_like(source)

    def run() -> None:
        target.copy_(source)

    ours = time_on_cuda(run, flush_l2=True)
    return ours, do_bench(run, warmup=100, rep=500, return_mode="median")


def hundred_small_kernels(_: int) -> CudaTimes:
    x = torch.ones(64, device="cuda")

    def run() -> None:
        for _ in range(100):
            x.add_(1)

    return time_on_cuda(run, time_limit_s=1.0)


def pass_that_looks_at_the_device(_: int) -> CudaTimes:
    x = torch.ones(64, device="cuda")
    return time_on_cuda(lambda: x.sum().item(), time_limit_s=0.5)


def pass_that_sleeps_on_the_host(_: int) -> CudaTimes:
    x = torch.ones(64, device="cuda")

    def run() -> None:
        time.sleep(0.005)
        x.add_(1)

    return time_on_cuda(run, time_limit_s=0.5)


def forward_and_backward(_: int) -> CudaTimes:
    layer = torch.nn.Linear(512, 512, device="cuda")
    x = torch.randn(64, 512, device="cuda")

    def run() -> None:
        layer.zero_grad(set_to_none=True)
        layer(x).square().mean().backward()

    return time_on_cuda(run, time_limit_s=0.5)


def outgrow_the_device(_: int) -> torch.Tensor:
    return torch.empty(1 << 50, dtype=torch.int8, device="cuda")


@pytest.mark.gpu
@on_gpu
def test_kernel_graph_and_wall_agree_with_do_bench_on_a_long_copy() -> None:
    pytest.importorskip("triton")
    (outcome,) = outcomes(copy_of_four_gigabytes, [0], GUARD)
    ours, theirs_ms = outcome  # type: ignore[misc]
    assert ours.graph is not None
    assert ours.kernel_ms == pytest.approx(theirs_ms, rel=0.03)
    assert ours.wall.median == pytest.approx(theirs_ms, rel=0.03)
    assert ours.graph.median == pytest.approx(theirs_ms, rel=0.03)
    assert ours.launch_bound < 0.03


@pytest.mark.gpu
@on_gpu
def test_many_small_kernels_are_launch_bound_and_a_graph_relieves_them() -> None:
    (outcome,) = outcomes(hundred_small_kernels, [0], GUARD)
    assert isinstance(outcome, CudaTimes)
    assert outcome.graph is not None
    assert (outcome.kernel_ms or 0) < outcome.graph.median < outcome.wall.median
    assert (outcome.launch_bound or 0) > 0.3


@pytest.mark.gpu
@on_gpu
def test_pass_that_cannot_be_captured_says_why_and_keeps_the_other_clocks() -> None:
    (outcome,) = outcomes(pass_that_looks_at_the_device, [0], GUARD)
    assert isinstance(outcome, CudaTimes)
    assert outcome.graph is None
    assert "captur" in outcome.graph_failure
    assert outcome.wall.samples_ms
    assert outcome.kernel_ms


@pytest.mark.gpu
@on_gpu
def test_time_on_the_host_is_in_the_wall_clock_alone() -> None:
    (outcome,) = outcomes(pass_that_sleeps_on_the_host, [0], GUARD)
    assert isinstance(outcome, CudaTimes)
    assert min(outcome.wall.samples_ms) >= 5.0
    assert 0 < (outcome.kernel_ms or 0) < 1.0
    assert outcome.graph is not None
    assert outcome.graph.median < 1.0


@pytest.mark.gpu
@on_gpu
def test_backward_pass_is_captured_and_its_kernels_are_counted() -> None:
    (outcome,) = outcomes(forward_and_backward, [0], GUARD)
    assert isinstance(outcome, CudaTimes)
    assert outcome.graph is not None, outcome.graph_failure
    assert (outcome.kernel_ms or 0) > 0


@pytest.mark.gpu
@on_gpu
def test_length_beyond_the_device_is_out_of_memory() -> None:
    (outcome,) = outcomes(outgrow_the_device, [0], GUARD)
    assert getattr(outcome, "status", None) == "oom"
