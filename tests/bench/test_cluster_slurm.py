"""A grid as Slurm jobs, on a real Slurm of one node: the records of a run on one machine, byte for byte."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from slurm_fixtures import missing, said, slurm, until

from bench.cli import run_command
from bench.cluster import queue
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.folders import Folders

pytest.importorskip("submitit", reason="submitit is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

RUN = [
    *("run", "demo", "--no-profile", "--seeds", "0", "1", "--layouts", "softmax", "retnet"),
    *("--corpus-options.turns", "100", "--encoder.d-model", "16", "--encoder.num-layers", "1"),
    *("--recipe.epochs", "12"),
]
SLURM = ["--launcher", "slurm", "--slurm.gpus", "0", "--slurm.cpus", "1", "--slurm.hours", "0.5"]


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    """One Slurm and one cache for the module."""
    patch = pytest.MonkeyPatch()
    patch.setenv("SER_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    )
    patch.setenv("OMP_NUM_THREADS", "1")
    with slurm(tmp_path_factory.mktemp("slurm")):
        yield
    patch.undo()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cluster) -> Path:
    """The results of a run of processes on this machine that nobody disturbed."""
    results = tmp_path_factory.mktemp("whole")
    assert run_command([*RUN, "--results", str(results)]) == 0
    return results


def submitted(results: Path) -> list[str]:
    """The names of the jobs of a new array."""
    assert run_command([*RUN, *SLURM, "--results", str(results)]) == 0
    return [job.name for job in queue.jobs(Folders(results, results))]


def wait_for_the_queue() -> None:
    until(lambda: not said("squeue", "--noheader"))


def log(results: Path) -> str:
    """What the jobs have said, for a test that fails."""
    return "".join(path.read_text() for path in (results / "work" / "slurm").glob("*_log.*"))


def assert_same_results(results: Path, whole: Path) -> None:
    runs = Store(results).runs()
    assert [run.id for run in runs] == [run.id for run in Store(whole).runs()], log(results)
    for run, other in zip(runs, Store(whole).runs(), strict=True):
        assert run.status == "ok"
        assert (run.metrics, run.curve, run.best_epoch) == (other.metrics, other.curve, other.best_epoch)
        ours, theirs = (Store(root).predictions(run.id) for root in (results, whole))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert not list((results / "checkpoints").glob("cohort-*"))


def test_an_array_whose_jobs_are_warned_or_killed_leaves_the_records_of_a_run_on_one_machine(
    whole, tmp_path, capsys
):
    """They are queued again, and go on to the same bytes."""
    warned, killed = submitted(tmp_path)
    assert [name.partition("_")[2] for name in (warned, killed)] == ["0", "1"]
    assert "4 cells submitted" in capsys.readouterr().out
    kept = tmp_path / "checkpoints"
    until(lambda: len(list(kept.glob("cohort-*/last.ckpt"))) == 2)
    subprocess.run(["scancel", "--signal=USR2", warned], check=True)
    subprocess.run(["scontrol", "requeue", killed], check=True)
    until(lambda: all(restarts(job) for job in (warned, killed)))
    assert len(list(kept.glob("cohort-*/last.ckpt"))) == 2
    assert not Store(tmp_path).runs()
    wait_for_the_queue()
    assert "Requeued job" in log(tmp_path)
    assert_same_results(tmp_path, whole)
    run_command(["status", "demo", "--results", str(tmp_path)])
    assert "4 cells, 4 done, 0 running, 0 failed, 0 waiting" in capsys.readouterr().out


def restarts(job: str) -> int:
    found = re.search(r"Restarts=(\d+)", said("scontrol", "show", "job", job))
    return int(found[1]) if found else 0


def test_a_job_that_is_cancelled_leaves_no_failed_record_and_is_finished_on_another_machine(whole, tmp_path):
    submitted(tmp_path)
    until(lambda: list(tmp_path.glob("checkpoints/cohort-*/last.ckpt")))
    subprocess.run(["scancel", "--me"], check=True)
    wait_for_the_queue()
    assert not [run.id for run in Store(tmp_path).runs() if run.status == "failed"]
    assert run_command([*RUN, "--results", str(tmp_path)]) == 0
    assert_same_results(tmp_path, whole)


def test_jobs_more_jobs_and_a_run_on_the_same_folder_train_no_cell_twice(whole, tmp_path, capsys):
    submitted(tmp_path)
    command = [sys.executable, "-m", "bench.cli", *RUN, "--results", str(tmp_path)]
    beside = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    capsys.readouterr()
    submitted(tmp_path)
    assert "0 cells submitted, 4 in the queue before" in capsys.readouterr().out
    written: set[tuple[str, int]] = set()

    def both_done() -> bool:
        written.update((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "runs").glob("*.json"))
        return beside.poll() is not None and not said("squeue", "--noheader")

    until(both_done)
    assert beside.returncode == 0
    assert len(written) == 4
    assert_same_results(tmp_path, whole)


def test_what_slurm_refuses_is_said_in_its_own_words(tmp_path):
    from bench import presets
    from bench.cluster.settings import Slurm
    from bench.cluster.submission import submit

    plan = presets.build("demo").model_copy(update={"corpus_options": {"turns": 100}, "seeds": (0,)})
    folders = Folders(tmp_path, Path(os.environ["SER_CACHE"]))
    with pytest.raises(SuiteError, match=r"Slurm refuses the jobs: .*Invalid partition"):
        submit(plan, folders, Slurm(partition="nosuch"))
