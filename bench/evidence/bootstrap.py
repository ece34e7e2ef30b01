"""Speaker-clustered bootstrap: how far a score would move with other speakers.

Utterances of one speaker stand or fall together, so whole speakers are drawn with replacement
(one stage; Davison and Hinkley 1997, §3.8), not utterances. A draw gives each speaker a multinomial
weight; what is summed over utterances (confusion counts, the sums of a concordance) times weights, summed
over speakers, is the draw's.

    weights = speaker_weights(speakers=24)            # the same draws for every system: pairs them
    ours = estimate(uar, Resample.of(counts, weights))
    base = estimate(uar, Resample.of(softmax_counts, weights))
    ours.interval(), (ours - base).interval()

With several seeds the metric is taken seed by seed on the pooled counts and averaged. The interval is
thus about the choice of speakers, not about retraining. Counts are whole numbers, exact in float64, so
their scores do not depend on the order of summation and repeat to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.evidence.metrics import Counts, Metric

DRAWS = 10_000
Weights = npt.NDArray[np.int64]  # (draw, speaker)


@dataclass(frozen=True)
class Interval:
    """A value and its percentile interval; the ends are NaN where there is none."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether both ends lie on the same side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Estimate:
    """A score and its bootstrap draws, (draw,)."""

    value: float
    draws: npt.NDArray[np.float64]

    def __sub__(self, baseline: Estimate) -> Estimate:
        """The paired difference; both must come from the same weights."""
        if self.draws.shape != baseline.draws.shape:
            raise ValueError(f"unpaired: {len(self.draws)} draws less {len(baseline.draws)}")
        return Estimate(self.value - baseline.value, self.draws - baseline.draws)

    def interval(self, level: float = 0.95) -> Interval:
        """Percentile interval. Draws without a score (a class that none of the drawn has) are left out."""
        draws = self.draws[~np.isnan(self.draws)]
        if not len(draws):
            return Interval(self.value, np.nan, np.nan)
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        return Interval(self.value, float(low), float(high))


@dataclass(frozen=True)
class Resample:
    """Pooled statistics of a system: `point` (seed, …) and `draws` (draw, seed, …).

    The last axes are those of one speaker's: (C, C) confusion counts, (A, 6) sums.
    """

    point: npt.NDArray[np.float64]
    draws: npt.NDArray[np.float64]

    @classmethod
    def of(cls, statistics: Counts, weights: Weights) -> Resample:
        """From statistics (seed, speaker, …) and weights (draw, speaker)."""
        exact = np.asarray(statistics, dtype=np.float64)
        seeds, speakers, *shape = exact.shape
        if weights.shape[1] != speakers:
            raise ValueError(f"weights for {weights.shape[1]} speakers, statistics of {speakers}")
        columns = np.moveaxis(exact, 1, 0).reshape(speakers, -1)
        drawn = weights.astype(np.float64) @ columns
        return cls(exact.sum(axis=1), drawn.reshape(len(weights), seeds, *shape))


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
    return Estimate(float(metric(resample.point).mean()), metric(resample.draws).mean(axis=-1))
