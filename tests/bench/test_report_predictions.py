"""Predictions of many runs: what runs share is kept once, what differs stays apart, damage is named."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import report_fixtures as fixtures
from sklearn.metrics import confusion_matrix

from bench.errors import SuiteError
from bench.evidence.records import RunRecord
from bench.evidence.store import Store
from bench.report import write_tables
from bench.report.predictions import Predictions
from bench.report.scoring import score


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


def write(store: Store, *layouts: str, change=lambda table: table) -> list[RunRecord]:
    """Runs of one fold, whose predictions are changed before they are written."""
    part = fixtures.fold_part(fixtures.manifest(per_speaker=15), 0)
    runs = []
    for layout in layouts:
        run = fixtures.write_run(store, fixtures.ravdess_cell(layout), part)
        store.write_predictions(run.id, change(store.predictions(run.id)))
        runs.append(run)
    return runs


def test_runs_on_the_same_utterances_share_what_is_true_of_them(store):
    def gaps(table):
        return table.assign(duration_s=np.where(np.arange(len(table)) % 7, 3.0, np.nan))

    one, other = write(store, "softmax", "retnet", change=gaps)
    predictions = Predictions(store)
    assert predictions.of(one, "test").truth is predictions.of(other, "test").truth
    assert predictions.of(one, "test").outputs.keys() == predictions.of(other, "test").outputs.keys()


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.iloc[::-1],
        lambda table: table.assign(label=np.roll(table["label"], 1)),
        lambda table: table.assign(label=table["label"].astype("category")),
    ],
    ids=["rows in another order", "other labels", "another type"],
)
def test_a_run_that_differs_is_counted_as_scikit_learn_counts_it(store, change):
    runs = write(store, "softmax") + write(store, "retnet", change=change)
    predictions = Predictions(store)
    for run in runs:
        table = store.predictions(run.id)
        logits = table[[f"logit_{emotion}" for emotion in fixtures.EMOTIONS]].to_numpy()
        guess = np.array(fixtures.EMOTIONS)[logits.argmax(axis=1)]
        expected = confusion_matrix(table["label"].astype(str), guess, labels=fixtures.EMOTIONS)
        found = score(predictions, [run], {0}, "test")
        assert found is not None
        assert (found.counts.sum(axis=(0, 1)) == expected).all()


def test_a_report_reads_every_record_once(store, monkeypatch):
    write(store, "softmax", "retnet")
    read = []
    original = Store.runs
    monkeypatch.setattr(Store, "runs", lambda self: read.append(1) or original(self))
    write_tables(store.root)
    assert len(read) == 1


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "cannot be read"),
        (lambda path: pq.write_table(broken_text(path), path), "cannot be read"),
        (lambda path: pq.write_table(twice(path), path), "two columns of one name"),
        (lambda path: pq.write_table(pq.read_table(path).drop_columns(["logit_sad"]), path), "logit_sad"),
        (lambda path: pq.write_table(pq.read_table(path).drop_columns(["label"]), path), "label"),
        (lambda path: path.unlink(), "cannot be read"),
    ],
    ids=["cut short", "no UTF-8", "a column twice", "no logit", "no label", "gone"],
)
def test_damage_is_named_with_the_path_of_the_file(store, damage, named):
    (run,) = write(store, "softmax")
    path = store.predictions_path(run.id)
    damage(path)
    with pytest.raises(SuiteError, match=named) as caught:
        score(Predictions(store), [run], {0}, "test")
    assert str(path) in str(caught.value)


def broken_text(path) -> pa.Table:
    table = pq.read_table(path)
    raw = pa.array([b"\xff\xfe"] * len(table), type=pa.binary()).view(pa.string())
    return table.set_column(table.column_names.index("utterance"), "utterance", raw)


def twice(path) -> pa.Table:
    table = pq.read_table(path)
    return table.append_column("label", table["label"])
