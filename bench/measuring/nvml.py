"""What the driver says of a GPU while it works: clock, what slows it, who shares it, energy.

    gpu = open_gpu()                # None without nvidia-ml-py or a driver that answers
    gpu.read().clock_mhz            # 1980
    gpu.energy_uj()                 # since the driver was loaded
    say_if_missing()                # once a process, on standard error

Through NVML (the module `pynvml` of the package nvidia-ml-py), as a call of nvidia-smi takes too long
to be made between samples. Whatever a GPU or driver does not tell is None or nothing.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

# nvml.h, nvmlClocksEventReason…: what slows a GPU below the clock that was asked for
SLOWDOWNS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "too hot (software)",
    0x40: "too hot (hardware)",
    0x80: "power brake",
}
MISSING = (
    "serbench: the GPU's energy, throttling and other users stay unknown: NVML does not answer;"
    " it needs nvidia-ml-py (serbench[gpu]) and NVIDIA's driver"
)


@dataclass(frozen=True)
class GpuReading:
    """The state of a GPU at one time."""

    clock_mhz: int | None  # of the streaming multiprocessors
    slowed: tuple[str, ...]  # by what, now
    others: int  # processes beside this one that compute on it


class Gpu:
    """One GPU as NVML sees it."""

    def __init__(self, nvml: ModuleType, handle: object) -> None:
        self._nvml, self._handle = nvml, handle

    def read(self) -> GpuReading:
        """The state now."""
        reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons") or 0
        return GpuReading(
            clock_mhz=self._ask("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_SM),
            slowed=tuple(name for bit, name in SLOWDOWNS.items() if reasons & bit),
            others=self._others(),
        )

    def energy_uj(self) -> int | None:
        """Microjoules since the driver was loaded."""
        millijoules = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return None if millijoules is None else 1_000 * millijoules

    def _others(self) -> int:
        """Processes but for ours; in a container ours has another number, so a single one is taken for it."""
        processes = {process.pid for process in self._ask("nvmlDeviceGetComputeRunningProcesses") or ()}
        ours = os.getpid() in processes or len(processes) == 1
        return len(processes) - ours

    def _ask(self, function: str, *arguments: object) -> Any:
        """The answer of an NVML function about this GPU; None where it has none."""
        return answer(self._nvml, getattr(self._nvml, function), self._handle, *arguments)


def answer(nvml: ModuleType, function: Callable[..., Any], *arguments: object) -> Any:
    """What an NVML function returns; None where it fails."""
    try:
        return function(*arguments)
    except nvml.NVMLError:
        return None


def open_gpu(which: str | None = None) -> Gpu | None:
    """The GPU of this index or UUID, by default the first that CUDA shows; None where NVML has none."""
    nvml = _library()
    if nvml is None:
        return None
    which = which or first_visible()
    if which.isdigit():
        handle = answer(nvml, nvml.nvmlDeviceGetHandleByIndex, int(which))
    else:
        handle = answer(nvml, nvml.nvmlDeviceGetHandleByUUID, which)
    return None if handle is None else Gpu(nvml, handle)


def first_visible() -> str:
    """Index or UUID of the first GPU that CUDA_VISIBLE_DEVICES shows; "0" where it is not set."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip() or "0"


@cache
def say_if_missing() -> None:
    """One sentence on standard error where NVML is not there; nothing at the next call."""
    if _library() is None:
        print(MISSING, file=sys.stderr)


def _library() -> ModuleType | None:
    """NVML, ready to be asked in this process."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    return nvml
