"""The GPU's driver, with a library of our own in its place: what is asked, and what becomes of silence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bench.measuring import nvml
from bench.measuring.energy import board


class NVMLError(Exception):
    """As the library's own."""


class Library:
    """Answers as the functions of nvidia-ml-py do, with the values that a test sets; None: not supported."""

    NVMLError = NVMLError
    NVML_CLOCK_SM = 1

    def __init__(self) -> None:
        self.clock: int | None = 1980
        self.reasons: int | None = 0
        self.processes: list[int] | None = [os.getpid()]
        self.millijoules: int | None = 7
        self.works = True
        self.opened: list[object] = []

    def nvmlInit(self) -> None:
        if not self.works:
            raise NVMLError("driver not loaded")

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:
        return self._open(index)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object:
        return self._open(uuid)

    def nvmlDeviceGetClockInfo(self, handle: object, kind: int) -> int:
        assert kind == self.NVML_CLOCK_SM
        return self._say(self.clock)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: object) -> int:
        return self._say(self.reasons)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid) for pid in self._say(self.processes)]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:
        return self._say(self.millijoules)

    def _open(self, which: object) -> object:
        if which in (9, "GPU-none"):
            raise NVMLError("not found")
        self.opened.append(which)
        return which

    def _say(self, value: Any) -> Any:
        if value is None:
            raise NVMLError("not supported")
        return value


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    made = Library()
    monkeypatch.setitem(sys.modules, "pynvml", made)  # type: ignore[arg-type]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvml.say_if_missing.cache_clear()
    yield made
    nvml.say_if_missing.cache_clear()


def gpu() -> nvml.Gpu:
    found = nvml.open_gpu()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("visible", "opened"), [(None, 0), ("", 0), ("2,0", 2), ("GPU-abc,GPU-def", "GPU-abc")]
)
def test_gpu_is_the_first_that_cuda_shows(
    library: Library, monkeypatch: pytest.MonkeyPatch, visible: str | None, opened: object
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    gpu()
    assert library.opened == [opened]


def test_gpu_is_the_one_that_is_named(library: Library) -> None:
    nvml.open_gpu("GPU-0123")
    assert library.opened == ["GPU-0123"]


@pytest.mark.parametrize("which", ["9", "GPU-none"])
def test_gpu_that_the_driver_does_not_know_is_none(library: Library, which: str) -> None:
    assert nvml.open_gpu(which) is None


def test_calm_gpu_reads_calm(library: Library) -> None:
    assert gpu().read() == nvml.GpuReading(clock_mhz=1980, slowed=(), others=0)


@pytest.mark.parametrize(
    ("bits", "slowed"),
    [(0x1, ()), (0x2, ()), (0x4, ("power cap",)), (0x48, ("hardware slowdown", "too hot (hardware)"))],
    ids=["idle", "clock that was asked for", "power cap", "heat"],
)
def test_reasons_that_slow_a_gpu_are_named_and_others_are_not(library: Library, bits, slowed) -> None:
    library.reasons = bits
    assert gpu().read().slowed == slowed


@pytest.mark.parametrize(
    ("processes", "others"),
    [([], 0), (["ours"], 0), ([1], 0), (["ours", 1, 1, 2], 2), ([1, 2], 2)],
    ids=["none", "ours", "ours under another number", "two beside ours", "two"],
)
def test_other_processes_are_counted_without_ours(library: Library, processes, others) -> None:
    library.processes = [os.getpid() if process == "ours" else process for process in processes]
    assert gpu().read().others == others


def test_what_a_gpu_does_not_say_is_none_and_disturbs_nothing(library: Library) -> None:
    library.clock = library.reasons = library.processes = library.millijoules = None
    assert gpu().read() == nvml.GpuReading(clock_mhz=None, slowed=(), others=0)
    assert gpu().energy_uj() is None
    assert board(gpu()) is None


def test_energy_comes_in_microjoules(library: Library) -> None:
    assert gpu().energy_uj() == 7_000
    source = board(gpu())
    assert source is not None
    before, library.millijoules = source.read(), 2_507
    assert source.joules_between(before, source.read()) == pytest.approx(2.5)


def test_without_a_driver_there_is_no_gpu(library: Library) -> None:
    library.works = False
    assert nvml.open_gpu() is None
    assert board(nvml.open_gpu()) is None


def test_missing_library_is_said_once(
    library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # type: ignore[arg-type]  # importing it fails
    assert nvml.open_gpu() is None
    nvml.say_if_missing()
    nvml.say_if_missing()
    said = capsys.readouterr().err
    assert said.count("nvidia-ml-py") == 1
    assert said.count("\n") == 1


def test_library_that_is_there_is_not_complained_of(library: Library, capsys) -> None:
    nvml.say_if_missing()
    assert capsys.readouterr().err == ""


def test_real_library_without_a_driver_gives_no_gpu() -> None:
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    script = "from bench.measuring.nvml import open_gpu; print(open_gpu('GPU-00000000'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"
