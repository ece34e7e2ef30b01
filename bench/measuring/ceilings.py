"""What the machine can do at most: its fastest matrix product and its fastest copy, for shares of them.

    ceilings(Machine("cpu", threads=1, dtypes=("float32",)))

Measured in every sweep, in a process of its own like every cell: a share is of what this machine did that
day, not of a data sheet.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from bench.config import DeviceKind, Precision
from bench.evidence.records import Ceilings
from bench.measuring.engines import fix_threads
from bench.measuring.latency import sample_latency

SIDES = {"cpu": (512, 1024), "cuda": (4096, 8192)}  # of the square matrices that are multiplied
COPIED_BYTES = {"cpu": 1 << 28, "cuda": 1 << 30}  # a copy reads and writes so many: beyond every cache
TIME_LIMIT_S = 0.4


@dataclass(frozen=True)
class Machine:
    """What is asked: where, with how many threads, in which precisions."""

    device_kind: DeviceKind
    threads: int
    dtypes: tuple[Precision, ...]


def ceilings(machine: Machine) -> Ceilings:
    """Both ceilings: of each precision the fastest of some sizes."""
    gc.freeze()
    fix_threads(machine.threads)
    products = {dtype: _product_flops(machine.device_kind, dtype) for dtype in machine.dtypes}
    return Ceilings(flops_per_s=products, copy_bytes_per_s=_copy_bytes(machine.device_kind))


def _product_flops(device: DeviceKind, dtype: Precision) -> float:
    """Multiply-adds, times two, a second."""
    torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
    number = torch.float32 if dtype == "tf32" else getattr(torch, dtype)
    return max(2 * side**3 / _seconds(_product(side, device, number), device) for side in SIDES[device])


def _product(side: int, device: DeviceKind, number: torch.dtype) -> Callable[[], object]:
    a, b = (torch.randn(side, side, device=device, dtype=number) for _ in range(2))
    out = torch.empty_like(a)
    return partial(torch.mm, a, b, out=out)


def _copy_bytes(device: DeviceKind) -> float:
    """Bytes read and written a second."""
    source = torch.ones(COPIED_BYTES[device] // 4, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _seconds(lambda: target.copy_(source), device)


def _seconds(run: Callable[[], object], device: DeviceKind) -> float:
    """Median time of a call."""

    def wait() -> None:
        run()
        if device == "cuda":
            torch.cuda.synchronize()

    return sample_latency(wait, time_limit_s=TIME_LIMIT_S, min_samples=6).median / 1e3
