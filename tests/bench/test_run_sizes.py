"""From training at two sizes to the size track: students trained, exported and checked by three commands."""

from __future__ import annotations

import pandas as pd
import pytest

from bench import presets
from bench.cli import run_command
from bench.evidence.store import Store
from bench.evidence.verification import faults
from bench.export.exporting import Order, current
from bench.export.runtime import Exported
from bench.flags import RunFlags, parse
from bench.report import figure_entries, write_tables
from bench.report.figures import overview
from bench.training import grid
from bench.training.run import run_cohort

pytest.importorskip("onnxruntime", reason="the export extra is not installed")
pytest.importorskip("onnxscript", reason="the export extra is not installed")

pytestmark = pytest.mark.slow

PLAN = [
    *("--tasks", "synthetic/speakers", "--folds", "0", "--layouts", "softmax", "--sizes", "50k", "500k"),
    *("--corpus-options", "speakers", "6", "per_speaker", "5", "seed", "0"),
    *("--recipe.epochs", "1", "--features.num-mels", "16"),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> list[str]:
    made = tmp_path_factory.mktemp("sizes")
    return ["--results", str(made / "results"), "--cache", str(made / "cache")]


@pytest.fixture(scope="module")
def store(places) -> Store:
    """Both students trained, exported in int8 and checked."""
    flags = parse(RunFlags, "run sizes", [*PLAN, *places], RunFlags(plan=presets.build("sizes")))
    folders = flags.places.folders()
    for job in grid.look(flags.plan, folders).todo:
        run_cohort(job, folders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.export.checking.LENGTH_S", 0.5)
        assert run_command(export_all(places)) == 0
    return Store(folders.results)


def export_all(places) -> list[str]:
    return ["export", f"{places[1]}/checkpoints", "--int8", "dynamic", "--check", "own", *places]


def test_every_checkpoint_of_the_folder_is_exported_and_checked(store):
    checks = {record.setting.cell.id: record for record in store.exports()}
    assert checks.keys() == {run.id for run in store.runs()}
    assert {run.config.encoder.size for run in store.runs()} == {"50k", "500k"}
    for run in store.runs():
        record = checks[run.id]
        assert record.metrics["torch"]["uar"] == pytest.approx(run.metrics["test"]["uar"])
        assert record.weights_bytes == 4 * run.parameters.total
    assert faults(store) == []


def test_the_same_command_again_leaves_what_is_there_alone(store, places, capsys):
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*") if path.is_file()}
    assert run_command(export_all(places)) == 0
    assert capsys.readouterr().out == ""
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_file_that_is_damaged_is_written_again(store, places):
    (file, *_) = (store.root / "checkpoints").glob("*.int8-dynamic.onnx")
    whole = Exported.load(file).card
    file.write_bytes(file.read_bytes()[:1000])
    assert not current(file, store.checkpoint_path(whole.cell.id), Order("int8-dynamic"))
    assert run_command(export_all(places)) == 0
    assert Exported.load(file).card == whole


def test_a_checkpoint_that_cannot_be_exported_is_named_and_the_others_are_done(store, places, capsys):
    bad = store.checkpoint_path("bad")
    bad.write_bytes(b"no checkpoint")
    try:
        assert run_command(export_all(places)) == 2
    finally:
        bad.unlink()
    told = capsys.readouterr().err
    assert "export: 1 of 3 checkpoints were not exported" in told
    assert f"{bad}  " in told


def test_several_checkpoints_have_no_one_file_and_an_empty_folder_none(store, places, tmp_path, capsys):
    assert run_command([*export_all(places), "--out", str(tmp_path / "x.onnx")]) == 2
    assert "--out names one file, and there are 2 checkpoints" in capsys.readouterr().err
    assert run_command(["export", str(tmp_path)]) == 2
    assert f"{tmp_path}: no checkpoint in this folder" in capsys.readouterr().err


def test_the_report_has_the_track_and_the_figure(store):
    write_tables(store.root)
    board = (store.root / "leaderboard.md").read_text()
    heading, track = board.index("Synthetic corpus (smoke test"), board.index("UAR % of int8")
    assert heading < track
    table = pd.read_csv(store.root / "sizes.csv")
    assert table["parameters"].tolist() == sorted(run.parameters.total for run in store.runs())
    files = [path.stat().st_size for path in (store.root / "checkpoints").glob("*.int8-dynamic.onnx")]
    assert table["file_bytes"].tolist() == sorted(files)
    assert table["line"].nunique() == 1
    found = figure_entries(store.root)
    assert "sizes: Synthetic speech, speakers" in overview(found)
    (entry,) = (entry for entry in found if entry.kind == "sizes")
    assert "synthetic corpus: smoke test" in entry.draw().circumstances
