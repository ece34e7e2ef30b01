"""Speaker-clustered bootstrap: how far a score would move with other speakers.

Utterances of one speaker stand or fall together, so whole speakers are drawn with replacement
(one stage; Davison and Hinkley 1997, §3.8), not utterances. A draw gives each speaker a multinomial
weight; what is summed over utterances (confusion counts, the sums of a concordance) times weights, summed
over speakers, is the draw's.

    weights = speaker_weights(speakers=24)            # the same draws for every system: pairs them
    ours = estimate(uar, Resample.of(counts, weights))
    ours.interval()

With several seeds the metric is taken seed by seed on the pooled counts and averaged. The interval is
thus about the choice of speakers, not about retraining (`bench.evidence.spread` sets the two apart). Counts
are whole numbers, exact in float64, so their scores do not depend on the order of summation and repeat to the
last bit.

Percentiles of draws from n speakers are too narrow for small n: a draw varies by (n − 1)/n of what it should,
and normal tails stand for those of Student's t. So the interval goes to wider percentiles, expanded to

    α = Φ(−√(n/(n − 1)) · t_{0.975, n−1})             Hesterberg 2015, The American Statistician 69(4)

each side, 2.2 % for 100 speakers, 1.6 % for 24, 0.9 % for 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from bench.evidence.metrics import Counts, Metric

DRAWS = 10_000
Weights = npt.NDArray[np.int64]  # (draw, speaker)


@dataclass(frozen=True)
class Interval:
    """A value and its percentile interval; the ends are NaN where there is none."""

    value: float
    low: float
    high: float

    def columns(self, name: str) -> dict[str, float]:
        """The columns `name`, `name`_low and `name`_high of a table."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


UNKNOWN = Interval(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Estimate:
    """A score, its bootstrap draws, (draw,), and how many speakers these were drawn from."""

    value: float
    draws: npt.NDArray[np.float64]
    speakers: int

    def interval(self, level: float = 0.95) -> Interval:
        """Expanded percentiles. Draws without a score (a class that none of the drawn has) are left out."""
        draws = self.draws[~np.isnan(self.draws)]
        if not len(draws):
            return Interval(self.value, np.nan, np.nan)
        tail = expanded_tail(self.speakers, level)
        low, high = np.quantile(draws, [tail, 1 - tail])
        return Interval(self.value, float(low), float(high))


def expanded_tail(speakers: int, level: float = 0.95) -> float:
    """The share of draws to leave out on each side for an interval of this level; two speakers or more."""
    reach = stdtrit(speakers - 1, (1 + level) / 2) * np.sqrt(speakers / (speakers - 1))
    return float(ndtr(-reach))


@dataclass(frozen=True)
class Resample:
    """Pooled statistics of a system: `point` (seed, …) and `draws` (draw, seed, …).

    The last axes are those of one speaker's: (C, C) confusion counts, (A, 6) sums.
    """

    point: npt.NDArray[np.float64]
    draws: npt.NDArray[np.float64]
    speakers: int

    @classmethod
    def of(cls, statistics: Counts, weights: Weights) -> Resample:
        """From statistics (seed, speaker, …) and weights (draw, speaker)."""
        exact = np.asarray(statistics, dtype=np.float64)
        seeds, speakers, *shape = exact.shape
        if weights.shape[1] != speakers:
            raise ValueError(f"weights for {weights.shape[1]} speakers, statistics of {speakers}")
        columns = np.moveaxis(exact, 1, 0).reshape(speakers, -1)
        drawn = columns.T @ weights.T.astype(np.float64)  # draws lie side by side: metrics run along them
        shaped = drawn.reshape(seeds, *shape, len(weights))
        return cls(exact.sum(axis=1), np.moveaxis(shaped, -1, 0), speakers)


def speaker_weights(speakers: int, draws: int = DRAWS, seed: int = 0) -> Weights:
    """How often each speaker is drawn, int64 (draws, speakers); each row sums to `speakers`.

    One speaker alone tells nothing about others: no draws, hence no interval.
    """
    if speakers < 2:
        return np.empty((0, speakers), dtype=np.int64)
    rng = np.random.default_rng(seed)
    return rng.multinomial(speakers, np.full(speakers, 1 / speakers), size=draws)


def estimate(metric: Metric, resample: Resample) -> Estimate:
    """Score of a system: the metric of each seed's pooled statistics, averaged over seeds."""
    draws = metric(resample.draws).mean(axis=-1)
    return Estimate(float(metric(resample.point).mean()), draws, resample.speakers)
