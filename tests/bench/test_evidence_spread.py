"""The spread between seeds is told from that between speakers, on data made with known components."""

import numpy as np

from bench.evidence.bootstrap import Resample, speaker_weights
from bench.evidence.spread import spread


def mean_score(statistics):
    """A linear metric: sum over count, of statistics (…, 2)."""
    return statistics[..., 0] / statistics[..., 1]


def resample(rng, seeds, speakers, seed_sd, speaker_sd, both_sd):
    """Speakers of one utterance each whose score is μ + a(seed) + b(speaker) + c(seed, speaker)."""
    scores = 0.5 + rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, speaker_sd, (1, speakers))
    scores = scores + rng.normal(0, both_sd, (seeds, speakers))
    statistics = np.stack([scores, np.ones_like(scores)], axis=-1)
    return Resample.of(statistics, speaker_weights(speakers, draws=400))


def test_known_components_are_found_on_average():
    rng, speakers = np.random.default_rng(0), 30
    found = [
        spread(mean_score, resample(rng, 4, speakers, seed_sd=0.02, speaker_sd=0.1, both_sd=0.08))
        for _ in range(150)
    ]
    variances = {
        name: np.mean([getattr(one, name) ** 2 for one in found]) for name in ("speakers", "seeds", "both")
    }
    np.testing.assert_allclose(variances["speakers"], 0.1**2 / speakers, rtol=0.1)
    np.testing.assert_allclose(variances["both"], 0.08**2 / speakers, rtol=0.1)
    np.testing.assert_allclose(variances["seeds"], 0.02**2, rtol=0.2)


def test_seeds_that_agree_have_no_spread_between_them():
    found = spread(mean_score, resample(np.random.default_rng(1), 3, 40, 0.0, 0.1, 0.0))
    assert found.seeds < 1e-8
    assert found.both < 1e-8
    assert found.speakers > 0.01


def test_with_one_seed_all_that_is_seen_is_the_speakers():
    drawn = resample(np.random.default_rng(2), 1, 40, 0.05, 0.1, 0.02)
    found = spread(mean_score, drawn)
    expected = mean_score(drawn.draws)[:, 0].std(ddof=1) * np.sqrt(40 / 39)
    np.testing.assert_allclose(found.speakers, expected)
    assert np.isnan([found.seeds, found.both]).all()


def test_one_speaker_has_no_spread():
    found = spread(mean_score, resample(np.random.default_rng(3), 2, 1, 0.05, 0.1, 0.02))
    assert np.isnan([found.speakers, found.seeds, found.both]).all()
