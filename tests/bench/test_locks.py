"""Locks: one at a time, gone with their process, and what the dead were writing is removed, nothing else."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench import locks

WRITE_AND_HANG = """
import sys, time
from pathlib import Path
from bench.locks import beside
with beside(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """writer("a.json") → a process that is amid writing it; it is killed afterwards."""
    started = []

    def write(name: str) -> subprocess.Popen:
        command = [sys.executable, "-c", WRITE_AND_HANG, str(tmp_path / name)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "writing\n"
        return started[-1]

    yield write
    for process in started:
        process.kill()
        process.communicate()


def test_what_the_dead_were_writing_is_removed_and_what_the_living_write_is_not(writer, tmp_path):
    dead, _ = writer("dead.json"), writer("alive.json")
    dead.kill()
    dead.wait()
    locks.sweep(tmp_path)
    left = sorted(path.name.split(".")[1] for path in tmp_path.iterdir())
    assert left == ["alive", "alive"]


def test_files_of_others_are_never_swept(tmp_path):
    others = (".profile", ".a.lock", ".b.0123abcd", "c.0123abcd.lock", ".d.0123abcd.unfinished.txt")
    for name in others:
        (tmp_path / name).touch()
    locks.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def test_nothing_is_swept_where_files_cannot_be_locked(tmp_path, monkeypatch):
    (tmp_path / ".a.0123abcd.unfinished").touch()
    monkeypatch.setattr(locks, "lock", lambda *_, **__: None)
    locks.sweep(tmp_path)
    assert (tmp_path / ".a.0123abcd.unfinished").exists()


def test_only_one_at_a_time_is_within(tmp_path):
    within, most, guard = 0, 0, threading.Lock()

    def enter(_):
        nonlocal within, most
        with locks.only_one(tmp_path / "lock"):
            with guard:
                within += 1
                most = max(most, within)
            os.sched_yield()
            with guard:
                within -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(200)))
    assert most == 1
    assert not list(tmp_path.iterdir())


def test_who_does_not_wait_is_told(tmp_path):
    with locks.only_one(tmp_path / "lock"), locks.only_one(tmp_path / "lock", wait=False) as ours:
        assert not ours
