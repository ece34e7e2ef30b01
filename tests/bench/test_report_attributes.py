"""The report of attributes: CCC columns where they were trained, CCC first where nothing else was."""

import io
import itertools
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import report_fixtures as fixtures

from bench.config import Cell, Recipe, System, Task
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.report import data_files, figures, leaderboard, write_report
from bench.report.tables import accuracy_table, profile_table

NAMES = ("arousal", "valence", "dominance")
RECIPES = {
    "both": Recipe(attribute_weight=0.5),
    "alone": Recipe(emotion_weight=0.0, attribute_weight=1.0, select_by="ccc"),
}
NOISE = {"softmax": 0.8, "retnet": 1.2, "gsa": 0.5}  # of attributes: gsa is best
SKILL = {"softmax": 1.6, "retnet": 2.4, "gsa": 0.8}  # in emotions: retnet is best


def cell_of(layout: str, kind: str, seed: int = 0) -> Cell:
    task = Task(corpus="msp_podcast", protocol="official-2.0")
    return Cell(task=task, seed=seed, system=System(layout=layout), recipe=RECIPES[kind])


def rated(layout: str, split: str, seed: int, kind: str) -> pd.DataFrame:
    """Predictions of a split with attributes; the truth is the same for all systems and seeds."""
    table = fixtures.predictions(fixtures.manifest(per_speaker=15), fixtures.EMOTIONS, SKILL[layout], seed)
    truth, noise = np.random.default_rng(7), np.random.default_rng([len(layout), len(split), seed])
    for name in NAMES:
        table[name] = truth.uniform(1, 7, len(table))
        table[f"predicted_{name}"] = 1 + 0.7 * table[name] + NOISE[layout] * noise.normal(size=len(table))
    table.loc[::20, "valence"] = np.nan
    kept = table if kind == "both" else table.loc[:, ~table.columns.str.startswith("logit_")]
    return kept.assign(split=split)


def write(store: Store, kind: str, layouts=tuple(NOISE), seeds=(0,), splits=("dev", "test1")) -> None:
    for layout, seed in itertools.product(layouts, seeds):
        cell = cell_of(layout, kind, seed)
        store.write_predictions(cell.id, pd.concat([rated(layout, split, seed, kind) for split in splits]))
        emotions = fixtures.EMOTIONS if kind == "both" else ()
        record = fixtures.run_record(
            cell, emotions, attributes=NAMES, metrics={split: {"ccc": 0.5} for split in splits}
        )
        store.write(record)


