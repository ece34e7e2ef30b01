"""The command line: it teaches, it is light, and bad input ends with one sentence and exit code 2."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from bench.cli import COMMANDS, HELP, run_command
from bench.profiles import PROFILES

FEW_TURNS = ["--corpus-options.turns", "100"]
FEW_SPEAKERS = ["--corpus-options", "speakers", "6", "per_speaker", "5"]


def outcome(capsys, *arguments: str) -> tuple[int, str]:
    """Exit code and what was written to standard error."""
    try:
        code = run_command(list(arguments))
    except SystemExit as ended:
        code = ended.code
    return code, capsys.readouterr().err


def imported(statement: str) -> set[str]:
    """Top-level modules that are loaded after a statement, in a fresh interpreter."""
    code = f"import sys\n{statement}\nprint('MODULES', *{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.rsplit("MODULES", 1)[1].split())


def test_help_names_every_command_and_loads_nothing_heavy():
    assert all(name in HELP for name in COMMANDS)
    loaded = imported("from bench.cli import run_command; run_command(['--help'])")
    assert not loaded & {"torch", "lightning", "matplotlib", "pandas", "scipy", "tyro"}


def test_the_report_side_loads_no_torch():
    assert "torch" not in imported("import bench.report, bench.evidence.store, bench.flags")


@pytest.mark.parametrize("command", [[name, "--help"] for name in COMMANDS] + [["run", "demo", "--help"]])
def test_every_command_explains_itself(capsys, command):
    code, _ = outcome(capsys, *command)
    assert code == 0


@pytest.mark.parametrize("command", [["--help"], ["report", "--help"]])
def test_output_that_nobody_reads_ends_without_a_word(tmp_path, command):
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        [sys.executable, "-m", "bench.cli", *command], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert run.stderr == ""
    assert run.returncode == 141


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["fly"], "fly"),
        (["run", "nosuch"], "nosuch"),
        (["run", "demo", "--layouts", "nosuch"], "nosuch"),
        (["run", "demo", "--nosuch", "1"], "nosuch"),
        (["run", "demo", "--recipe.epochs", "0"], "epochs"),
        (["run", "demo", "--folds", "77", *FEW_TURNS], "77"),
        (["train", "--task", "synthetic/nosuch", *FEW_SPEAKERS], "nosuch"),
        (["run", "demo", "--tasks", "nosuch/luna"], "nosuch"),
        (["train", "--layout", "softmax*"], "softmax*"),
        (["corpora", "check", "nosuch"], "nosuch"),
        (["predict", "missing.wav", "--checkpoint", "missing.pt"], "missing.pt"),
        (["report", "--results", "missing"], "missing"),
        (["report", "--results", "missing", "--baseline", "nosuch"], "missing"),
        (["results", "verify", "--results", "missing"], "missing"),
        (["results", "merge", "missing"], "missing"),
        (["mixers", "--d-model", "0"], "d_model"),
        (["profile", "nosuch"], "nosuch"),
        (["profile", "quick", "--dtypes", "float16"], "float16"),
        (["profile", "--engines", "graph"], "CUDA graph"),
        (["profile", "--corpus", "nosuch"], "nosuch"),
    ],
)
def test_bad_input_ends_with_code_two_and_names_the_fault(capsys, tmp_path, monkeypatch, arguments, named):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    code, text = outcome(capsys, *arguments)
    assert code == 2
    assert named in text.replace("-", "_") or named in text
    assert "Traceback" not in text


def test_a_missing_data_root_is_told_with_the_way_to_set_it(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("SER_DATA_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    code, text = outcome(capsys, "run", "open", "--tasks", "ravdess/luna")
    assert code == 2
    assert "SER_DATA_ROOT" in text
    assert not (tmp_path / "results").exists()


def test_a_folder_that_is_not_the_corpus_is_refused(capsys, tmp_path):
    (tmp_path / "ravdess").mkdir()
    (tmp_path / "ravdess" / "holiday.wav").write_bytes(b"RIFF")
    code, text = outcome(capsys, "corpora", "check", "ravdess", "--data-root", str(tmp_path))
    assert code == 2
    assert "ravdess" in text.lower()


def test_all_bad_files_of_a_corpus_are_listed_at_once(capsys, tmp_path):
    folder = tmp_path / "ravdess" / "Actor_01"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(size=16000) * 0.1
    for emotion in range(1, 9):
        soundfile.write(folder / f"03-01-0{emotion}-01-01-01-01.wav", noise * emotion, 16000)
    (folder / "03-01-02-01-01-01-01.wav").write_bytes(b"")
    soundfile.write(folder / "03-01-03-01-01-01-01.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    soundfile.write(folder / "03-01-99-01-02-01-01.wav", noise, 16000)
    code = run_command(["corpora", "check", "ravdess", "--data-root", str(tmp_path)])
    shown = capsys.readouterr()
    assert code == 2
    for bad in ("03-01-02-01-01-01-01", "03-01-03-01-01-01-01", "03-01-99-01-02-01-01"):
        assert bad in shown.out + shown.err


def test_a_record_cut_in_half_stops_the_report_with_its_path(capsys, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "abc.json").write_text('{"id": "ab')
    code, text = outcome(capsys, "report", "--results", str(tmp_path))
    assert code == 2
    assert "abc.json" in text
    assert not (tmp_path / "leaderboard.md").exists()


@pytest.mark.parametrize("name", ["quick", "full", "paper", "gpu"])
def test_a_dry_run_lists_the_cells_of_a_profile_and_measures_nothing(capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert run_command(["profile", name, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "cells, at least" in shown
    assert "retnet" in shown
    assert not list(tmp_path.iterdir())


def test_the_help_of_profile_names_every_profile(capsys):
    with pytest.raises(SystemExit):
        run_command(["profile", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} (" in shown for name in (*PROFILES, "ops"))
