"""Several test splits: each is reported on its own, beside dev, and never mixed with another."""

from __future__ import annotations

import pandas as pd
import pytest
import report_fixtures as fixtures
from sklearn.metrics import balanced_accuracy_score

from bench.config import Cell, System, Task
from bench.evidence.store import Store
from bench.report import leaderboard, write_report
from bench.report.tables import accuracy_table, profile_table


def write(
    store: Store, splits: tuple[str, ...], layout: str = "softmax", protocol: str = "official-2.0"
) -> Cell:
    """A run with predictions of its own for every split, as metrics name them."""
    task = Task(corpus="msp_podcast", protocol=protocol)
    cell = Cell(task=task, seed=0, system=System(layout=layout))
    tables = [
        fixtures.predictions(fixtures.manifest(seed=at), fixtures.EMOTIONS, 1.0 + at, at).assign(split=split)
        for at, split in enumerate(splits)
    ]
    store.write_predictions(cell.id, pd.concat(tables))
    metrics = {split: {"uar": 0.5} for split in splits}
    store.write(fixtures.run_record(cell, metrics=metrics, corpus_title="MSP-Podcast 2.0"))
    return cell


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


def test_every_split_is_a_comparison_scored_on_its_own_utterances(store):
    cell = write(store, ("dev", "test1", "test2"))
    table = accuracy_table(store)
    assert table["split"].tolist() == ["dev", "test1", "test2"]
    assert table["comparison"].nunique() == 3
    predictions = store.predictions(cell.id)
    for _, row in table.iterrows():
        ours = predictions[predictions["split"] == row["split"]]
        chosen = ours.filter(like="logit_").idxmax(axis=1).str.removeprefix("logit_")
        assert row["uar"] == pytest.approx(balanced_accuracy_score(ours["label"], chosen))


def test_dev_is_not_reported_where_there_is_a_plain_test_split(store):
    write(store, ("dev", "test"))
    assert accuracy_table(store)["split"].tolist() == ["test"]


def test_a_run_without_test_labels_is_reported_on_dev(store):
    write(store, ("dev",))
    assert accuracy_table(store)["split"].tolist() == ["dev"]


def test_the_leaderboard_names_each_split_and_warns_of_dev(store):
    for layout in ("softmax", "retnet"):
        write(store, ("dev", "test1", "test2"), layout)
    text = leaderboard.markdown(accuracy_table(store), profile_table(store))
    sections = text.split("\n## ")[1:]
    heads = [section.partition(", recipe")[0] for section in sections]
    name = "MSP-Podcast 2.0, protocol official-2.0"
    assert heads == [f"{name}, Dev", f"{name}, Test1", f"{name}, Test2"]
    assert ["The epoch was chosen on these" in section for section in sections] == [True, False, False]
    assert "development utterances" in sections[0]
    assert "test utterances" in sections[1]


def test_two_releases_are_never_one_table(store):
    write(store, ("dev", "test1"))
    write(store, ("dev", "test1"), protocol="official-1.11")
    table = accuracy_table(store)
    assert table.groupby("comparison")["protocol"].nunique().max() == 1
    assert table["comparison"].nunique() == 4


def test_figures_are_drawn_of_the_test_splits(store):
    for layout in ("softmax", "retnet"):
        write(store, ("dev", "test1", "test2"), layout)
    figures = {path.name for path in write_report(store.root) if path.suffix == ".png"}
    kinds = ("forest", "recall", "confusion")
    assert figures == {
        f"{kind}{end}.png" for kind in kinds for end in ("", "-msp-podcast-official-2-0-test2")
    }
