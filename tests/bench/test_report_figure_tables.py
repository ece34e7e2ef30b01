"""The tables behind the newer figures: confusions, bins of lengths, directions, simultaneous intervals."""

from __future__ import annotations

import figure_fixtures
import numpy as np
import pandas as pd
import pytest
import report_fixtures as fixtures
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, recall_score

from bench.evidence.bootstrap import Interval, speaker_weights
from bench.evidence.differences import Difference, simultaneous
from bench.evidence.store import Store
from bench.report import lengths, write_report
from bench.report.details import Details
from bench.report.tables import score_tables


def details_of(store: Store) -> Details:
    found = Details()
    score_tables(store, store.runs(), "softmax", found.add)
    return found


def guesses(store: Store, layout: str, direction: str = "bidirectional") -> pd.DataFrame:
    """Predictions of all folds and seeds of one system, with the guess."""
    runs = [
        run
        for run in store.runs()
        if (run.config.system.layout, run.config.system.direction) == (layout, direction)
    ]
    table = pd.concat([store.predictions(run.id).assign(seed=run.config.seed) for run in runs])
    table = table[table["split"] == "test"]
    return table.assign(guess=table.filter(like="logit_").idxmax(axis=1).str.removeprefix("logit_"))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("results"))
    fixtures.write_runs(store, ("softmax", "retnet", "kda"), seeds=(0, 1))
    figure_fixtures.write_causal(store, ("softmax", "retnet"))
    figure_fixtures.give_lengths(store)
    return store


@pytest.fixture(scope="module")
def details(store: Store) -> Details:
    return details_of(store)


def test_confusions_are_scikit_learns_pooled_over_folds_and_seeds(store, details):
    emotions = list(fixtures.EMOTIONS)
    table = guesses(store, "kda")
    expected = confusion_matrix(table["label"], table["guess"], labels=emotions)
    found = details.confusions.query("layout == 'kda'").pivot(
        index="emotion", columns="guess", values="count"
    )
    np.testing.assert_array_equal(found.loc[emotions, emotions], expected)
    assert expected.sum() == 2 * 1440
    assert set(details.confusions.query("layout == 'kda'")["seeds"]) == {2}


def test_bins_are_the_quantiles_of_the_utterances_lengths(store, details):
    seconds = guesses(store, "kda").query("seed == 0")["duration_s"]
    bins = details.lengths.query("layout == 'kda'").sort_values("bin")
    expected = pd.qcut(seconds, len(bins), labels=False)
    assert bins["utterances"].tolist() == expected.value_counts().sort_index().tolist()
    assert bins["low_s"].tolist() == seconds.groupby(expected).min().tolist()
    assert bins["high_s"].tolist() == seconds.groupby(expected).max().tolist()
    assert len(bins) == lengths.MOST_BINS


def test_the_score_of_a_bin_is_scikit_learns_averaged_over_seeds(store, details):
    table = guesses(store, "kda")
    for _, row in details.lengths.query("layout == 'kda'").iterrows():
        inside = table[table["duration_s"].between(row["low_s"], row["high_s"])]
        scores = [balanced_accuracy_score(some["label"], some["guess"]) for _, some in inside.groupby("seed")]
        assert row["uar"] == pytest.approx(np.mean(scores))
        assert row["uar_low"] < row["uar"] < row["uar_high"]


def test_an_emotion_too_rare_in_a_bin_is_left_out_of_all_bins_and_named(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ("softmax",))
    figure_fixtures.give_lengths(store)
    for run in store.runs():  # neutral speech is short
        table = store.predictions(run.id)
        short = table["duration_s"].where(table["label"] != "neutral", 1.0 + table.index / 1e4)
        store.write_predictions(run.id, table.assign(duration_s=short))
    bins = details_of(store).lengths
    assert set(bins["rare"]) == {"neutral"}
    assert set(bins["classes"]) == {7}
    assert len(bins) == lengths.FEWEST_BINS
    table, last = guesses(store, "softmax"), bins.iloc[-1]
    inside = table[table["duration_s"] >= last["low_s"]]
    others = [emotion for emotion in fixtures.EMOTIONS if emotion != "neutral"]
    expected = recall_score(inside["label"], inside["guess"], labels=others, average="macro")
    assert last["uar"] == pytest.approx(expected)


