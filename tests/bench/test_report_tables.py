"""Tables: pooled scores, who may be compared with whom, and no failed cell dropped."""

import numpy as np
import pandas as pd
import pytest
import report_fixtures as fixtures
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from bench.config import Encoder
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.report.tables import accuracy_table, profile_table


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def row_of(table, layout, direction="bidirectional"):
    return table[(table["layout"] == layout) & (table["direction"] == direction)].iloc[0]


def pooled_predictions(store, layout, seed=0):
    cells = [fixtures.ravdess_cell(layout, fold, seed) for fold in range(5)]
    table = pd.concat([store.predictions(cell.id) for cell in cells])
    logits = table[[f"logit_{emotion}" for emotion in fixtures.EMOTIONS]]
    return table["label"], logits.idxmax(axis=1).str.removeprefix("logit_")


def test_scores_are_scikit_learns_on_the_pooled_folds_averaged_over_seeds(store):
    fixtures.write_runs(store, ["softmax", "retnet"], seeds=(0, 1))
    row = row_of(accuracy_table(store), "retnet")
    seeds = [pooled_predictions(store, "retnet", seed) for seed in (0, 1)]
    assert row["uar"] == pytest.approx(np.mean([balanced_accuracy_score(*lists) for lists in seeds]))
    assert row["wa"] == pytest.approx(np.mean([accuracy_score(*lists) for lists in seeds]))
    assert row["macro_f1"] == pytest.approx(np.mean([f1_score(*lists, average="macro") for lists in seeds]))
    assert (row["utterances"], row["speakers"], row["folds"], row["seeds"]) == (1440, 24, 5, 2)
    assert row["uar_low"] < row["uar"] < row["uar_high"]


def test_the_difference_to_softmax_is_that_of_the_point_values_and_softmax_has_none(store):
    fixtures.write_runs(store, ["softmax", "gsa"])
    table = accuracy_table(store)
    softmax, gsa = row_of(table, "softmax"), row_of(table, "gsa")
    assert gsa["delta"] == pytest.approx(gsa["uar"] - softmax["uar"])
    assert gsa["delta_high"] - gsa["delta_low"] < gsa["uar_high"] - gsa["uar_low"]
    assert np.isnan(softmax["delta"])


def test_a_causal_system_is_compared_with_causal_softmax(store):
    fixtures.write_runs(store, ["softmax", "retnet"])
    fixtures.write_runs(store, ["softmax", "retnet"], direction="causal")
    table = accuracy_table(store)
    causal = row_of(table, "retnet", "causal")
    assert causal["delta"] == pytest.approx(causal["uar"] - row_of(table, "softmax", "causal")["uar"])
    assert causal["name"] == "RetNet, causal"


def test_a_system_without_softmax_of_its_direction_has_no_difference(store):
    fixtures.write_runs(store, ["softmax"])
    fixtures.write_runs(store, ["retnet"], direction="causal")
    assert np.isnan(row_of(accuracy_table(store), "retnet", "causal")["delta"])


def test_missing_folds_are_named_and_give_no_difference(store):
    fixtures.write_runs(store, ["softmax"])
    fixtures.write_runs(store, ["retnet"], folds=(0, 1))
    row = row_of(accuracy_table(store), "retnet")
    assert row["note"] == "incomplete: folds 0, 1 of 5"
    assert not row["comparable"]
    assert np.isnan(row["delta"])
    assert row["utterances"] == 600


def test_an_unfinished_seed_does_not_touch_the_finished_one(store, tmp_path):
    fixtures.write_runs(store, ["softmax", "retnet"])
    before = row_of(accuracy_table(store), "retnet")
    fixtures.write_runs(store, ["retnet"], folds=(0, 1), seeds=(1,))
    after = row_of(accuracy_table(store), "retnet")
    assert (after["uar"], after["seeds"], after["seeds_expected"]) == (before["uar"], 1, 2)
    assert after["comparable"]


def test_other_utterances_than_the_rest_are_not_compared(store):
    fixtures.write_runs(store, ["softmax", "retnet", "gsa"])
    cell = fixtures.ravdess_cell("gsa", 4)
    table = store.predictions(cell.id)
    gone = table["utterance"].iloc[:2].min()
    store.write_predictions(cell.id, table.iloc[2:])
    row = row_of(accuracy_table(store), "gsa")
    assert row["note"] == f"other utterances in seed 0: lacks 2 (such as {gone})"
    assert np.isnan(row["delta"])
    assert row_of(accuracy_table(store), "retnet")["comparable"]


