"""The leaderboard's sentence on arousal: of real speech whose classes have levels, of its best system."""

from __future__ import annotations

import re

import numpy as np
import pytest
from report_fixtures import write_runs, write_synthetic

from bench.evidence import confusion
from bench.evidence.arousal import clustering
from bench.evidence.store import Store
from bench.report.arousal import sentence
from bench.report.board import sections_of
from bench.report.tables import accuracy_table, every_profile


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("results"))
    write_runs(store, layouts=("softmax", "retnet"))
    write_synthetic(store)
    return store


def test_the_best_systems_errors_are_spoken_of_where_speech_is_real(store):
    accuracy = accuracy_table(store)
    for section in sections_of(accuracy, every_profile(store)):
        said = [note for note in section.notes if "level of arousal" in note]
        assert len(said) == (not section.synthetic)
        assert all(note.startswith(f"Errors of {section.rows[0].cells['System']} within") for note in said)
    synthetic = accuracy[accuracy["synthetic"]]
    assert synthetic["arousal_clustering"].isna().all()


def test_the_number_is_that_of_all_folds_counts_and_lies_in_its_interval(store):
    row = accuracy_table(store).iloc[0]
    runs = [run for run in store.runs() if run.config.task.corpus == "ravdess"]
    own = [run for run in runs if run.config.system.layout == row["layout"]]
    speakers = sorted({name for run in own for name in store.predictions(run.id)["speaker"]})
    counts = sum(
        confusion.by_speaker(store.predictions(run.id).query("split == 'test'"), run.emotions, speakers).sum(
            0
        )
        for run in own
    )
    levels = {"disgust": "", "calm": "low", "neutral": "low", "sad": "low"}
    expected = clustering([levels.get(emotion, "high") for emotion in own[0].emotions])(counts)
    assert row["arousal_clustering"] == pytest.approx(float(expected))
    assert row["arousal_clustering_low"] < expected < row["arousal_clustering_high"]
    numbers = re.search(r"are (\S+) \[(\S+), (\S+)\] times", sentence(row)).groups()
    names = ("arousal_clustering", "arousal_clustering_low", "arousal_clustering_high")
    assert [float(number) for number in numbers] == pytest.approx([row[name] for name in names], abs=0.005)


def test_where_nothing_is_known_nothing_is_said(store):
    row = accuracy_table(store).iloc[0].copy()
    row["arousal_clustering"] = np.nan
    assert sentence(row) == ""
