"""The speaker bootstrap covers the truth and equals a plain loop."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

from bench.evidence.bootstrap import Estimate, Interval, Resample, estimate, expanded_tail, speaker_weights
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


def studies(rng, runs, speakers):
    """Confusion counts (run, speaker, 3, 3) of many studies: unequal speakers in size, skill and classes."""
    size = rng.integers(10, 81, (runs, speakers))
    skill = 1 / (1 + np.exp(-rng.normal(0.5, 0.6, (runs, speakers))))
    reference = rng.multinomial(size, rng.dirichlet([4, 3, 2], (runs, speakers)))
    right = rng.binomial(reference, skill[..., None])
    next_class = rng.binomial(reference - right, 0.5)
    counts = np.zeros((runs, speakers, 3, 3))
    for k in range(3):
        counts[..., k, k] = right[..., k]
        counts[..., k, (k + 1) % 3] = next_class[..., k]
        counts[..., k, (k + 2) % 3] = (reference - right - next_class)[..., k]
    return counts


def coverage(metrics, speakers, runs, interval=Estimate.interval):
    """Share of simulated studies whose interval holds the metric of 200,000 speakers, for each metric."""
    population = studies(np.random.default_rng(9), 1, 200_000).sum(axis=(0, 1))
    counts = studies(np.random.default_rng(speakers), runs, speakers)
    weights = speaker_weights(speakers, draws=800).astype(np.float64)
    covered = np.zeros(len(metrics))
    for study in counts:
        drawn = (weights @ study.reshape(speakers, -1)).reshape(-1, 3, 3)
        for place, metric in enumerate(metrics):
            found = interval(Estimate(float(metric(study.sum(axis=0))), metric(drawn), speakers))
            covered[place] += found.low <= metric(population) <= found.high
    return covered / runs


@pytest.mark.parametrize("speakers", [24, 60])
def test_nominal_95_percent_intervals_cover_93_to_97_with_unequal_speakers(speakers):
    covered = coverage([uar, macro_f1, wa], speakers, runs=4000)
    assert (covered >= 0.93).all()
    assert (covered <= 0.97).all()


def test_plain_percentiles_of_few_speakers_cover_less():
    def plain(estimate):
        return Interval(estimate.value, *np.quantile(estimate.draws, [0.025, 0.975]))

    assert coverage([uar], 12, 1000, plain) < 0.905 < 0.915 < coverage([uar], 12, 1000)


def test_intervals_over_utterances_do_not_cover():
    rng = np.random.default_rng(3)
    truth = wa(studies(rng, 1, 200_000).sum(axis=(0, 1)))
    pooled = studies(rng, 500, 40).sum(axis=1)
    share, total = wa(pooled), pooled.sum(axis=(1, 2))
    half = 1.96 * np.sqrt(share * (1 - share) / total)
    assert (np.abs(share - truth) <= half).mean() < 0.75


def test_an_interval_leaves_out_hesterbergs_share_of_the_draws():
    for speakers in (2, 10, 24, 1000):
        quantile = stats.t.ppf(0.975, speakers - 1) * np.sqrt(speakers / (speakers - 1))
        assert expanded_tail(speakers) == pytest.approx(stats.norm.cdf(-quantile))
    draws = np.random.default_rng(0).normal(size=50_000)
    interval = Estimate(0.0, draws, speakers=10).interval()
    assert np.mean(draws < interval.low) == pytest.approx(expanded_tail(10), abs=1e-4)


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