def test_failed_cells_keep_their_reasons(store):
    fixtures.write_runs(store, ["softmax"])
    for fold, status, reason in ((0, "oom", "needed 9 GB"), (1, "diverged", "loss is NaN\nin epoch 3")):
        cell = fixtures.ravdess_cell("kda", fold)
        store.write(fixtures.run_record(cell, status=status, reason=reason, parameters=None, cost=None))
    row = row_of(accuracy_table(store), "kda")
    assert row["failures"] == (
        "fold 0, seed 0: out of memory: needed 9 GB",
        "fold 1, seed 0: diverged: loss is NaN in epoch 3",
    )
    assert row["note"] == "failed"
    assert np.isnan(row["uar"])


def test_another_encoder_is_another_comparison(store):
    fixtures.write_runs(store, ["softmax"])
    table = fixtures.manifest()
    for fold in range(5):
        cell = fixtures.ravdess_cell("softmax", fold, encoder=Encoder(d_model=32))
        fixtures.write_run(store, cell, fixtures.fold_part(table, fold))
    accuracy = accuracy_table(store)
    assert accuracy["comparison"].nunique() == accuracy["recipe"].nunique() == 2


def test_rows_come_best_first_and_synthetic_ones_last(store):
    fixtures.write_synthetic(store)
    fixtures.write_runs(store, ["softmax", "gsa", "mamba2"])
    table = accuracy_table(store)
    assert table["synthetic"].tolist() == [False] * 3 + [True] * 2
    assert table["uar"][:3].is_monotonic_decreasing


def test_class_support_counts_the_test_utterances_once(store):
    fixtures.write_runs(store, ["softmax"], seeds=(0, 1))
    support = accuracy_table(store)["support"].iloc[0]
    assert support == {"neutral": 96} | dict.fromkeys(fixtures.EMOTIONS[1:], 192)


def test_dev_predictions_never_reach_a_score(store):
    fixtures.write_runs(store, ["softmax"])
    before = accuracy_table(store)["uar"].iloc[0]
    cell = fixtures.ravdess_cell("softmax", 0)
    table = store.predictions(cell.id)
    wrong = table.assign(split="dev", label="calm")
    store.write_predictions(cell.id, pd.concat([table, wrong]))
    assert accuracy_table(store)["uar"].iloc[0] == before


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda t: t.assign(split="dev"), "no test predictions"),
        (lambda t: t.drop(columns="speaker"), "speaker"),
        (lambda t: t.assign(label="bored"), "bored"),
    ],
)
def test_damaged_predictions_stop_the_report_with_their_path(store, damage, named):
    fixtures.write_runs(store, ["softmax"])
    cell = fixtures.ravdess_cell("softmax", 3)
    store.write_predictions(cell.id, damage(store.predictions(cell.id)))
    with pytest.raises(SuiteError, match=named) as caught:
        accuracy_table(store)
    assert str(store.predictions_path(cell.id)) in str(caught.value)


def test_profiles_are_one_row_each_named_by_their_hardware(store):
    fixtures.write_profiles(store, ["softmax", "gsa"], seconds=(1.0, 10.0))
    gpu = fixtures.CPU.model_copy(update={"device": "NVIDIA H200", "device_kind": "cuda"})
    store.write(fixtures.profile_record("softmax", environment=gpu))
    table = profile_table(store)
    assert len(table) == 2 * 2 + 3 * 2 + 1
    assert table["hardware"].unique().tolist() == ["AMD EPYC 7R13, 1 thread", "NVIDIA H200"]


def test_a_profile_without_a_measurement_has_no_number(store):
    store.write(
        fixtures.profile_record(
            status="oom",
            reason="killed",
            median_ms=None,
            median_low_ms=None,
            median_high_ms=None,
            peak_bytes=None,
        )
    )
    row = profile_table(store).iloc[0]
    assert np.isnan(row["median_ms"])
    assert (row["status"], row["reason"]) == ("oom", "killed")


def test_too_few_samples_for_an_interval_show_their_range(store):
    slow = {"samples_ms": (1200.0, 1300.0), "median_ms": 1250.0}
    store.write(fixtures.profile_record(**slow, median_low_ms=None, median_high_ms=None, converged=False))
    row = profile_table(store).iloc[0]
    assert (row["low_ms"], row["median_ms"], row["high_ms"]) == (1200.0, 1250.0, 1300.0)


def test_no_records_give_empty_tables(store):
    assert accuracy_table(store).empty
    assert profile_table(store).empty