def test_the_change_with_length_is_a_paired_bootstrap_over_speakers(store, details):
    rows = details.lengths.query("layout == 'kda' and direction == 'bidirectional'").sort_values("bin")
    table = guesses(store, "kda")
    speakers = sorted(table["speaker"].unique())
    hits = table.assign(hit=table["label"] == table["guess"])
    ends = []
    for row in (rows.iloc[0], rows.iloc[-1]):
        inside = hits[hits["duration_s"].between(row["low_s"], row["high_s"])]
        cells = inside.groupby(["seed", "speaker", "label"])["hit"].agg(["sum", "size"]).unstack(fill_value=0)
        by_seed = [cells.loc[seed].reindex(speakers, fill_value=0) for seed in (0, 1)]
        ends.append(
            [[each[part][list(fixtures.EMOTIONS)].to_numpy() for part in ("sum", "size")] for each in by_seed]
        )
    draws = []
    for weights in speaker_weights(len(speakers), lengths.DRAWS):
        scores = [
            np.mean([np.mean((weights @ right) / (weights @ all_)) for right, all_ in end]) for end in ends
        ]
        draws.append(scores[1] - scores[0])
    error = np.std(draws, ddof=1) * np.sqrt(24 / 23)
    reach = stats.t(23).ppf(0.975) * error
    first = rows.iloc[0]
    assert first["change"] == pytest.approx(rows["uar"].iloc[-1] - rows["uar"].iloc[0])
    assert first["change_high"] - first["change"] == pytest.approx(reach)


def test_predictions_without_durations_have_no_bins_and_are_still_reported(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ("softmax", "retnet"), folds=(0, 1))
    for run in store.runs():
        store.write_predictions(run.id, store.predictions(run.id).drop(columns="duration_s"))
    assert details_of(store).lengths.empty
    names = {path.name for path in write_report(tmp_path)}
    assert "confusion.png" in names
    assert "lengths.png" not in names


def test_utterances_of_one_length_have_no_bins(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ("softmax",), folds=(0,))
    assert details_of(store).lengths.empty


def test_directions_pair_the_two_scores_of_each_layout_that_has_both(store, details):
    found = details.directions.set_index("layout")
    assert list(found.index) == ["retnet", "softmax"]
    for layout, row in found.iterrows():
        both = {}
        for direction in ("causal", "bidirectional"):
            seeds = guesses(store, layout, direction).groupby("seed")
            both[direction] = np.mean([balanced_accuracy_score(s["label"], s["guess"]) for _, s in seeds])
            assert row[direction] == pytest.approx(both[direction])
        assert row["gain"] == pytest.approx(both["bidirectional"] - both["causal"])
        assert row["gain_low"] < row["gain"] < row["gain_high"]


def test_gains_are_adjusted_for_all_layouts_by_holm(details):
    found = details.directions.sort_values("p")
    expected = np.minimum(np.maximum.accumulate(found["p"].to_numpy() * [2, 1]), 1)
    np.testing.assert_allclose(found["p_adjusted"], expected)


@given(st.floats(-0.2, 0.2), st.floats(0.001, 0.1), st.integers(2, 200), st.integers(1, 40))
def test_simultaneous_intervals_are_students_at_the_level_divided_by_their_number(
    value, error, speakers, count
):
    one = Difference(value, error, speakers).interval()
    wide = simultaneous(Interval(one.value, one.low, one.high), speakers, count)
    low, high = stats.t.interval(1 - 0.05 / count, speakers - 1, loc=value, scale=error)
    assert (wide.low, wide.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
