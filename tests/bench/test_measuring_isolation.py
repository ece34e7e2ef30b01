"""Isolation: what crashes, hangs or outgrows memory is an outcome, and never more than that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from bench.measuring import cgroup
from bench.measuring.isolation import Failure, Guard, default_guard, outcomes

GUARD = Guard(memory_bytes=2 << 30, hang_s=30.0)
unix = pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is bounded on Linux alone")


def square(x: int) -> int:
    return x * x


def process_id(_: int) -> int:
    return os.getpid()


def crash(x: int) -> int:
    if x == 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    return x


def killed(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(_: int) -> None:
    os._exit(7)


def hang(_: int) -> None:
    time.sleep(60)


def fail(x: int) -> float:
    return 1 / x


def fill_with_torch(gigabytes: int) -> int:
    return torch.ones(gigabytes << 30, dtype=torch.int8).numel()


def fill_with_numpy(gigabytes: int) -> int:
    return np.ones(gigabytes << 30, dtype=np.int8).size


def fill_with_python(gigabytes: int) -> int:
    return len(bytearray(gigabytes << 30))


def announce_and_hang(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)


def test_every_item_has_its_result_in_order() -> None:
    assert list(outcomes(square, [1, 2, 3], GUARD)) == [1, 4, 9]


def test_items_share_one_process_and_it_is_a_fresh_one() -> None:
    first = list(outcomes(process_id, [1, 2], GUARD))
    second = list(outcomes(process_id, [1], GUARD))
    assert len({os.getpid(), *first, *second}) == 3


def test_crash_ends_the_items_with_its_signal() -> None:
    assert list(outcomes(crash, [1, 2, 3], GUARD)) == [1, Failure("failed", "the process died of SIGSEGV")]


def test_process_killed_by_the_system_is_out_of_memory() -> None:
    (outcome,) = outcomes(killed, [1, 2], GUARD)
    assert isinstance(outcome, Failure)
    assert outcome.status == "oom"


def test_process_that_exits_is_a_failure() -> None:
    (outcome,) = outcomes(leave, [1], GUARD)
    assert outcome == Failure("failed", "the process ended with exit code 7")


def test_hang_is_ended_and_says_after_how_long() -> None:
    (outcome,) = outcomes(hang, [1, 2], Guard(memory_bytes=2 << 30, hang_s=0.3))
    assert outcome == Failure("failed", "no answer within 0.3 s")


def test_exception_is_a_failure_with_its_text() -> None:
    assert list(outcomes(fail, [1, 0, 1], GUARD)) == [
        1.0,
        Failure("failed", "ZeroDivisionError: division by zero"),
    ]


@unix
@pytest.mark.parametrize("fill", [fill_with_torch, fill_with_numpy, fill_with_python])
def test_allocation_beyond_the_guard_is_out_of_memory(fill: object) -> None:
    small, large = outcomes(fill, [1, 3, 1], GUARD)  # type: ignore[arg-type]
    assert small == 1 << 30
    assert isinstance(large, Failure)
    assert large.status == "oom"


def test_guard_leaves_memory_to_others() -> None:
    assert 0 < default_guard().memory_bytes <= 0.6 * psutil.virtual_memory().total


def test_guard_keeps_within_what_a_control_group_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "memory_limit_bytes", lambda: 1 << 28)
    assert default_guard().memory_bytes <= 0.6 * (1 << 28)


def test_leaving_early_ends_the_process(tmp_path: Path) -> None:
    running = outcomes(process_id, list(range(1_000_000)), GUARD)
    child = next(running)
    assert isinstance(child, int)
    running.close()  # type: ignore[attr-defined]
    assert not psutil.pid_exists(child)


@unix
def test_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "child"
    script = (
        "from test_measuring_isolation import *\n"
        f"if __name__ == '__main__': list(outcomes(announce_and_hang, [{str(note)!r}], GUARD))\n"
    )
    (tmp_path / "parent.py").write_text(script)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")], env=os.environ | {"PYTHONPATH": path}
    )
    child = _wait_for(lambda: int(note.read_text()) if note.exists() and note.read_text() else 0)
    parent.kill()
    parent.wait()
    _wait_for(lambda: not psutil.pid_exists(child))


def _wait_for(condition: object) -> int:
    """The first true value of `condition()`, within half a minute."""
    for _ in range(600):
        if value := condition():  # type: ignore[operator]
            return value
        time.sleep(0.05)
    raise AssertionError("waited half a minute in vain")
