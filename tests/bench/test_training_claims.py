"""Claims: one holder a cell, whatever happens to it; others take what is free, or wait."""

import signal
import subprocess
import sys
import time

import pytest

from bench.errors import SuiteError
from bench.training import claims

HOLD = """
import sys, time
from pathlib import Path
from bench.training import claims
with claims.hold(Path(sys.argv[1]), sys.argv[2:]) as held:
    held.note("epoch 3 of 40")
    print(*sorted(held.ids), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """holder("a", "b") → another process that holds these; it is killed afterwards."""
    started: list[subprocess.Popen] = []

    def hold(*ids: str) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLD, str(tmp_path), *ids]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline().split() == sorted(ids)
        return started[-1]

    yield hold
    for process in started:
        process.kill()
        process.wait()


def test_a_cell_that_another_process_holds_is_left_to_it(holder, tmp_path):
    holder("a", "b")
    with claims.hold(tmp_path, ["b", "c"]) as held:
        assert held.ids == {"c"}


def test_a_claim_ends_with_a_process_that_is_killed(holder, tmp_path):
    process = holder("a")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with claims.hold(tmp_path, ["a"]) as held:
        assert held.ids == {"a"}


def test_who_waits_gets_the_cell_when_it_is_free(holder, tmp_path):
    process = holder("a")
    code = "import sys; from pathlib import Path; from bench.training import claims\n"
    code += "with claims.hold(Path(sys.argv[1]), ['a', 'b'], wait=True) as held: print(sorted(held.ids))"
    waiting = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    assert waiting.poll() is None
    process.kill()
    assert waiting.communicate(timeout=60)[0].strip() == "['a', 'b']"


def test_holders_are_told_with_what_they_said_last(holder, tmp_path):
    process = holder("a")
    (tmp_path / "left").write_text("by a process that was killed")
    assert list(claims.holders(tmp_path)) == ["a"]
    said = claims.holders(tmp_path)["a"]
    assert f"process {process.pid}" in said
    assert said.endswith("epoch 3 of 40")


def test_a_job_of_a_cluster_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "99")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    with claims.hold(tmp_path, ["a"]):
        assert "Slurm job 12_3" in claims.holders(tmp_path)["a"]


def test_nothing_is_left_of_a_claim_that_has_ended(tmp_path):
    with claims.hold(tmp_path, ["a"]):
        pass
    assert not list(tmp_path.iterdir())


def test_processes_that_ask_at_once_share_the_cells_out(tmp_path):
    """Each of a hundred cells has one holder among four processes that all want it."""
    code = """
import sys, time
from pathlib import Path
from bench.training import claims
for number in range(100):
    with claims.hold(Path(sys.argv[1]) / "claims", [str(number)]) as held:
        done = Path(sys.argv[1]) / f"{number}.done"
        if held.ids and not done.exists():
            done.touch()
            print(number)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    numbers = [int(line) for process in racing for line in process.communicate(timeout=60)[0].split()]
    assert sorted(numbers) == list(range(100))


def test_a_claim_holds_where_the_disk_has_no_room_for_its_words(holder, tmp_path, largest_file):
    with largest_file(0), claims.hold(tmp_path, ["a"]) as held:
        held.note("epoch 3 of 40")
        assert held.ids == {"a"}
        assert claims.holders(tmp_path) == {"a": ""}


def test_who_may_only_read_sees_what_is_held(holder, tmp_path, monkeypatch):
    """As root may write anywhere: what is asked for is asked for reading alone."""
    holder("a")
    opened, real = [], claims.os.open
    monkeypatch.setattr(claims.os, "open", lambda path, how: opened.append(how) or real(path, how))
    assert list(claims.holders(tmp_path)) == ["a"]
    assert opened == [claims.os.O_RDONLY]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "claims").write_text("a file")
    with pytest.raises(SuiteError, match="cannot write"), claims.hold(tmp_path / "claims", ["a"]):
        pass
