"""`serbench status`: every cell in one state, with where it runs, why it failed or what it waits for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from report_fixtures import run_record
from training_fixtures import toy_cells

from bench import outline, status
from bench.cli import run_command
from bench.cluster import queue
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.folders import Folders
from bench.training import claims

CELLS = toy_cells("softmax", "retnet", "kda", "gsa", "fox")
DONE, FAILED, RUNNING, QUEUED, LEFT = (cell.id for cell in CELLS)


@pytest.fixture
def folders(tmp_path) -> Folders:
    """A run of five cells: one of each state, and two that wait."""
    folders, store = Folders(tmp_path, tmp_path / "cache"), Store(tmp_path)
    named = [
        outline.OutlinedCell(id=cell.id, cohort="toy fold 0", system=cell.system.layout) for cell in CELLS
    ]
    outline.write(folders, "toy", named)
    store.write(run_record(CELLS[0]))
    store.write(run_record(CELLS[1], status="failed", reason="the disk was full"))
    return folders


@pytest.fixture
def slurm_says(tmp_path, monkeypatch):
    """slurm_says(lines): from now on `squeue` prints these."""

    def say(lines: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "squeue").write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
        (folder / "squeue").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return say


def states(folders: Folders) -> dict[str, tuple[str, str]]:
    return {each.cell.id: (each.state, each.note) for each in status.look(folders, "toy").cells}


def test_every_cell_is_done_running_failed_or_waiting(folders):
    with claims.hold(folders.claims, [RUNNING]) as held:
        held.note("epoch 2 of 9")
        found = states(folders)
    assert found[DONE] == ("done", "")
    assert found[FAILED] == ("failed", "failed: the disk was full")
    assert found[RUNNING][0] == "running"
    assert found[RUNNING][1].endswith("epoch 2 of 9")
    assert found[QUEUED] == found[LEFT] == ("waiting", "")


def test_a_cell_in_the_queue_says_what_its_job_waits_for(folders, slurm_says):
    queue.remember(folders, {"7_0": [QUEUED], "7_1": [FAILED], "7_2": [LEFT]})
    slurm_says("7_0|PENDING|Priority|\n7_1|RUNNING|None|node3\n8_0|PENDING|Resources|")
    found = states(folders)
    assert found[QUEUED] == ("waiting", "Slurm job 7_0 (pending, Priority)")
    assert found[FAILED] == ("waiting", "Slurm job 7_1 (running, node3)")  # it is tried again


def test_a_job_that_ended_without_a_record_shows_the_last_words_of_its_log(folders, slurm_says):
    queue.remember(folders, {"7_2": [LEFT]})
    slurm_says("")
    log = queue.folder(folders) / "7_2_0_log.err"
    log.write_text("starting\nslurmstepd: error: Detected 1 oom_kill event\n\n")
    state, note = states(folders)[LEFT]
    assert state == "waiting"
    assert note.startswith("Slurm job 7_2 left no record: slurmstepd: error: Detected 1 oom_kill event")
    assert str(log) in note


def test_the_newest_job_of_a_cell_counts(folders, slurm_says):
    queue.remember(folders, {"9_0": [LEFT]})
    queue.remember(folders, {"10_0": [LEFT]})
    slurm_says("10_0|PENDING|Resources|")
    assert states(folders)[LEFT] == ("waiting", "Slurm job 10_0 (pending, Resources)")


def test_the_command_shows_counts_and_failures_and_loads_no_torch(folders):
    code = "import sys\nfrom bench.cli import run_command\n"
    code += f"run_command(['status', 'toy', '--results', {str(folders.results)!r}])\n"
    code += "print('torch' in sys.modules, 'lightning' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "toy: 5 cells, 1 done, 0 running, 1 failed, 3 waiting" in shown
    assert "failed  toy fold 0, retnet: failed: the disk was full" in shown
    assert shown.split()[-2:] == ["False", "False"]


def test_a_run_that_was_never_started_is_told(folders):
    with pytest.raises(SuiteError, match="no run of open was started"):
        status.look(folders, "open")


@pytest.mark.parametrize("name", ["grids/toy.json", "slurm/7.json"])
def test_a_damaged_file_is_named(folders, name, capsys):
    path = Path(folders.work / name)
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"cells": 3')
    assert run_command(["status", "toy", "--results", str(folders.results)]) == 2
    assert str(path) in capsys.readouterr().err
