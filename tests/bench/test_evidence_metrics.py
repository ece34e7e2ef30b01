"""Scores from confusion counts agree with scikit-learn, whatever classes are present."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, recall_score

from bench.evidence import metrics

CLASSES = 5
labels = st.integers(0, CLASSES - 1)
utterances = st.lists(st.tuples(labels, labels), min_size=1, max_size=60)


def counts_of(pairs):
    reference, predicted = zip(*pairs, strict=True)
    return confusion_matrix(reference, predicted, labels=range(CLASSES)), reference, predicted


@settings(deadline=None)
@given(utterances)
def test_uar_is_scikit_learns_macro_recall_over_the_classes_present(pairs):
    counts, reference, predicted = counts_of(pairs)
    expected = recall_score(reference, predicted, labels=sorted(set(reference)), average="macro")
    assert metrics.uar(counts) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(utterances)
def test_macro_f1_is_scikit_learns(pairs):
    counts, reference, predicted = counts_of(pairs)
    expected = f1_score(reference, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(counts) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(utterances)
def test_weighted_accuracy_is_scikit_learns_accuracy(pairs):
    counts, reference, predicted = counts_of(pairs)
    assert metrics.wa(counts) == pytest.approx(accuracy_score(reference, predicted), abs=1e-12)


@settings(deadline=None)
@given(utterances)
def test_recall_by_class_is_scikit_learns_and_nan_for_an_absent_class(pairs):
    counts, reference, predicted = counts_of(pairs)
    expected = recall_score(reference, predicted, labels=range(CLASSES), average=None, zero_division=np.nan)
    np.testing.assert_allclose(metrics.recalls(counts), expected, atol=1e-12)
    np.testing.assert_allclose([metrics.recall_of(c)(counts) for c in range(CLASSES)], expected, atol=1e-12)


def test_leading_axes_are_scored_one_by_one():
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, CLASSES, size=(3, 4, 40, 2))
    counts = np.array([[confusion_matrix(*draw.T, labels=range(CLASSES)) for draw in row] for row in pairs])
    expected = [[balanced_accuracy_score(draw[:, 0], draw[:, 1]) for draw in row] for row in pairs]
    np.testing.assert_allclose(metrics.uar(counts), expected)


@pytest.mark.parametrize("metric", metrics.METRICS.values())
def test_no_utterances_have_no_score(metric):
    assert np.isnan(metric(np.zeros((CLASSES, CLASSES), dtype=int)))
