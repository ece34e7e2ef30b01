"""Systems that cannot be told apart share a group, and ranks move as the draws do."""

import numpy as np
import pytest
from scipy import stats

from bench.evidence import ranks
from bench.evidence.bootstrap import Estimate, speaker_weights

SPEAKERS = 24


def systems(means, own=0.05, shared=0.1, seed=0, draws=800):
    """Estimates of systems whose score is the mean over speakers of `means` plus noise shared and own."""
    rng = np.random.default_rng(seed)
    scores = (
        np.asarray(means) + rng.normal(0, shared, (SPEAKERS, 1)) + rng.normal(0, own, (SPEAKERS, len(means)))
    )
    drawn = speaker_weights(SPEAKERS, draws, seed=1) @ scores / SPEAKERS
    return [Estimate(float(scores[:, i].mean()), drawn[:, i], SPEAKERS) for i in range(len(means))]


def test_far_systems_are_in_groups_of_their_own_and_near_ones_share_the_leaders():
    assert ranks.groups(systems([0.3, 0.6, 0.45, 0.601])) == [3, 1, 2, 1]


def test_a_noisy_system_joins_the_leader_past_a_better_one_that_is_known_well():
    leader, near, noisy = systems([0.6, 0.5, 0.5])
    noisy = Estimate(0.4, 0.4 + 40 * (noisy.draws - noisy.draws.mean()), SPEAKERS)
    assert ranks.groups([leader, near, noisy]) == [1, 2, 1]


def test_alike_systems_are_separated_in_at_most_five_percent_of_studies():
    studies = [ranks.groups(systems([0.5] * 6, seed=seed, draws=300)) for seed in range(400)]
    assert np.mean([max(found) > 1 for found in studies]) <= 0.075


def test_one_speaker_tells_nothing_apart():
    alone = [Estimate(value, np.empty(0), 1) for value in (0.9, 0.1)]
    assert ranks.groups(alone) == [1, 1]
    assert np.isnan(ranks.intervals(alone)).all()


def test_rank_intervals_hold_95_percent_of_the_ranks_of_the_draws():
    found = systems([0.50, 0.51, 0.52, 0.40])
    drawn = stats.rankdata([-estimate.draws for estimate in found], method="min", axis=0)
    for (low, high), own in zip(ranks.intervals(found), drawn, strict=True):
        assert np.mean((low <= own) & (own <= high)) >= 0.95
        assert np.mean(own < low) <= 0.025
        assert np.mean(own > high) <= 0.025
    assert ranks.intervals(found)[3] == (4, 4)


def test_draws_in_which_a_system_has_no_score_are_left_out():
    best, worst = systems([0.6, 0.3])
    holes = np.where(np.arange(len(best.draws)) % 2, best.draws, np.nan)
    assert ranks.intervals([Estimate(best.value, holes, SPEAKERS), worst]) == [(1, 1), (2, 2)]


@pytest.mark.parametrize("count", [0, 1])
def test_none_or_one_system_is_ranked_too(count):
    assert ranks.groups(systems([0.5] * count)) == [1] * count