def lin(table: pd.DataFrame, name: str) -> float:
    known = table.dropna(subset=name)
    x, y = known[f"predicted_{name}"], known[name]
    return 2 * np.cov(x, y, bias=True)[0, 1] / (x.var(ddof=0) + y.var(ddof=0) + (x.mean() - y.mean()) ** 2)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Both kinds of training, and a corpus without attributes."""
    store = Store(tmp_path_factory.mktemp("results"))
    write(store, "both")
    write(store, "alone", seeds=(0, 1))
    fixtures.write_runs(store, ["softmax", "retnet"])
    fixtures.write_profiles(store, ["softmax", "retnet", "gsa"], seconds=(10.0, 60.0))
    return store


@pytest.fixture(scope="module")
def table(store) -> pd.DataFrame:
    return accuracy_table(store)


def rows_of(table: pd.DataFrame, kind: str, split: str = "test1") -> pd.DataFrame:
    """The rows of one comparison."""
    trained = table["attributes"].map(len) > 0
    emotions = table["emotions"].map(len) > 0
    return table[trained & (emotions == (kind == "both")) & (table["split"] == split)]


@pytest.mark.parametrize("kind", ["both", "alone"])
def test_ccc_is_that_of_the_predictions_averaged_over_seeds_and_attributes(store, table, kind):
    row = rows_of(table, kind).set_index("layout").loc["retnet"]
    seeds = [rated("retnet", "test1", seed, kind) for seed in ((0,) if kind == "both" else (0, 1))]
    for name in NAMES:
        assert row[f"ccc_{name}"] == pytest.approx(np.mean([lin(seed, name) for seed in seeds]))
        assert row[f"ccc_{name}_low"] < row[f"ccc_{name}"] < row[f"ccc_{name}_high"]
    assert row["ccc"] == pytest.approx(np.mean([row[f"ccc_{name}"] for name in NAMES]))
    assert row["seeds"] == len(seeds)


def test_attributes_alone_are_ordered_and_compared_with_softmax_by_ccc(table):
    rows = rows_of(table, "alone")
    assert rows["layout"].tolist() == ["gsa", "softmax", "retnet"]
    ccc = rows.set_index("layout")["ccc"]
    delta = rows.set_index("layout")["delta"]
    assert delta["gsa"] == pytest.approx(ccc["gsa"] - ccc["softmax"])
    assert np.isnan(delta["softmax"])
    assert rows[["uar", "macro_f1", "wa"]].isna().all(axis=None)


def test_emotions_beside_attributes_are_ordered_and_compared_by_uar(table):
    rows = rows_of(table, "both").set_index("layout")
    assert rows.index.tolist() == ["retnet", "softmax", "gsa"]
    assert rows["delta"]["gsa"] == pytest.approx(rows["uar"]["gsa"] - rows["uar"]["softmax"])


def test_a_corpus_without_attributes_has_no_ccc(table):
    rows = table[table["corpus"] == "ravdess"]
    assert rows["attributes"].tolist() == [(), ()]
    assert rows[["ccc", "ccc_arousal", "ccc_valence_low"]].isna().all(axis=None)


def heads(text: str) -> list[str]:
    """The headings of the tables of a leaderboard."""
    return [line for line in text.splitlines() if line.startswith("| # |")]


def test_the_leaderboard_shows_ccc_only_where_it_was_trained(store, table):
    text = leaderboard.markdown(table, profile_table(store))
    columns = Counter((" CCC " in head, " UAR % " in head) for head in heads(text))
    assert columns == {(True, True): 2, (True, False): 2, (False, True): 1}
    best = rows_of(table, "alone").iloc[0]
    assert (
        f"GSA scores highest, CCC {best['ccc']:.3f}, and beats softmax by {best['delta']:.3f} (95 %" in text
    )
    assert "24 speakers, 1 fold × 2 seeds; CCC of arousal, valence and dominance." in text
    assert "8 emotions, so chance is 12.5 % UAR; CCC of arousal" in text


def test_tables_without_attributes_do_not_mention_them(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ["softmax", "retnet"])
    accuracy, profiles = accuracy_table(store), profile_table(store)
    for text in (leaderboard.markdown(accuracy, profiles), data_files.csv(accuracy, profiles)):
        assert "ccc" not in text.lower()
        assert "attributes" not in text


def test_csv_names_the_attributes_and_holds_their_scores(store, table):
    read = pd.read_csv(io.StringIO(data_files.csv(table, profile_table(store))))
    assert read["ccc_valence"].tolist() == pytest.approx(table["ccc_valence"].tolist(), rel=1e-5, nan_ok=True)
    assert set(read["attributes"].dropna()) == {"arousal valence dominance"}


def test_every_figure_is_drawn_beside_attributes_and_none_of_emotions_without_emotions(store, tmp_path):
    accuracy, profiles = accuracy_table(store), profile_table(store)
    assert {"latency", "memory", "pareto", "recall"} <= {name for name, _ in figures.draw(accuracy, profiles)}
    alone = Store(tmp_path)
    write(alone, "alone")
    fixtures.write_profiles(alone, ["softmax", "retnet", "gsa"], seconds=(10.0, 60.0))
    drawn = figures.draw(accuracy_table(alone), profile_table(alone))
    assert {name for name, _ in drawn} == {"latency", "memory", "forest"}


def test_cells_that_all_failed_still_make_a_leaderboard_of_attributes(tmp_path):
    store = Store(tmp_path)
    failed = {"status": "oom", "reason": "needed 9 GB", "attributes": NAMES}
    store.write(fixtures.run_record(cell_of("kda", "alone"), (), **failed))
    write_report(tmp_path)
    text = (tmp_path / "leaderboard.md").read_text()
    assert "needed 9 GB" in text
    assert "UAR %" not in heads(text)[0]


def test_predictions_without_a_trained_attribute_stop_the_report_with_their_path(tmp_path):
    store = Store(tmp_path)
    write(store, "alone", layouts=("softmax",))
    cell = cell_of("softmax", "alone")
    store.write_predictions(cell.id, store.predictions(cell.id).drop(columns="predicted_valence"))
    with pytest.raises(SuiteError, match="predicted_valence") as caught:
        accuracy_table(store)
    assert str(store.predictions_path(cell.id)) in str(caught.value)


def test_a_runs_predictions_are_read_once_for_all_its_splits(tmp_path, monkeypatch):
    store = Store(tmp_path)
    write(store, "both", layouts=("softmax", "retnet"), splits=("dev", "test1", "test2"))
    read = Counter()
    original = Store.prediction_columns

    def counted(self, run_id):
        read[run_id] += 1
        return original(self, run_id)

    monkeypatch.setattr(Store, "prediction_columns", counted)
    assert len(accuracy_table(store)) == 6
    assert set(read.values()) == {1}
