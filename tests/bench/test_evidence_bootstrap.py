"""The speaker bootstrap covers the truth, pairs systems, and equals a plain loop."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

from bench.evidence.bootstrap import Resample, estimate, speaker_weights
from bench.evidence.metrics import macro_f1, recall_of, uar, wa


def simulated(rng, seeds=1, speakers=30, classes=3, sizes=(5, 40), spread=0.6):
    """Confusion counts (seed, speaker, C, C): accuracy varies from speaker to speaker."""
    counts = np.zeros((seeds, speakers, classes, classes), dtype=np.int64)
    for speaker in range(speakers):
        chance_right = 1 / (1 + np.exp(-rng.normal(0.4, spread)))
        wrong = (1 - chance_right) / (classes - 1)
        confusion = np.full((classes, classes), wrong) + np.eye(classes) * (chance_right - wrong)
        per_class = rng.integers(*sizes)
        for seed in range(seeds):
            counts[seed, speaker] = [rng.multinomial(per_class, row) for row in confusion]
    return counts


def as_labels(matrix):
    """Reference and prediction lists with these confusion counts."""
    pairs = [(i, j) for (i, j), n in np.ndenumerate(matrix) for _ in range(n)]
    return zip(*pairs, strict=True)


def test_point_values_are_the_mean_over_seeds_of_scikit_learns_pooled_scores():
    counts = simulated(np.random.default_rng(1), seeds=3)
    resample = Resample.of(counts, speaker_weights(30, draws=10))
    pooled = [list(as_labels(matrix)) for matrix in counts.sum(axis=1)]
    expected_uar = np.mean([balanced_accuracy_score(*lists) for lists in pooled])
    expected_f1 = np.mean([f1_score(*lists, average="macro") for lists in pooled])
    assert estimate(uar, resample).value == pytest.approx(expected_uar)
    assert estimate(macro_f1, resample).value == pytest.approx(expected_f1)


def test_draws_equal_a_plain_loop_over_drawn_speakers():
    counts = simulated(np.random.default_rng(2), seeds=2, speakers=6)
    weights = speaker_weights(6, draws=20)
    draws = estimate(uar, Resample.of(counts, weights)).draws
    for weight, draw in zip(weights, draws, strict=True):
        drawn = [speaker for speaker, times in enumerate(weight) for _ in range(times)]
        assert len(drawn) == 6
        scores = []
        for seed in range(2):
            lists = [
                np.concatenate(parts)
                for parts in zip(*(as_labels(counts[seed, s]) for s in drawn), strict=True)
            ]
            assert confusion_matrix(*lists).sum() == len(lists[0])
            scores.append(balanced_accuracy_score(*lists))
        assert draw == pytest.approx(np.mean(scores))


def test_nominal_intervals_cover_the_truth_and_those_over_utterances_do_not():
    rng = np.random.default_rng(3)
    logits = rng.normal(0.4, 0.6, size=400_000)
    truth = (1 / (1 + np.exp(-logits))).mean()  # classes and speakers are exchangeable: expected UAR
    weights = speaker_weights(40, draws=800)
    clustered, independent, runs = 0, 0, 300
    for _ in range(runs):
        counts = simulated(rng, speakers=40, sizes=(20, 21))
        interval = estimate(uar, Resample.of(counts, weights)).interval()
        clustered += interval.low <= truth <= interval.high
        share, total = interval.value, 3 * 20 * 40
        half = 1.96 * np.sqrt(share * (1 - share) / total)
        independent += share - half <= truth <= share + half
    assert 0.90 <= clustered / runs <= 0.985
    assert independent / runs < 0.85


def test_a_paired_interval_is_narrower_than_an_unpaired_one_for_correlated_systems():
    rng = np.random.default_rng(4)
    both = simulated(rng, seeds=2, speakers=25)
    weights = speaker_weights(25, draws=4000)
    one, other = (estimate(uar, Resample.of(both[[seed]], weights)) for seed in range(2))
    elsewhere = estimate(uar, Resample.of(both[[1]], speaker_weights(25, draws=4000, seed=99)))
    paired, unpaired = (one - other).interval(), (one - elsewhere).interval()
    assert paired.high - paired.low < 0.6 * (unpaired.high - unpaired.low)
    assert paired.value == unpaired.value == pytest.approx(one.value - other.value)


def test_a_system_does_not_differ_from_itself():
    resample = Resample.of(simulated(np.random.default_rng(5)), speaker_weights(30, draws=100))
    same = (estimate(uar, resample) - estimate(uar, resample)).interval()
    assert (same.low, same.value, same.high) == (0, 0, 0)
    assert not same.excludes_zero


def test_a_difference_of_unequal_draws_is_refused():
    counts = simulated(np.random.default_rng(5))
    short, long = (estimate(uar, Resample.of(counts, speaker_weights(30, draws=n))) for n in (10, 20))
    with pytest.raises(ValueError, match="unpaired"):
        short - long


def test_draws_repeat_bit_for_bit_and_weigh_every_draw_alike():
    first, second = speaker_weights(24), speaker_weights(24)
    np.testing.assert_array_equal(first, second)
    assert first.shape == (10_000, 24)
    assert (first.sum(axis=1) == 24).all()
    np.testing.assert_allclose(first.mean(axis=0), 1, atol=0.05)


def test_one_speaker_gives_a_value_but_no_interval():
    counts = simulated(np.random.default_rng(6), speakers=1)
    interval = estimate(wa, Resample.of(counts, speaker_weights(1))).interval()
    assert interval.value == pytest.approx(np.trace(counts[0, 0]) / counts.sum())
    assert np.isnan([interval.low, interval.high]).all()


def test_draws_without_a_class_are_left_out_of_its_interval():
    counts = np.zeros((1, 3, 2, 2), dtype=np.int64)
    counts[0, :, 0, 0] = 4
    counts[0, 2, 1] = (1, 3)  # class 1 stands with speaker 2 alone
    interval = estimate(recall_of(1), Resample.of(counts, speaker_weights(3, draws=200))).interval()
    assert (interval.low, interval.value, interval.high) == (0.75, 0.75, 0.75)
