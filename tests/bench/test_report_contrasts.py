"""What the tables say of systems beside one another, of their spread, and of groups of utterances."""

import numpy as np
import pandas as pd
import pytest
import report_fixtures as fixtures
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from bench.config import Cell, System, Task
from bench.errors import SuiteError
from bench.evidence.differences import holm
from bench.evidence.store import Store
from bench.report import write_tables
from bench.report.tables import accuracy_table, score_tables

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("results"))
    fixtures.write_runs(store, ["softmax", "retnet", "gsa", "mamba2"], seeds=SEEDS)
    return store


@pytest.fixture(scope="module")
def table(store) -> pd.DataFrame:
    return accuracy_table(store)


def test_p_values_are_adjusted_for_all_differences_of_the_table(table):
    others = table[table["layout"] != "softmax"]
    assert others["p_adjusted"].tolist() == pytest.approx(holm(others["p"].tolist()))
    assert ((others["p"] < 0.05) == ((others["delta_low"] > 0) | (others["delta_high"] < 0))).all()
    assert table.set_index("layout")[["p", "p_adjusted", "detectable"]].loc["softmax"].isna().all()


def test_another_baseline_may_be_chosen(store, table):
    chosen = accuracy_table(store, baseline="gsa").set_index("layout")
    usual = table.set_index("layout")
    assert chosen.at["softmax", "delta"] == pytest.approx(-usual.at["gsa", "delta"])
    assert chosen.at["softmax", "p"] == pytest.approx(usual.at["gsa", "p"])
    assert np.isnan(chosen.at["gsa", "delta"])
    assert set(chosen["baseline"]) == {"gsa"}
    assert chosen["rank_group"].equals(usual["rank_group"])


def test_a_baseline_that_was_never_run_is_refused_with_those_that_were(store):
    with pytest.raises(SuiteError, match="'hyena'; there is gsa, mamba2, retnet, softmax"):
        write_tables(store.root, baseline="hyena")


def test_the_best_leads_the_first_group_and_the_last_is_apart_from_it(table):
    assert table["rank_group"].iloc[0] == 1
    assert table.set_index("layout").at["gsa", "rank_group"] > 1
    assert (table["rank_low"] <= table["rank_high"]).all()
    assert table.set_index("layout").at["gsa", "rank_low"] == 4


def test_systems_that_cannot_be_compared_have_no_rank_and_change_nobody_elses(store, table, tmp_path):
    other = Store(tmp_path)
    fixtures.write_runs(other, ["softmax", "retnet", "gsa", "mamba2"], seeds=SEEDS)
    fixtures.write_runs(other, ["fox"], folds=(0,))
    found = accuracy_table(other)
    columns = ["rank_group", "rank_low", "rank_high", "p_adjusted"]
    assert found[found["layout"] == "fox"][columns].isna().all(axis=None)
    pd.testing.assert_frame_equal(
        found[found["layout"] != "fox"][columns].reset_index(drop=True), table[columns], check_dtype=False
    )


def test_seeds_and_speakers_have_a_spread_of_their_own(table):
    assert (table["sd_speakers"] > 0.01).all()
    assert (table["sd_seeds"] < 0.5 * table["sd_speakers"]).all()
    assert (table["sd_both"] > 0).all()


def test_one_seed_has_an_interval_and_is_marked_in_every_format(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ["softmax", "retnet"])
    row = accuracy_table(store).iloc[0]
    assert row["uar_low"] < row["uar"] < row["uar_high"]
    assert np.isnan(row["sd_seeds"])
    write_tables(tmp_path)
    text = (tmp_path / "leaderboard.md").read_text()
    assert "| 5 × 1† |" in text
    assert "† One seed" in text
    latex = (tmp_path / "leaderboard.tex").read_text()
    assert r"\dag{} One seed" in latex
    assert r"RetNet\dag{} &" in latex
    assert '"seeds": 1,' in (tmp_path / "leaderboard.json").read_text()


def test_the_only_system_with_one_seed_is_marked_and_the_mark_explained(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ["softmax"], seeds=SEEDS)
    fixtures.write_runs(store, ["retnet"])
    write_tables(tmp_path)
    latex = (tmp_path / "leaderboard.tex").read_text()
    assert r"RetNet\dag{} &" in latex
    assert r"Softmax\dag{}" not in latex
    assert "between seeds" in latex
    assert r"\dag{} One seed" in latex


def test_several_seeds_are_not_marked(store):
    write_tables(store.root)
    text = (store.root / "leaderboard.md").read_text()
    assert "†" not in text
    assert "between seeds" in text


def test_a_class_that_is_absent_from_a_fold_is_scored_in_the_others(tmp_path):
    store = Store(tmp_path)
    table = fixtures.manifest()
    for layout in ("softmax", "retnet"):
        for fold in range(5):
            part = fixtures.fold_part(table, fold)
            part = part[part["label"] != "calm"] if fold == 2 else part
            fixtures.write_run(store, fixtures.ravdess_cell(layout, fold), part)
    row = accuracy_table(store).iloc[0]
    every = pd.concat([store.predictions(fixtures.ravdess_cell(row["layout"], fold).id) for fold in range(5)])
    guess = every.filter(like="logit_").idxmax(axis=1).str.removeprefix("logit_")
    assert row["uar"] == pytest.approx(balanced_accuracy_score(every["label"], guess))
    assert row["support"]["calm"] == 192 - 5 * 8
    assert row["recall_calm_low"] < row["recall_calm"] < row["recall_calm_high"]


