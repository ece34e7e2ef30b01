"""The leaderboard says what the data say, and keeps synthetic corpora apart."""

import io

import pandas as pd
import pytest
import report_fixtures as fixtures

from bench.evidence.store import Store
from bench.report import data_files, findings, leaderboard
from bench.report.tables import accuracy_table, profile_table


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Eight systems on RAVDESS, two on the synthetic corpus, profiles on one CPU."""
    store = Store(tmp_path_factory.mktemp("results"))
    fixtures.write_runs(store)
    fixtures.write_synthetic(store)
    fixtures.write_profiles(store)
    return accuracy_table(store), profile_table(store)


def ranked(*systems):
    """Rows of a comparison, given as (layout, uar, delta, low, high, adjusted p), best first."""
    names = ["layout", "uar", "delta", "delta_low", "delta_high", "p_adjusted"]
    table = pd.DataFrame(systems, columns=names)
    table["emotions"] = [("calm", "angry")] * len(table)
    same = {"direction": "bidirectional", "comparable": True, "baseline": "softmax"}
    return table.assign(name=table["layout"].str.upper(), **same)


NONES = [float("nan")] * 4


def test_a_lead_that_is_not_significant_once_adjusted_is_no_lead():
    text = findings.accuracy(ranked(("fox", 0.60, 0.02, 0.001, 0.04, 0.06), ("softmax", 0.58, *NONES)))
    assert text == (
        "FOX scores highest, 60.0 % UAR, but cannot be told apart from softmax "
        "(+2.0 points, 95 % interval +0.1 to +4.0, adjusted p 0.060)."
    )


def test_a_lead_that_is_significant_once_adjusted_is_stated():
    text = findings.accuracy(ranked(("fox", 0.60, 0.03, 0.01, 0.05, 0.012), ("softmax", 0.57, *NONES)))
    assert "beats softmax by 3.0 points (95 % interval +1.0 to +5.0, adjusted p 0.012)" in text


def test_softmax_in_front_names_those_that_cannot_be_told_apart_from_it():
    text = findings.accuracy(
        ranked(
            ("softmax", 0.60, *NONES),
            ("fox", 0.59, -0.01, -0.03, 0.01, 0.7),
            ("kda", 0.58, -0.02, -0.05, 0.02, 0.6),
            ("gsa", 0.50, -0.10, -0.12, -0.08, 0.001),
        )
    )
    assert text == "No system beats SOFTMAX, 60.0 % UAR; FOX and KDA cannot be told apart from it."


def test_without_softmax_no_comparison_is_claimed():
    assert "no comparable softmax" in findings.accuracy(ranked(("fox", 0.60, *NONES)))


def test_nothing_complete_is_said_plainly():
    rows = ranked(("fox", 0.60, *NONES)).assign(comparable=False)
    assert findings.accuracy(rows) == "No system has been scored on every fold yet."


def test_every_system_has_a_row_and_the_best_comes_first(full):
    section = leaderboard.markdown(*full).split("## Synthetic")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and "×" in line.split("|")[-2]][1:]
    assert len(rows) == 8
    real = full[0][~full[0]["synthetic"]]
    best = real.loc[real["uar"].idxmax(), "name"]
    assert rows[0].startswith(f"| 1 | {best} | bidirectional | 412 |")


def test_synthetic_corpora_stand_last_under_their_own_heading(full):
    text = leaderboard.markdown(*full)
    real, synthetic = text.split("## Synthetic corpus (smoke test, not a result)\n")
    assert "RAVDESS" in real
    assert "Synthetic speech" not in real
    assert "### Synthetic speech" in synthetic
    assert "RAVDESS" not in synthetic


def test_chance_level_hardware_and_scope_are_stated(full):
    text = leaderboard.markdown(*full)
    assert "8 emotions, so chance is 12.5 % UAR" in text
    assert "1,440 test utterances, 24 speakers, 5 folds × 1 seed" in text
    assert "Latency and memory: AMD EPYC 7R13, 1 thread." in text


def test_costs_come_from_profiles_of_the_same_encoder_alone(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ["softmax"])
    other = fixtures.Encoder(d_model=32)
    store.write(fixtures.profile_record("softmax", "encoder", 10.0, encoder=other, median_ms=777.0))
    store.write(fixtures.profile_record("softmax", "mixer", 10.0, median_ms=888.0))
    text = leaderboard.markdown(accuracy_table(store), profile_table(store))
    assert "777" not in text
    assert "888" not in text
    store.write(fixtures.profile_record("softmax", "encoder", 10.0, median_ms=999.0))
    assert "| 999 ms |" in leaderboard.markdown(accuracy_table(store), profile_table(store))


def test_failed_cells_and_incomplete_systems_are_shown_with_their_reasons(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ["softmax"])
    fixtures.write_runs(store, ["retnet"], folds=(0, 2))
    cell = fixtures.ravdess_cell("kda", 1)
    store.write(fixtures.run_record(cell, status="failed", reason="disk | full"))
    text = leaderboard.markdown(accuracy_table(store), profile_table(store))
    assert "incomplete: folds 0, 2 of 5" in text
    assert "- KDA: fold 1, seed 0: failed: disk | full" in text
    unplaced = [line for line in text.splitlines() if "RetNet" in line or "| KDA" in line]
    assert all(line.startswith("|  |") for line in unplaced)


def test_csv_holds_the_same_rows_as_fractions_milliseconds_and_bytes(full):
    accuracy, profiles = full
    table = pd.read_csv(io.StringIO(data_files.csv(accuracy, profiles)))
    assert len(table) == len(accuracy) == 10
    assert table["uar"].tolist() == pytest.approx(accuracy["uar"].tolist(), rel=1e-5)
    softmax = profiles.query("layout == 'softmax' and target == 'encoder'").set_index("seconds")
    row = table[(table["layout"] == "softmax") & ~table["synthetic"]].iloc[0]
    assert row["latency_10s_ms_1"] == pytest.approx(softmax.at[10.0, "median_ms"], rel=1e-5)
    assert row["memory_60s_bytes_1"] == pytest.approx(softmax.at[60.0, "peak_bytes"], rel=1e-5)


def curve(layout, *milliseconds, spread=0.01):
    rows = zip((1.0, 10.0, 60.0), milliseconds, strict=True)
    return [
        {
            "layout": layout,
            "name": layout,
            "direction": "bidirectional",
            "target": "encoder",
            "status": "ok",
            "seconds": seconds,
            "median_ms": ms,
            "low_ms": ms * (1 - spread),
            "high_ms": ms * (1 + spread),
            "peak_bytes": ms * 1e6,
        }
        for seconds, ms in rows
    ]


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ((2, 20, 30), "Softmax is not beaten below 1 min, where gsa is 2× as fast."),
        ((2, 5, 30), "Softmax is not beaten below 10 s; at 1 min gsa is 2× as fast."),
        ((0.5, 5, 30), "At 1 min of speech gsa is fastest: 2× as fast as softmax."),
        ((2, 20, 90), "At 1 min of speech no encoder is faster than softmax."),
        ((2, 20, 59.5), "At 1 min of speech no encoder is faster than softmax."),
    ],
)
def test_the_latency_finding_names_the_crossover_outside_the_intervals(other, sentence):
    profiles = pd.DataFrame(curve("softmax", 1, 10, 60) + curve("gsa", *other))
    assert findings.cost(profiles, findings.LATENCY) == sentence


def test_the_memory_finding_compares_with_softmax():
    profiles = pd.DataFrame(curve("softmax", 1, 10, 60) + curve("gsa", 2, 5, 20))
    expected = "At 1 min of speech gsa needs the least memory; softmax needs 3× as much."
    assert findings.cost(profiles, findings.MEMORY) == expected
