"""`serbench results verify`: what holds passes, and every fault is named, all at once, with exit code 2."""

import json
import shutil

import pandas as pd
import pytest
import report_fixtures as fixtures

from bench.cli import run_command
from bench.evidence import summary
from bench.evidence.store import Store
from bench.evidence.verification import faults

LAYOUTS = ("softmax", "retnet", "gsa")


def holding(root) -> Store:
    """Three systems on two folds, whose records say what their predictions do, and some profiles."""
    store = Store(root)
    fixtures.write_runs(store, LAYOUTS, folds=(0, 1))
    for run in store.runs():
        table = store.predictions(run.id)
        update = {"metrics": summary.of(table, run.emotions), "utterances": {"train": 9, "test": len(table)}}
        store.write(run.model_copy(update=update))
    fixtures.write_profiles(store, ["softmax"], seconds=(10.0,))
    return store


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Store:
    return holding(tmp_path_factory.mktemp("good"))


@pytest.fixture
def store(good, tmp_path) -> Store:
    return Store(shutil.copytree(good.root, tmp_path / "results"))


def change_predictions(store: Store, change, layout="gsa", fold=1) -> str:
    cell = fixtures.ravdess_cell(layout, fold)
    store.write_predictions(cell.id, change(store.predictions(cell.id)))
    return cell.id


def change_record(path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def told(store: Store) -> str:
    return "\n".join(f"{problem.path.name}: {problem.reason}" for problem in faults(store))


def test_records_that_hold_have_no_fault(good, capsys):
    assert faults(good) == []
    assert run_command(["results", "verify", "--results", str(good.root)]) == 0
    assert "9 records hold" in capsys.readouterr().out


def test_a_changed_prediction_contradicts_its_record(store):
    def miss(table):
        calm = table["label"] == "calm"
        return table.assign(logit_calm=table["logit_calm"].mask(calm, -99.0))

    cell = change_predictions(store, miss)
    text = told(store)
    assert f"{cell}.parquet: test recall_calm: the record says 0." in text
    assert "the predictions give 0.000000" in text
    assert f"{cell}.parquet: test uar: the record says 0." in text
    assert "recall_sad" not in text


def test_a_metric_that_only_one_of_the_two_has_is_named(store):
    path = store.run_path(fixtures.ravdess_cell("gsa", 1).id)

    def rename(content):
        content["metrics"]["test"]["glee"] = content["metrics"]["test"].pop("wa")

    change_record(path, rename)
    assert "test glee: the record says 0." in told(store)
    assert "the predictions give none" in told(store)
    assert "test wa: the predictions give 0." in told(store)


def test_edited_settings_no_longer_have_the_records_id(store):
    def edit(content):
        content["config"]["recipe"]["epochs"] = 41

    run = fixtures.ravdess_cell("gsa", 1)
    change_record(store.run_path(run.id), edit)
    (profile, *_) = store.paths("profiles")
    change_record(profile, lambda content: content["shape"].update(seconds=11.0))
    text = told(store)
    assert f"{run.id}.json: its id is {run.id}, that of its settings (config) is " in text
    assert f"{profile.name}: its id is {profile.stem}, that of its settings (shape) is " in text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.iloc[1:], "it lacks 1 (such as 03-000)"),
        (
            lambda t: t.assign(speaker=t["speaker"].replace("03", "06")),
            "gives 60 another speaker (such as 03-000)",
        ),
        (
            lambda t: t.assign(label=t["label"].replace("calm", "sad")),
            "gives 40 another label (such as 03-004)",
        ),
        (
            lambda t: t.assign(utterance=t["utterance"].replace("03-000", "x")),
            "it lacks 1 (such as 03-000), adds 1 (such as x)",
        ),
    ],
)
def test_systems_of_a_comparison_are_of_the_same_utterances_speakers_and_labels(store, change, reason):
    cell = change_predictions(store, change)
    lines = [line for line in told(store).splitlines() if "fold 1, test" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"{cell}.parquet")
    assert reason in lines[0]


def test_an_utterance_that_stands_twice_is_named(store):
    change_predictions(store, lambda table: pd.concat([table, table.iloc[:1]]))
    assert "holds 03-000 more than once in test" in told(store)


def test_missing_damaged_and_orphaned_files_are_all_named_at_once(store, capsys):
    missing, damaged, cut = (fixtures.ravdess_cell(layout, 0).id for layout in LAYOUTS)
    store.predictions_path(missing).unlink()
    store.predictions_path(damaged).write_bytes(b"PAR1")
    store.run_path(cut).write_text('{"id": "ab')
    change_predictions(store, lambda table: table.drop(columns="logit_sad"))
    assert run_command(["results", "verify", "--results", str(store.root)]) == 2
    text = capsys.readouterr().err
    assert text.startswith("serbench: results verify: 4 faults in ")
    assert f"{missing}.parquet" in text
    assert f"{damaged}.parquet" in text
    assert "not a valid record" in text
    assert f"there is no record {store.run_path(cut)}" not in text
    assert "logit_sad" in text


def test_predictions_without_a_record_are_named(store):
    cell = fixtures.ravdess_cell("gsa", 1)
    store.run_path(cell.id).unlink()
    assert f"there is no record {store.run_path(cell.id)}" in told(store)


def test_a_folder_without_records_is_refused(tmp_path, capsys):
    assert run_command(["results", "verify", "--results", str(tmp_path)]) == 2
    assert "no records to verify" in capsys.readouterr().err
