"""CCC from sums is Lin's, its intervals cover the truth, and damaged predictions are refused by name."""

import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.functional.regression import concordance_corrcoef

from bench.errors import SuiteError
from bench.evidence import concordance
from bench.evidence.bootstrap import Resample, estimate, speaker_weights

NAMES = ("arousal", "valence")
SPEAKERS = ("a", "b", "c")


def lin(predicted, truth):
    """CCC by its definition, in float64."""
    x, y = np.asarray(predicted, float), np.asarray(truth, float)
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    return 2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


def predictions(rows=300, seed=0):
    """Ratings from 1 to 7, and predictions that are biased, too narrow and noisy; 10 % of valence unknown."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"speaker": rng.choice(SPEAKERS, rows)})
    for name in NAMES:
        truth = rng.uniform(1, 7, rows)
        table[name] = truth
        table[f"predicted_{name}"] = 2 + 0.6 * truth + rng.normal(0, 0.8, rows)
    table.loc[rng.random(rows) < 0.1, "valence"] = np.nan
    return table


def test_ccc_is_the_definition_of_every_attribute_over_the_utterances_that_are_rated():
    table = predictions()
    found = concordance.ccc(concordance.by_speaker(table, NAMES, SPEAKERS).sum(axis=0))
    for name, value in zip(NAMES, found, strict=True):
        rated = table.dropna(subset=name)
        assert value == pytest.approx(lin(rated[f"predicted_{name}"], rated[name]), abs=1e-12)


def test_ccc_agrees_with_torchmetrics_but_for_its_sample_variance():
    table = predictions(rows=20_000)
    ours = concordance.ccc(concordance.sums(table["predicted_arousal"], table["arousal"]).sum(axis=0))
    theirs = concordance_corrcoef(*(torch.tensor(table[n]) for n in ("predicted_arousal", "arousal")))
    assert float(ours) == pytest.approx(float(theirs), abs=1e-4)


def test_each_speaker_has_sums_of_its_own():
    table = predictions()
    each = concordance.ccc(concordance.by_speaker(table, NAMES, SPEAKERS))
    for values, (_, own) in zip(each, table.groupby("speaker"), strict=True):
        assert values[0] == pytest.approx(lin(own["predicted_arousal"], own["arousal"]), abs=1e-12)


def test_there_is_no_ccc_without_truth_nor_of_one_constant_and_the_mean_is_over_the_others():
    truth = np.array([1.1, 4.2, 6.3])
    cases = [(truth + 0.5, truth), (truth, np.full(3, np.nan)), (np.full(3, 4.1), np.full(3, 4.1))]
    sums = np.stack([concordance.sums(*case).sum(axis=0) for case in cases])
    found = concordance.ccc(sums)
    assert np.isnan(found).tolist() == [False, True, True]
    assert concordance.mean_ccc(sums) == found[0]
    named = concordance.summary(sums, ("arousal", "valence", "dominance"))
    assert named == {"ccc": found[0], "ccc_arousal": found[0]}


def test_a_prediction_that_does_not_vary_has_a_ccc_of_zero():
    assert concordance.ccc(concordance.sums([4.0] * 3, [1.0, 2.0, 6.0]).sum(axis=0)) == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.drop(columns="predicted_valence"), "predicted_valence"),
        (lambda t: t.drop(columns="arousal"), "arousal"),
        (lambda t: t.assign(speaker="zoe"), "zoe"),
        (lambda t: t.assign(predicted_arousal=np.nan), "NaN predicted_arousal in row 0"),
    ],
)
def test_damaged_predictions_are_refused_by_name(change, named):
    with pytest.raises(SuiteError, match=named):
        concordance.by_speaker(change(predictions()), NAMES, SPEAKERS)


def simulated(rng, speakers=30, each=25, seeds=1):
    """Predictions and truth (seed, speaker, utterance); each speaker is rated and heard with a bias."""
    truth = 4 + rng.normal(0, 0.6, (speakers, 1)) + rng.normal(0, 0.8, (speakers, each))
    heard = 0.7 * truth + 1.2 + rng.normal(0, 0.5, (speakers, 1))
    return heard + rng.normal(0, 0.5, (seeds, speakers, each)), np.broadcast_to(truth, (seeds, *truth.shape))


def sums_of(predicted, truth):
    """Sums (seed, speaker, 1, 6) of one attribute."""
    return concordance.sums(predicted, truth).sum(axis=2)[:, :, None]


def test_draws_equal_a_plain_loop_over_drawn_speakers_averaged_over_seeds():
    predicted, truth = simulated(np.random.default_rng(2), speakers=6, seeds=2)
    weights = speaker_weights(6, draws=20)
    draws = estimate(concordance.ccc_of(0), Resample.of(sums_of(predicted, truth), weights)).draws
    for weight, draw in zip(weights, draws, strict=True):
        drawn = np.repeat(np.arange(6), weight)
        scores = [lin(x[drawn].ravel(), y[drawn].ravel()) for x, y in zip(predicted, truth, strict=True)]
        assert draw == pytest.approx(np.mean(scores), abs=1e-12)


def test_nominal_intervals_cover_the_truth():
    rng = np.random.default_rng(3)
    population = lin(*(values.ravel() for values in simulated(rng, speakers=20_000)))
    weights, covered, runs = speaker_weights(40, draws=500), 0, 200
    for _ in range(runs):
        sums = sums_of(*simulated(rng, speakers=40))
        interval = estimate(concordance.mean_ccc, Resample.of(sums, weights)).interval()
        covered += interval.low <= population <= interval.high
    assert 0.88 <= covered / runs <= 0.99
