"""`serbench run` from nothing to a leaderboard, through a kill, on a small synthetic MSP-Podcast."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from bench.cli import run_command
from bench.evidence.store import Store

COMMAND = [
    *(
        sys.executable,
        "-m",
        "bench.cli",
        "run",
        "demo",
        "--no-profile",
        "--seeds",
        "0",
        "--workers",
        "1",
    ),
    *("--layouts", "softmax", "retnet", "--corpus-options.turns", "100"),
    *("--encoder.d-model", "16", "--encoder.num-layers", "1", "--recipe.epochs", "6"),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache for the module: the corpus is generated once."""
    return tmp_path_factory.mktemp("cache")


def start(results: Path, cache: Path, stderr: int | None = None) -> subprocess.Popen:
    environment = os.environ | {"SER_CACHE": str(cache)}
    return subprocess.Popen(
        [*COMMAND, "--results", str(results)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )


def wait_for_a_checkpoint(results: Path) -> None:
    """Until the first epoch of some cohort has ended."""
    deadline = time.monotonic() + 300
    while not list(results.glob("checkpoints/cohort-*/*.ckpt")):
        assert time.monotonic() < deadline, "no epoch ended in five minutes"
        time.sleep(0.02)


def finished(results: Path, cache: Path) -> str:
    process = start(results, cache)
    shown, _ = process.communicate(timeout=900)
    assert process.returncode == 0, shown
    return shown


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache) -> Path:
    """The results of a run that nobody disturbed."""
    results = tmp_path_factory.mktemp("whole")
    finished(results, cache)
    return results


def scores(results: Path) -> dict[str, dict]:
    return {run.id: run.metrics for run in Store(results).runs()}


@pytest.mark.slow
def test_a_run_ends_in_records_predictions_checkpoints_and_a_leaderboard(whole):
    store = Store(whole)
    runs = store.runs()
    assert len(runs) == 2
    for run in runs:
        assert run.status == "ok"
        assert run.synthetic
        assert store.checkpoint_path(run.id).is_file()
        predictions = store.predictions(run.id)
        counts = predictions["split"].value_counts()
        assert set(counts.index) == {"dev", "test1", "test2"}
        assert all(counts[split] == run.utterances[split] for split in counts.index)
        speakers = predictions.groupby("split")["speaker"].agg(set)
        assert not speakers["dev"] & speakers["test1"]
    board = (whole / "leaderboard.md").read_text()
    assert "smoke test" in board
    assert not list((whole / "checkpoints").glob("cohort-*"))


@pytest.mark.slow
def test_a_finished_run_is_not_run_again(whole, cache):
    before = {path: path.stat().st_mtime_ns for path in (whole / "runs").iterdir()}
    assert "2 already done" in finished(whole, cache)
    assert {path: path.stat().st_mtime_ns for path in (whole / "runs").iterdir()} == before


@pytest.mark.slow
def test_a_killed_run_continues_to_the_same_result(whole, cache, tmp_path):
    process = start(tmp_path, cache)
    wait_for_a_checkpoint(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(scores(tmp_path)) < 2
    time.sleep(0.5)  # the kernel takes the orphaned cohort down
    finished(tmp_path, cache)
    assert scores(tmp_path) == scores(whole)
    for run in Store(whole).runs():
        pd.testing.assert_frame_equal(Store(tmp_path).predictions(run.id), Store(whole).predictions(run.id))


@pytest.mark.slow
def test_ctrl_c_ends_the_run_at_once_with_one_sentence_and_no_orphan(cache, tmp_path):
    process = start(tmp_path, cache, stderr=subprocess.PIPE)
    wait_for_a_checkpoint(tmp_path)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert said.strip().splitlines()[-1].startswith("serbench: interrupted")
    assert "Traceback" not in said
    assert not [child for child in psutil.wait_procs(children, timeout=10)[1] if child.is_running()]


@pytest.mark.slow
def test_a_cell_added_later_joins_without_training_the_others_again(whole, cache, tmp_path, monkeypatch):
    """What a new mixer file does: only its own cells are missing."""
    monkeypatch.setenv("SER_CACHE", str(cache))
    for path in whole.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(whole)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    lost = Store(tmp_path).runs()[0]
    Store(tmp_path).run_path(lost.id).unlink()
    assert run_command([*COMMAND[3:], "--results", str(tmp_path)]) == 0
    assert scores(tmp_path) == scores(whole)


@pytest.mark.slow
def test_a_trained_checkpoint_gives_probabilities_of_a_recording(whole, cache, capsys):
    clip = next((cache / "corpora").rglob("*.wav"))
    assert run_command(["predict", str(clip), "--results", str(whole)]) == 0
    header, row = capsys.readouterr().out.strip().splitlines()
    assert header.split(",")[0] == "file"
    assert sum(map(float, row.split(",")[1:])) == pytest.approx(1, abs=2e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, capsys):
    import pickle

    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    bad = tmp_path / "bad.pt"
    bad.write_bytes(pickle.dumps(Trap()))
    assert run_command(["predict", "clip.wav", "--checkpoint", str(bad)]) == 2
    assert not (tmp_path / "sprung").exists()
    assert "bad.pt" in capsys.readouterr().err


@pytest.mark.slow
def test_no_record_names_a_folder_of_this_machine(whole, cache):
    for path in (whole / "runs").iterdir():
        text = path.read_text()
        assert str(cache) not in text
        assert str(Path.home()) not in text
        json.loads(text)
