"""Predictions become confusion counts by speaker, and damaged ones are refused by name."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from bench.errors import SuiteError
from bench.evidence.confusion import by_speaker

EMOTIONS = ("calm", "angry", "sad")


def predictions(rows=200, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(rows, 3)), columns=[f"logit_{emotion}" for emotion in EMOTIONS])
    return table.assign(speaker=rng.choice(["a", "b", "c"], rows), label=rng.choice(EMOTIONS, rows))


def test_counts_of_each_speaker_are_scikit_learns_confusion_matrix():
    table = predictions()
    counts = by_speaker(table, EMOTIONS, ("a", "b", "c"))
    for matrix, (_, own) in zip(counts, table.groupby("speaker"), strict=True):
        guessed = own[[f"logit_{emotion}" for emotion in EMOTIONS]].idxmax(axis=1).str.removeprefix("logit_")
        np.testing.assert_array_equal(matrix, confusion_matrix(own["label"], guessed, labels=EMOTIONS))


def test_a_speaker_without_utterances_counts_nothing():
    assert by_speaker(predictions(), EMOTIONS, ("a", "b", "c", "d"))[3].sum() == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.drop(columns="logit_sad"), "logit_sad"),
        (lambda t: t.assign(label="bored"), "bored"),
        (lambda t: t.assign(speaker="zoe"), "zoe"),
        (lambda t: t.assign(logit_calm=np.nan), "NaN"),
    ],
)
def test_damaged_predictions_are_refused_by_name(change, named):
    with pytest.raises(SuiteError, match=named):
        by_speaker(change(predictions()), EMOTIONS, ("a", "b", "c"))
