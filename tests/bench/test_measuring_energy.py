"""Energy by counters that we keep: known watts, wrap-around, and counters that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.measuring.energy import Counter, Energy, Source, energy_of, rapl

WATTS = 50.0


class Device:
    """Draws WATTS while a pass of 10 ms runs; its counter is refreshed every 100 ms, and wraps if told to."""

    def __init__(self, refresh_s: float = 0.1, range_uj: int | None = None, start_uj: int = 0) -> None:
        self.now = 5.0
        self.passes = 0
        self.refresh_s, self.range_uj, self.start_uj = refresh_s, range_uj, start_uj

    def clock(self) -> float:
        return self.now

    def run(self) -> None:
        self.now += 0.01
        self.passes += 1

    def source(self) -> Source:
        return Source("made", (Counter(self._counter_uj, self.range_uj),))

    def _counter_uj(self) -> int:
        refreshed_s = self.now // self.refresh_s * self.refresh_s
        counted = self.start_uj + round(1e6 * WATTS * refreshed_s)
        return counted if self.range_uj is None else counted % self.range_uj


def package(powercap: Path, zone: str, name: str, energy_uj: int, range_uj: int = 10**9) -> Path:
    folder = powercap / zone
    folder.mkdir(parents=True)
    for file, text in (("name", name), ("energy_uj", energy_uj), ("max_energy_range_uj", range_uj)):
        (folder / file).write_text(f"{text}\n")
    return folder / "energy_uj"


# The window


def test_known_power_gives_the_energy_of_a_pass() -> None:
    device = Device()
    energy = energy_of(device.run, device.source(), window_s=2.0, clock=device.clock)
    assert energy is not None
    assert energy.watts == pytest.approx(WATTS, rel=0.01)
    assert energy.joules_per_pass == pytest.approx(WATTS * 0.01, rel=0.01)
    assert 2.0 <= energy.seconds < 2.2


def test_window_opens_and_closes_with_a_refresh_so_that_a_slow_counter_errs_by_no_more_than_a_pass() -> None:
    device = Device(refresh_s=0.37)
    energy = energy_of(device.run, device.source(), window_s=1.0, clock=device.clock)
    assert energy is not None
    assert energy.joules_per_pass == pytest.approx(WATTS * 0.01, rel=0.02)


def test_wrap_around_in_the_window_is_counted_through() -> None:
    limit = 10**8  # two seconds of it
    device = Device(range_uj=limit, start_uj=limit // 3)
    energy = energy_of(device.run, device.source(), window_s=1.5, clock=device.clock)
    assert energy is not None
    assert energy.watts == pytest.approx(WATTS, rel=0.01)


def test_pass_longer_than_the_window_is_measured_once() -> None:
    device = Device(refresh_s=0.001)

    def long() -> None:
        device.now += 7.0
        device.passes += 1

    energy = energy_of(long, device.source(), window_s=2.0, clock=device.clock)
    assert energy is not None
    assert energy.joules_per_pass == pytest.approx(7 * WATTS, rel=0.01)
    assert device.passes <= 3


def test_counter_that_stands_still_is_no_energy_and_never_zero() -> None:
    device = Device()
    still = Source("still", (Counter(lambda: 42),))
    assert energy_of(device.run, still, window_s=2.0, clock=device.clock) is None


def test_without_a_source_nothing_is_run() -> None:
    device = Device()
    assert energy_of(device.run, None, clock=device.clock) is None
    assert device.passes == 0


def test_counter_that_falls_silent_in_the_window_is_no_energy() -> None:
    device = Device()
    counter = device.source().counters[0]
    fading = Source("fading", (Counter(lambda: counter.read() if device.now < 6.0 else None),))
    assert energy_of(device.run, fading, window_s=2.0, clock=device.clock) is None


def test_counter_that_goes_back_without_a_known_range_is_no_energy() -> None:
    assert Source("reset", (Counter(lambda: 0),)).joules_between((10,), (5,)) is None


def test_energy_of_a_pass_is_the_mean() -> None:
    energy = Energy(joules=30.0, passes=60, seconds=2.0, source="made")
    assert (energy.joules_per_pass, energy.watts) == (0.5, 15.0)


# RAPL


def test_packages_and_memory_add_up_and_what_lies_within_or_around_is_left_out(tmp_path: Path) -> None:
    zones = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:2": "psys",
        "intel-rapl-mmio:0": "package-0",
    }
    files = [package(tmp_path, zone, name, 1_000_000) for zone, name in zones.items()]
    source = rapl(tmp_path)
    assert source is not None
    assert source.name == "RAPL package-0, dram, package-1"
    before = source.read()
    for file in files:
        file.write_text("3000000\n")
    assert source.joules_between(before, source.read()) == pytest.approx(3 * 2.0)


def test_package_whose_counter_wraps_is_counted_through_by_its_range(tmp_path: Path) -> None:
    file = package(tmp_path, "intel-rapl:0", "package-0", 999_000_000, range_uj=10**9)
    source = rapl(tmp_path)
    assert source is not None
    before = source.read()
    file.write_text("500000\n")
    assert source.joules_between(before, source.read()) == pytest.approx(1.5)


def test_machine_without_powercap_has_no_source(tmp_path: Path) -> None:
    assert rapl(tmp_path / "absent") is None
    (tmp_path / "intel-rapl").mkdir()
    assert rapl(tmp_path) is None


def test_package_that_may_not_be_read_makes_the_sum_absent_and_not_smaller(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", "package-0", 1)
    package(tmp_path, "intel-rapl:1", "package-1", 1).unlink()
    assert rapl(tmp_path) is None
