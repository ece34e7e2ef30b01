"""Paired differences, their p-values and the adjustment agree with scipy and with the definitions."""

import numpy as np
import pytest
from scipy import stats

from bench.evidence.bootstrap import Estimate, Resample, estimate, speaker_weights
from bench.evidence.differences import Difference, difference, holm
from bench.evidence.metrics import wa


def pair(rng, speakers=24, each=50, gain=0.0):
    """Counts (system, speaker, 2, 2) of two systems on the same equally long speakers."""
    ease = rng.normal(0.5, 0.5, speakers)
    counts = np.zeros((2, speakers, 2, 2))
    for system, shift in enumerate((0.0, gain)):
        skill = 1 / (1 + np.exp(-(ease + shift + rng.normal(0, 0.2, speakers))))
        counts[system, :, 0, 0] = rng.binomial(each, skill)
        counts[system, :, 0, 1] = each - counts[system, :, 0, 0]
    return counts


def estimates(counts, draws=20_000):
    weights = speaker_weights(counts.shape[1], draws)
    return [estimate(wa, Resample.of(system[None], weights)) for system in counts]


@pytest.mark.parametrize("gain", [0.0, 0.15, 0.5])
def test_on_equal_speakers_a_linear_score_gives_the_paired_t_test(gain):
    counts = pair(np.random.default_rng(1), gain=gain)
    base, ours = estimates(counts)
    found = difference(ours, base)
    by_speaker = wa(counts)
    expected = stats.ttest_rel(by_speaker[1], by_speaker[0])
    assert found.value == pytest.approx(expected.statistic * found.error, rel=0.03)
    assert found.p == pytest.approx(expected.pvalue, rel=0.15)
    interval, ends = found.interval(), expected.confidence_interval()
    assert (interval.low, interval.high) == pytest.approx((ends.low, ends.high), abs=0.002)


@pytest.mark.parametrize("value", [-0.03, 0.019, 0.0207, 0.05])
def test_p_is_below_five_percent_just_where_the_95_percent_interval_excludes_zero(value):
    found = Difference(value, error=0.01, speakers=24)
    interval = found.interval()
    assert (found.p < 0.05) == (interval.low > 0 or interval.high < 0)


def test_a_paired_interval_is_narrower_than_an_unpaired_one_for_correlated_systems():
    counts = pair(np.random.default_rng(4))
    base, ours = estimates(counts)
    elsewhere = estimate(wa, Resample.of(counts[:1], speaker_weights(24, 20_000, seed=99)))
    assert difference(ours, base).error < 0.8 * difference(ours, elsewhere).error


def test_a_system_does_not_differ_from_itself():
    one, _ = estimates(pair(np.random.default_rng(5)))
    found = difference(one, one)
    assert (found.value, found.error, found.p) == (0, 0, 1)


def test_a_difference_of_unequal_draws_or_speakers_is_refused():
    counts = pair(np.random.default_rng(5))
    short, long = (estimates(counts, draws)[0] for draws in (10, 20))
    with pytest.raises(ValueError, match="unpaired"):
        difference(short, long)
    with pytest.raises(ValueError, match="unpaired"):
        difference(short, Estimate(0.5, short.draws, speakers=9))


def test_one_speaker_gives_a_difference_without_p_or_interval():
    base, ours = estimates(pair(np.random.default_rng(6), speakers=1))
    found = difference(ours, base)
    assert found.value == pytest.approx(ours.value - base.value)
    assert np.isnan([found.p, found.interval().low, found.detectable()]).all()


@pytest.mark.parametrize("speakers", [8, 24, 237])
def test_a_detectable_difference_is_found_four_times_in_five(speakers):
    found = Difference(0.0, error=0.01, speakers=speakers)
    shifted = stats.nct(speakers - 1, found.detectable() / found.error)
    critical = stats.t.ppf(0.975, speakers - 1)
    assert shifted.sf(critical) + shifted.cdf(-critical) == pytest.approx(0.8, abs=0.015)


def test_holm_adjusts_as_in_rs_p_adjust_and_leaves_what_is_not_known():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = holm([0.4, np.nan, 0.02, 0.6])
    assert [found[0], found[2], found[3]] == pytest.approx([0.8, 0.06, 0.8])
    assert np.isnan(found[1])
    assert holm([]) == []
