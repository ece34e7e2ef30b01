"""The memory meter, on callables that allocate a known number of bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.measuring import memory
from bench.measuring.memory import cuda_peak, peak_bytes

MB = 1 << 20
linux = pytest.mark.skipif(not memory.CLEAR_REFS.exists(), reason="the peak is read from Linux's /proc")
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def numpy_buffer(megabytes: int) -> object:
    return np.ones(megabytes * MB, dtype=np.int8)


def torch_buffer(megabytes: int) -> object:
    return torch.ones(megabytes * MB, dtype=torch.int8)


@linux
@pytest.mark.parametrize("allocate", [numpy_buffer, torch_buffer])
def test_known_buffer_is_seen_within_ten_percent(allocate: Callable[[int], object]) -> None:
    assert peak_bytes(lambda: allocate(64)) == pytest.approx(64 * MB, rel=0.1)


@linux
def test_buffer_freed_inside_the_call_is_seen_too() -> None:
    def run() -> None:
        numpy_buffer(64)

    assert peak_bytes(run) == pytest.approx(64 * MB, rel=0.1)


@linux
def test_second_call_sees_its_own_peak_and_not_the_earlier_one() -> None:
    peak_bytes(lambda: numpy_buffer(200))
    assert peak_bytes(lambda: numpy_buffer(64)) == pytest.approx(64 * MB, rel=0.1)


@linux
def test_memory_held_before_the_call_is_not_counted() -> None:
    held = numpy_buffer(128)
    assert peak_bytes(lambda: numpy_buffer(64)) == pytest.approx(64 * MB, rel=0.1)
    del held


@linux
def test_buffers_alive_together_add_up() -> None:
    peak = peak_bytes(lambda: [numpy_buffer(32), numpy_buffer(32), numpy_buffer(32)])
    assert peak == pytest.approx(96 * MB, rel=0.1)


@linux
def test_matrix_product_of_known_size_needs_its_result_and_little_more() -> None:
    a = torch.ones(4_096, 64)
    peak_bytes(lambda: a @ a.T)
    assert peak_bytes(lambda: a @ a.T) == pytest.approx(64 * MB, rel=0.1)


def test_system_without_a_peak_gives_none_and_does_not_run_the_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "CLEAR_REFS", tmp_path / "absent" / "clear_refs")
    calls: list[int] = []
    assert peak_bytes(lambda: calls.append(1)) is None
    assert calls == []


# On a CUDA device


def device_buffer(megabytes: int) -> torch.Tensor:
    return torch.empty(megabytes * MB, dtype=torch.int8, device="cuda")


@pytest.mark.gpu
@on_gpu
def test_known_tensor_on_the_device_is_seen_to_the_byte() -> None:
    peak = cuda_peak(lambda: device_buffer(64))
    assert peak.allocated_bytes == peak.reserved_bytes == 64 * MB


@pytest.mark.gpu
@on_gpu
def test_tensors_freed_within_the_call_are_seen_at_their_highest_together() -> None:
    def run() -> torch.Tensor:
        first, second = device_buffer(64), device_buffer(32)
        del first, second
        return device_buffer(16)

    assert cuda_peak(run).allocated_bytes == 96 * MB


@pytest.mark.gpu
@on_gpu
def test_weights_inputs_and_library_workspaces_on_the_device_are_not_counted() -> None:
    a = torch.ones(4_096, 1_024, device="cuda")
    peak = cuda_peak(lambda: a @ a.T)
    assert peak.allocated_bytes == 64 * MB
    assert 64 * MB <= peak.reserved_bytes < 128 * MB


@pytest.mark.gpu
@on_gpu
def test_second_call_on_the_device_sees_its_own_peak() -> None:
    cuda_peak(lambda: device_buffer(200))
    assert cuda_peak(lambda: device_buffer(64)).allocated_bytes == 64 * MB
