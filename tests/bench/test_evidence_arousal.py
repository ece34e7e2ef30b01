"""Clustering of errors by arousal: 1 under chance, the maximum-likelihood table, and its neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from bench.corpora.label_maps import LABEL_SETS, arousal
from bench.evidence.arousal import clustering, comparable, expected

LEVELS = ("high", "high", "low", "low")  # angry, happy, neutral, sad


def drawn(a, b, errors: int, seed: int = 0) -> np.ndarray:
    """Errors of quasi-independence: cells in proportion to a_i · b_j off the diagonal, hits on it."""
    shares = np.outer(a, b) * (1 - np.eye(len(a)))
    counts = np.random.default_rng(seed).multinomial(errors, (shares / shares.sum()).ravel())
    return counts.reshape(shares.shape) + 50 * np.eye(len(a), dtype=int)


def test_expected_errors_are_the_maximum_likelihood_of_quasi_independence():
    """Against a Poisson regression with row and column effects, by a general optimiser."""
    rng = np.random.default_rng(1)
    errors = rng.integers(1, 40, (5, 5)) * (1 - np.eye(5))
    off = ~np.eye(5, dtype=bool)

    def loss(effects):
        rate = effects[:5, None] + effects[None, 5:]
        return (np.exp(rate) - errors * rate)[off].sum()

    fitted = minimize(loss, np.zeros(10), method="BFGS", options={"gtol": 1e-6}).x
    truth = np.exp(fitted[:5, None] + fitted[None, 5:]) * off
    np.testing.assert_allclose(expected(errors.astype(float)), truth, rtol=1e-4, atol=1e-6)


def test_chance_gives_one_however_unequal_classes_and_guesses_are():
    counts = drawn([8, 1, 3, 1], [1, 6, 1, 2], 200_000)
    assert clustering(LEVELS)(counts) == pytest.approx(1.0, abs=0.01)


def test_more_errors_within_a_level_than_chance_give_more_than_one_and_fewer_less():
    counts = drawn([1, 1, 1, 1], [1, 1, 1, 1], 12_000)
    within, across = counts.copy(), counts.copy()
    within[[0, 1, 2, 3], [1, 0, 3, 2]] *= 3
    across[[0, 1, 2, 3], [1, 0, 3, 2]] //= 3
    assert clustering(LEVELS)(across) < 0.7 < 1.4 < clustering(LEVELS)(within)


def test_two_classes_a_level_with_equal_errors_is_the_share_within_over_a_third():
    errors = np.array([[9, 6, 1, 1], [6, 9, 1, 1], [1, 1, 9, 6], [1, 1, 6, 9]])
    assert clustering(LEVELS)(errors) == pytest.approx((24 / 32) / (1 / 3))


def test_a_class_without_a_level_takes_no_part():
    four = drawn([1, 2, 3, 4], [4, 3, 2, 1], 500)
    five = np.random.default_rng(0).integers(0, 50, (5, 5))
    five[np.ix_([0, 1, 3, 4], [0, 1, 3, 4])] = four
    assert clustering(("high", "high", "", "low", "low"))(five) == pytest.approx(clustering(LEVELS)(four))


def test_all_leading_axes_are_worked_on_at_once():
    many = np.stack([[drawn([1, 2, 1, 1], [2, 1, 1, 1], 300, 3 * i + j) for j in range(3)] for i in range(2)])
    found = clustering(LEVELS)(many)
    assert found.shape == (2, 3)
    each = [clustering(LEVELS)(table) for table in many.reshape(-1, 4, 4)]
    np.testing.assert_allclose(found.ravel(), each, rtol=1e-4)


def test_no_errors_give_no_number():
    assert np.isnan(clustering(LEVELS)(np.eye(4)))


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [
        (LEVELS, True),
        (("high", "high", "low"), True),
        (("high", "low"), False),
        (("high",) * 4, False),
        ((), False),
    ],
)
def test_two_levels_are_needed_one_of_them_with_two_classes(levels, wanted):
    assert comparable(levels) == wanted
    if not wanted:
        with pytest.raises(ValueError, match="two that differ"):
            clustering(levels)


def test_the_four_classes_have_levels_and_spelling_does_not_matter():
    classes = dict.fromkeys(LABEL_SETS["four"].values())
    assert [arousal(name) for name in classes] == ["high", "high", "low", "low"]
    assert (arousal("Anger"), arousal("boredom"), arousal("disgust")) == ("high", "low", "")
