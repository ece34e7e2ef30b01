"""What disturbs a measurement from outside: other load, throttling, changes of clock.

    watch = Machine()           # or Machine(nvml.open_gpu()), to watch the GPU too
    watch()
    ...                         # take samples
    watch()                     # ("other load",): what disturbed them since it was last asked

Two readings of the system's counters bound a stretch of samples, which is disturbed where

- our threads, ready to run, waited for a processor more than 1 % of it (/proc/self/task/*/schedstat);
- other processes had more than 10 % of the machine's processor time (/proc/stat less our own);
- a hypervisor withheld more than 1 % of it (steal, /proc/stat);
- a control group ran out of its share of the processors (nr_throttled, cpu.stat);
- the fastest processor's clock at its two ends differs by over 5 % (cpufreq);
- on a GPU, the clock differs so, the driver slowed it, or another process was on it (NVML).

/proc/stat counts ticks of a hundredth of a second, so that more than a few must be missing. Counters
that a system lacks find nothing; a system without /proc/stat is not watched (`THIS_MACHINE` is None).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.measuring import cgroup
from bench.measuring.cgroup import ROOT, read
from bench.measuring.nvml import Gpu, GpuReading

WAITED_SHARE = 0.01  # of the stretch
STOLEN_SHARE = 0.01  # of the stretch, on all processors
OTHERS_SHARE = 0.10  # likewise
CLOCK_SHARE = 0.05
STOLEN_TICKS, OTHERS_TICKS = 2, 3  # that the rounding of their counters may add up to
TICK_S = 0.01  # USER_HZ is 100 wherever Linux runs
BUSY = (0, 1, 2, 5, 6)  # columns of /proc/stat: user, nice, system, irq, softirq; guests are in user
STOLEN = 7


@dataclass(frozen=True)
class Reading:
    """The counters at one time; those that only grow count from the start of the machine or process."""

    at_s: float
    waited_s: dict[str, float] = field(default_factory=dict)  # by each thread of ours, for a processor
    own_s: float = 0.0  # processor time of this process
    busy_s: float = 0.0  # of all processors, with everybody's work
    stolen_s: float = 0.0
    processors: int = 1
    throttled: int = 0  # times
    clock_mhz: float | None = None
    gpu: GpuReading | None = None


class Machine:
    """A watch over this machine, for `latency`: each call says what disturbed it since the last."""

    def __init__(self, gpu: Gpu | None = None, root: Path = ROOT) -> None:
        self._gpu = gpu
        self._stat = root / "proc" / "stat"
        self._tasks = root / "proc" / "self" / "task"
        self._cpu_stats = cgroup.files("cpu", "cpu.stat", root)
        policies = (root / "sys" / "devices" / "system" / "cpu" / "cpufreq").glob("policy*")
        self._clocks = tuple(sorted(policy / "scaling_cur_freq" for policy in policies))
        self._last: Reading | None = None

    def __call__(self) -> tuple[str, ...]:
        """What disturbed the machine since the last call; nothing at the first."""
        last, self._last = self._last, self.read()
        return () if last is None else causes(last, self._last)

    def read(self) -> Reading:
        """The counters now."""
        busy_s, stolen_s = self._processors()
        return Reading(
            at_s=time.monotonic(),
            waited_s=self._waited(),
            own_s=time.process_time(),
            busy_s=busy_s,
            stolen_s=stolen_s,
            processors=os.cpu_count() or 1,
            throttled=cgroup.throttled(self._cpu_stats),
            clock_mhz=self._clock(),
            gpu=self._gpu.read() if self._gpu else None,
        )

    def _processors(self) -> tuple[float, float]:
        """Seconds that all processors were busy, and that they were withheld."""
        name, *columns = read(self._stat).partition("\n")[0].split() or [""]
        ticks = [int(column) for column in columns] if name == "cpu" else []
        if len(ticks) <= STOLEN:
            return 0.0, 0.0
        return TICK_S * sum(ticks[column] for column in BUSY), TICK_S * ticks[STOLEN]

    def _waited(self) -> dict[str, float]:
        """Seconds that each thread of this process has waited for a processor while ready to run."""
        try:
            threads = os.listdir(self._tasks)
        except OSError:
            return {}
        fields = {thread: read(self._tasks / thread / "schedstat").split() for thread in threads}
        return {thread: 1e-9 * int(parts[1]) for thread, parts in fields.items() if len(parts) > 1}

    def _clock(self) -> float | None:
        """MHz of the fastest processor at the moment."""
        texts = [read(file).strip() for file in self._clocks]
        return max((int(text) / 1e3 for text in texts if text.isdigit()), default=None)


def causes(before: Reading, after: Reading) -> tuple[str, ...]:
    """What disturbed the stretch between two readings, by the rules of the module."""
    elapsed = after.at_s - before.at_s
    capacity = elapsed * after.processors
    waited = sum(waited - before.waited_s.get(thread, 0.0) for thread, waited in after.waited_s.items())
    others = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    stolen = after.stolen_s - before.stolen_s
    found = {
        "waited for a processor": waited > WAITED_SHARE * elapsed,
        "other load": others > max(OTHERS_SHARE * capacity, OTHERS_TICKS * TICK_S),
        "processor time stolen": stolen > max(STOLEN_SHARE * capacity, STOLEN_TICKS * TICK_S),
        "throttled by a control group": after.throttled > before.throttled,
        "processor clock changed": _changed(before.clock_mhz, after.clock_mhz),
    }
    gpu = _gpu_causes(before.gpu, after.gpu) if before.gpu and after.gpu else ()
    return tuple(cause for cause, happened in found.items() if happened) + gpu


def _gpu_causes(before: GpuReading, after: GpuReading) -> tuple[str, ...]:
    slowed = tuple(f"GPU slowed: {reason}" for reason in dict.fromkeys(before.slowed + after.slowed))
    changed = ("GPU clock changed",) if _changed(before.clock_mhz, after.clock_mhz) else ()
    shared = ("another process on the GPU",) if max(before.others, after.others) else ()
    return slowed + changed + shared


def _changed(before: float | None, after: float | None) -> bool:
    if not before or not after:
        return False
    return abs(after - before) > CLOCK_SHARE * max(before, after)


THIS_MACHINE: Machine | None = Machine() if Path("/proc/stat").is_file() else None
