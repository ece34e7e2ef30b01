"""How much memory a call needs at its peak, above what was resident before it.

    peak = peak_bytes(lambda: model(x))         # None where the system cannot say (macOS)
    peak = cuda_peak(lambda: model(x))          # of a CUDA device
    peak.allocated_bytes, peak.reserved_bytes

Linux keeps the peak of a process's resident memory (VmHWM) and resets it on request, so every call
sees its own peak and never an earlier one. Heap that was freed but kept by the allocator is given
back first: otherwise a call would reuse it unseen. Measure in a process of its own; the resolution
is some hundred kilobytes. On a CUDA device torch's allocator keeps count, to the byte of its blocks (512
bytes allocated, 2 MiB and more reserved).
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): reset the peak resident set size to the current one


def peak_bytes(run: Callable[[], object]) -> int | None:
    """Peak resident bytes while `run` ran, above those before it; None without Linux's /proc.

    What `run` returns is held until the peak has been read.
    """
    gc.collect()
    trim_heap()
    if not _reset_peak():
        return None
    before = _status_bytes("VmRSS")
    result = run()
    peak = _status_bytes("VmHWM")
    del result
    return max(0, peak - before)


@dataclass(frozen=True)
class CudaPeak:
    """Peak memory of a call on a CUDA device, above what was there before it."""

    allocated_bytes: int  # in tensors
    reserved_bytes: int  # that the allocator took from the device to serve them


def cuda_peak(run: Callable[[], object]) -> CudaPeak:
    """Peak while `run` ran on the current CUDA device, above resident weights and inputs.

    The call is made twice: workspaces that libraries keep from the first on (cuBLAS's, some ten megabytes)
    are resident at the second and no part of its peak. What `run` returns is held until the peak is read.
    """
    import torch

    run()
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    allocated, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    result = run()
    torch.cuda.synchronize()
    peak = CudaPeak(
        torch.cuda.max_memory_allocated() - allocated, torch.cuda.max_memory_reserved() - reserved
    )
    del result
    return peak


def _reset_peak() -> bool:
    """Set VmHWM to the current VmRSS; False where the system does not offer it."""
    try:
        CLEAR_REFS.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def _status_bytes(field: str) -> int:
    """A field of /proc/self/status that is given in kB, in bytes."""
    for line in STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise OSError(f"{STATUS} has no {field}")


def trim_heap() -> None:
    """Give freed heap back to the system; does nothing where the C library is not glibc."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
