"""How much energy a call takes, from the counters of the processor or the GPU; never estimated.

    energy = energy_of(lambda: model(x), rapl())            # None where nothing can be read
    energy.joules_per_pass
    energy.joules_per_pass / (batch * seconds)              # a second of speech

The counters hold all that the device drew, at rest too, and whoever made it work: measure on a quiet
machine. Sources: RAPL, the processor packages and their memory (Linux powercap, often readable by root
alone); NVML, the whole GPU board.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.measuring.cgroup import read
from bench.measuring.nvml import Gpu

POWERCAP = Path("/sys/class/powercap")
WINDOW_S = 2.0
STILL_S = 1.0  # a counter that does not move in this time while passes run is not counting


@dataclass(frozen=True)
class Counter:
    """Microjoules that only grow; where `range_uj` is known, from 0 again after it."""

    read: Callable[[], int | None]
    range_uj: int | None = None


@dataclass(frozen=True)
class Source:
    """Counters whose sum is the energy of one device."""

    name: str
    counters: tuple[Counter, ...]

    def read(self) -> tuple[int | None, ...]:
        """Every counter now."""
        return tuple(counter.read() for counter in self.counters)

    def joules_between(self, before: tuple[int | None, ...], after: tuple[int | None, ...]) -> float | None:
        """Energy between two readings, less than one round of a counter apart.

        None where a counter could not be read, or went back without a known range.
        """
        total = 0
        for counter, first, last in zip(self.counters, before, after, strict=True):
            if first is None or last is None:
                return None
            if last < first:
                if counter.range_uj is None:
                    return None
                last += counter.range_uj
            total += last - first
        return 1e-6 * total


@dataclass(frozen=True)
class Energy:
    """What a number of passes, one after the other, took by the counters of `source`."""

    joules: float
    passes: int
    seconds: float
    source: str

    @property
    def joules_per_pass(self) -> float:
        """Mean over the passes."""
        return self.joules / self.passes

    @property
    def watts(self) -> float:
        """Mean power."""
        return self.joules / self.seconds


def energy_of(
    run: Callable[[], object],
    source: Source | None,
    *,
    window_s: float = WINDOW_S,
    clock: Callable[[], float] = time.perf_counter,
) -> Energy | None:
    """Energy of `run`, called over and over for at least `window_s` seconds; None where it is not counted.

    The driver refreshes a counter seldom (a GPU's every tenth of a second or so), so the window opens and
    closes when it does: it is true to one pass at either end. `run` waits for what it starts on a GPU.
    """
    if source is None or _pass_until_refresh(run, source, clock) == 0:
        return None
    start, before, passes = clock(), source.read(), 0
    while clock() - start < window_s:
        run()
        passes += 1
    rest = _pass_until_refresh(run, source, clock)
    seconds, joules = clock() - start, source.joules_between(before, source.read())
    return Energy(joules, passes + rest, seconds, source.name) if joules and rest else None


def _pass_until_refresh(run: Callable[[], object], source: Source, clock: Callable[[], float]) -> int:
    """Passes until a counter has moved; 0 where none does within STILL_S."""
    start, before, passes = clock(), source.read(), 0
    while passes == 0 or clock() - start < STILL_S:
        run()
        passes += 1
        if source.read() != before:
            return passes
    return 0


def rapl(powercap: Path = POWERCAP) -> Source | None:
    """All processor packages and the memory beside them; None where one of them cannot be read.

    What lies within a package (cores, graphics) or around all (platform) would count twice.
    """
    zones = {zone: read(zone / "name").strip() for zone in sorted(powercap.glob("intel-rapl:*"))}
    counted = {zone: name for zone, name in zones.items() if name.startswith("package") or name == "dram"}
    counters = tuple(_zone(zone) for zone in counted)
    if not counters or any(counter.read() is None for counter in counters):
        return None
    return Source("RAPL " + ", ".join(counted.values()), counters)


def board(gpu: Gpu | None) -> Source | None:
    """The whole board of a GPU; None where it does not count its energy (before Volta, or a slice of one)."""
    if gpu is None or gpu.energy_uj() is None:
        return None
    return Source("NVML GPU board", (Counter(gpu.energy_uj),))


def _zone(zone: Path) -> Counter:
    return Counter(lambda: _number(zone / "energy_uj"), _number(zone / "max_energy_range_uj"))


def _number(file: Path) -> int | None:
    text = read(file).strip()
    return int(text) if text.isdigit() else None