def test_a_class_that_no_fold_has_is_left_out_of_uar(tmp_path):
    store = Store(tmp_path)
    table = fixtures.manifest()
    for fold in range(5):
        part = fixtures.fold_part(table, fold)
        fixtures.write_run(store, fixtures.ravdess_cell("softmax", fold), part[part["label"] != "calm"])
    row = accuracy_table(store).iloc[0]
    recalls = [row[f"recall_{emotion}"] for emotion in fixtures.EMOTIONS if emotion != "calm"]
    assert row["uar"] == pytest.approx(np.mean(recalls))
    assert np.isnan(row["recall_calm"])
    write_tables(tmp_path)
    assert "7 emotions, so chance is 14.3 % UAR" in (tmp_path / "leaderboard.md").read_text()


def grouped(store: Store) -> tuple[Cell, pd.DataFrame]:
    """One run of two joined corpora whose predictions know gender and length."""
    task = Task(corpus="ravdess+emodb-to-crema_d", protocol="cross")
    cell = Cell(task=task, seed=0, system=System(layout="softmax"))
    table = fixtures.predictions(fixtures.manifest(), fixtures.EMOTIONS, 1.6, 3)
    rng = np.random.default_rng(0)
    corpus = rng.choice(["ravdess", "emodb"], len(table))
    women = table["speaker"].astype(int) % 2 == 0
    table = table.assign(
        utterance=[f"{c}/{u}" for c, u in zip(corpus, table["utterance"], strict=True)],
        gender=np.where(women, "female", "male"),
        duration_s=rng.uniform(1, 5.9, len(table)),
    )
    store.write_predictions(cell.id, table)
    store.write(fixtures.run_record(cell))
    return cell, table


def test_scores_by_gender_length_and_corpus_are_scikit_learns_on_those_utterances(tmp_path):
    store = Store(tmp_path)
    _, every = grouped(store)
    _, found = score_tables(store, store.runs())
    guess = every.filter(like="logit_").idxmax(axis=1).str.removeprefix("logit_")
    bins = pd.cut(
        every["duration_s"], [0, 2, 4, 6], right=False, labels=["under 2 s", "2 to 4 s", "4 to 6 s"]
    )
    label = {"gender": every["gender"], "length": bins, "corpus": every["utterance"].str.split("/").str[0]}
    assert len(found) == 2 + 3 + 2
    for _, row in found.iterrows():
        rows = (label[row["kind"]] == row["group"]).to_numpy()
        truth, guessed = every["label"][rows], guess[rows]
        assert row["uar"] == pytest.approx(balanced_accuracy_score(truth, guessed))
        assert row["wa"] == pytest.approx(accuracy_score(truth, guessed))
        assert (row["utterances"], row["speakers"]) == (rows.sum(), every["speaker"][rows].nunique())
        assert row["uar_low"] < row["uar"] < row["uar_high"]


def test_predictions_of_another_size_than_the_record_says_are_named(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ["softmax"])
    cell = fixtures.ravdess_cell("softmax", 2)
    store.write(fixtures.run_record(cell, utterances={"train": 1000, "test": 301}))
    with pytest.raises(SuiteError, match="holds 300 utterances of test, its record says 301") as caught:
        accuracy_table(store)
    assert str(store.predictions_path(cell.id)) in str(caught.value)


def test_seeds_on_other_utterances_are_not_pooled(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ["softmax", "retnet"], seeds=(0, 1))
    cell = fixtures.ravdess_cell("retnet", 4, seed=1)
    table = store.predictions(cell.id)
    store.write_predictions(cell.id, table.assign(utterance=table["utterance"].replace("01-000", "x")))
    row = accuracy_table(store).set_index("layout").loc["retnet"]
    assert row["note"] == "other utterances in seed 1: lacks 1 (such as 01-000), adds 1 (such as x)"
    assert not row["comparable"]


def test_of_one_corpus_the_comparison_of_most_systems_comes_first(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ["softmax", "retnet"], folds=(0,))
    table = fixtures.manifest()
    for epochs in (3, 5, 7, 11, 13):  # recipes of one system each, some of them with a lower hash
        cell = fixtures.ravdess_cell("softmax", 0, 0)
        cell = cell.model_copy(update={"recipe": cell.recipe.model_copy(update={"epochs": epochs})})
        fixtures.write_run(store, cell, fixtures.fold_part(table, 0))
    found = accuracy_table(store)
    assert found["comparison"].min() < found["comparison"].iloc[0]
    assert found["comparison"].value_counts(sort=False).tolist() == [2, 1, 1, 1, 1, 1]
