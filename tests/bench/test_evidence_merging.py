"""`serbench results merge`: what is missing is copied, nothing is overwritten, conflicts are listed."""

import pytest
import report_fixtures as fixtures

from bench.cli import run_command
from bench.config import Encoder, Features, Profiling
from bench.errors import SuiteError
from bench.evidence.merging import merge
from bench.evidence.records import SweepRecord, SweepSetting
from bench.evidence.store import Store
from bench.report.tables import accuracy_table


@pytest.fixture
def ours(tmp_path) -> Store:
    store = Store(tmp_path / "ours")
    fixtures.write_runs(store, ["softmax", "retnet"], folds=(0, 1))
    return store


@pytest.fixture
def theirs(tmp_path) -> Store:
    store = Store(tmp_path / "theirs")
    fixtures.write_runs(store, ["softmax", "gsa"], folds=(0, 1))
    fixtures.write_profiles(store, ["softmax"], seconds=(10.0,))
    return store


def files(store: Store) -> dict[str, bytes]:
    return {str(p.relative_to(store.root)): p.read_bytes() for p in store.root.rglob("*") if p.is_file()}


def test_missing_records_are_copied_and_identical_ones_skipped(ours, theirs):
    expected = files(ours) | files(theirs)
    merged = merge(theirs, ours)
    assert (merged.copied, merged.same, merged.conflicts) == (5, 2, ())
    assert files(ours) == expected
    assert set(accuracy_table(ours)["layout"]) == {"softmax", "retnet", "gsa"}


def test_merging_twice_changes_nothing(ours, theirs):
    merge(theirs, ours)
    before = files(ours)
    merged = merge(theirs, ours)
    assert (merged.copied, merged.same) == (0, 7)
    assert files(ours) == before


def test_a_record_that_differs_is_listed_and_neither_it_nor_its_predictions_are_touched(ours, theirs, capsys):
    cell = fixtures.ravdess_cell("softmax", 0)
    theirs.write(fixtures.run_record(cell, preset="another"))
    before = files(ours)
    assert run_command(["results", "merge", str(theirs.root), "--results", str(ours.root)]) == 2
    shown = capsys.readouterr()
    assert f"{theirs.run_path(cell.id)}  differs from {ours.run_path(cell.id)}" in shown.err
    assert "5 records copied, 1 there already" in shown.out
    assert files(ours) == {**files(theirs), **before}


def test_other_predictions_of_the_same_record_are_a_conflict_too(ours, theirs):
    cell = fixtures.ravdess_cell("softmax", 1)
    theirs.write_predictions(cell.id, theirs.predictions(cell.id).iloc[::-1])
    kept = ours.predictions_path(cell.id).read_bytes()
    (conflict,) = merge(theirs, ours).conflicts
    assert conflict.path == theirs.predictions_path(cell.id)
    assert ours.predictions_path(cell.id).read_bytes() == kept


def test_a_failed_cell_is_merged_without_predictions(ours, theirs):
    cell = fixtures.ravdess_cell("kda", 0)
    theirs.write(fixtures.run_record(cell, status="oom", reason="needed 9 GB"))
    assert merge(theirs, ours).copied == 6
    assert ours.run_path(cell.id).exists()


def test_a_run_without_its_predictions_stops_the_merge_before_it_starts(ours, theirs):
    theirs.predictions_path(fixtures.ravdess_cell("gsa", 1).id).unlink()
    before = files(ours)
    with pytest.raises(SuiteError, match=r"\.parquet: missing"):
        merge(theirs, ours)
    assert files(ours) == before


def test_a_sweep_goes_with_its_profiles(ours, theirs):
    setting = SweepSetting(
        profiling=Profiling(), features=Features(), encoder=Encoder(), layouts=("softmax",),
        device=fixtures.CPU.device, started="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    theirs.write(SweepRecord(id=setting.id, setting=setting, environment=fixtures.CPU))
    assert merge(theirs, ours).copied == 6
    assert ours.sweeps() == theirs.sweeps()


def test_a_folder_without_records_is_refused(ours, tmp_path):
    with pytest.raises(SuiteError, match="no records to merge"):
        merge(Store(tmp_path / "nowhere"), ours)
