"""The watch over the machine: by its rules, on counters that we wrote, and on this machine's own."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench.measuring.disturbance import THIS_MACHINE, Machine, Reading, causes
from bench.measuring.nvml import GpuReading

QUIET = Reading(at_s=10.0, processors=4)
LATER = replace(QUIET, at_s=11.0)  # a second, four seconds of processor time
CALM_GPU = GpuReading(clock_mhz=1980, slowed=(), others=0)
linux = pytest.mark.skipif(THIS_MACHINE is None, reason="no /proc/stat here")


class System:
    """A folder with the files of a Linux system, on which nothing happens until a test says so."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/self/cgroup", "0::/bench\n")
        self.stat(user=0)
        self.wait(0)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def stat(self, user: int, idle: int = 0, steal: int = 0) -> None:
        """/proc/stat in ticks; guests' time is in user's, a second time in the ninth column."""
        self.write("proc/stat", f"cpu  {user} 0 0 {idle} 0 0 0 {steal} {user} 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")

    def wait(self, nanoseconds: int, thread: int = 1) -> None:
        self.write(f"proc/self/task/{thread}/schedstat", f"123456 {nanoseconds} 7\n")


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


# The rules


def test_nothing_is_found_where_no_counter_moved() -> None:
    assert causes(QUIET, LATER) == ()


@pytest.mark.parametrize(("share", "found"), [(0.005, ()), (0.009, ()), (0.011, ("waited for a processor",))])
def test_waiting_for_a_processor_counts_from_a_hundredth_of_the_stretch_on(share, found) -> None:
    assert causes(QUIET, replace(LATER, waited_s={"1": share})) == found


def test_waits_of_several_threads_add_up_and_a_new_thread_counts_in_full() -> None:
    before = replace(QUIET, waited_s={"1": 5.0})
    assert causes(before, replace(LATER, waited_s={"1": 5.004, "2": 0.004})) == ()
    assert causes(before, replace(LATER, waited_s={"1": 5.004, "2": 0.007})) == ("waited for a processor",)


def test_thread_that_ended_takes_its_waits_with_it() -> None:
    assert causes(replace(QUIET, waited_s={"1": 0.0, "2": 9.0}), replace(LATER, waited_s={"1": 0.0})) == ()


def test_our_own_work_is_no_other_load() -> None:
    assert causes(QUIET, replace(LATER, own_s=3.9, busy_s=3.92)) == ()


def test_other_load_counts_from_a_tenth_of_the_machine_on() -> None:
    assert causes(QUIET, replace(LATER, own_s=1.0, busy_s=1.39)) == ()
    assert causes(QUIET, replace(LATER, own_s=1.0, busy_s=1.41)) == ("other load",)


def test_ticks_that_rounding_may_add_are_no_load_in_a_short_stretch() -> None:
    short = replace(QUIET, at_s=10.02)
    assert causes(QUIET, replace(short, busy_s=0.03, stolen_s=0.02)) == ()
    assert causes(QUIET, replace(short, busy_s=0.04, stolen_s=0.03)) == (
        "other load",
        "processor time stolen",
    )


def test_throttling_counts_from_the_first_time_on() -> None:
    assert causes(QUIET, replace(LATER, throttled=1)) == ("throttled by a control group",)


@pytest.mark.parametrize("clock_mhz", [3000 * 0.94, 3000 / 0.94])
def test_clock_that_changes_by_more_than_a_twentieth_either_way_is_found(clock_mhz: float) -> None:
    before = replace(QUIET, clock_mhz=3000.0)
    assert causes(before, replace(LATER, clock_mhz=clock_mhz)) == ("processor clock changed",)
    assert causes(before, replace(LATER, clock_mhz=3000 * 0.96)) == ()


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, ()),
        ({"clock_mhz": 1700}, ("GPU clock changed",)),
        ({"clock_mhz": None}, ()),
        ({"slowed": ("power cap",)}, ("GPU slowed: power cap",)),
        ({"others": 1}, ("another process on the GPU",)),
    ],
)
def test_gpu_is_watched_at_either_end_of_a_stretch(changed, found) -> None:
    other = replace(CALM_GPU, **changed)
    assert causes(replace(QUIET, gpu=CALM_GPU), replace(LATER, gpu=other)) == found
    assert causes(replace(QUIET, gpu=other), replace(LATER, gpu=CALM_GPU)) == found


# From the system's files


def test_first_call_finds_nothing_and_each_call_starts_a_new_stretch(system: System) -> None:
    machine = Machine(root=system.root)
    system.wait(10**12)
    assert machine() == ()
    system.wait(2 * 10**12)
    assert machine() == ("waited for a processor",)
    assert machine() == ()


def test_files_are_read_in_seconds(system: System) -> None:
    system.stat(user=1_000, idle=5_000, steal=200)
    system.wait(1_500_000_000, thread=1)
    system.wait(500_000_000, thread=2)
    reading = Machine(root=system.root).read()
    assert (reading.busy_s, reading.stolen_s) == (10.0, 2.0)
    assert reading.waited_s == {"1": 1.5, "2": 0.5}


def test_throttling_of_this_group_and_of_those_around_it_is_seen(system: System) -> None:
    for folder, times in (("sys/fs/cgroup/bench", 3), ("sys/fs/cgroup", 4)):
        system.write(f"{folder}/cpu.stat", f"usage_usec 5\nnr_periods 9\nnr_throttled {times}\n")
    machine = Machine(root=system.root)
    assert machine.read().throttled == 7


def test_clock_is_that_of_the_fastest_processor(system: System) -> None:
    for policy, kilohertz in (("policy0", 1_200_000), ("policy1", 3_400_000)):
        system.write(f"sys/devices/system/cpu/cpufreq/{policy}/scaling_cur_freq", f"{kilohertz}\n")
    assert Machine(root=system.root).read().clock_mhz == 3400.0


def test_system_without_the_files_disturbs_nothing(tmp_path: Path) -> None:
    machine = Machine(root=tmp_path)
    assert (machine(), machine()) == ((), ())
    assert machine.read().clock_mhz is None


# This machine


@linux
def test_processor_time_is_what_psutil_reads() -> None:
    reading, times = Machine().read(), psutil.cpu_times()
    busy_s = times.user + times.nice + times.system + times.irq + times.softirq
    assert reading.busy_s == pytest.approx(busy_s, abs=1.0)
    assert reading.stolen_s == pytest.approx(times.steal, abs=1.0)


@linux
@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel counts no waits")
def test_every_thread_of_this_process_is_watched() -> None:
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    ours = {str(thread.native_id) for thread in threads}
    assert ours < Machine().read().waited_s.keys()
    stop.set()
    for thread in threads:
        thread.join()


@linux
@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the kernel counts no waits")
def test_threads_that_share_one_processor_are_seen_to_wait_for_it() -> None:
    """Two native threads at work on one processor: each waits about half of the time."""
    import hashlib
    import os

    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    machine, block = Machine(), b"x" * (1 << 20)

    def work() -> None:
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            hashlib.sha256(block)  # releases the interpreter's lock

    try:
        machine()
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.15)
        assert "waited for a processor" in machine()
        for thread in threads:
            thread.join()
    finally:
        os.sched_setaffinity(0, allowed)
