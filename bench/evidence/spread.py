"""How far a score moves with other speakers, and how far with another training: variance components.

    found = spread(uar, Resample.of(counts, weights))
    found.speakers, found.seeds, found.both           # standard deviations, in units of the score

A seed's score on a sample of speakers is read as μ + a(seed) + b(speakers) + c(seed, speakers). Over the
draws b and c vary and a does not, so of S seeds

    var of a seed's draws, on average             = V_b + V_c
    var of the draws averaged over seeds          = V_b + V_c / S
    var over seeds of the scores themselves       = V_a + V_c

are three equations for three components (the method of moments). The variances of draws of n speakers are
taken times n/(n − 1); a component below zero is zero. With one seed a and c cannot be known, and all that the
draws show is given to the speakers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.evidence.bootstrap import Resample
from bench.evidence.metrics import Metric


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a score: by the choice of speakers, by the seed, and by the two together."""

    speakers: float
    seeds: float
    both: float


def spread(metric: Metric, resample: Resample) -> Spread:
    """The components of one system's score; NaN where there is one speaker, or (seeds, both) one seed."""
    draws = metric(resample.draws)  # (draw, seed)
    draws = draws[~np.isnan(draws).any(axis=1)]
    seeds = draws.shape[1]
    if len(draws) < 2:
        return Spread(np.nan, np.nan, np.nan)
    share = resample.speakers / (resample.speakers - 1)
    pooled = share * draws.mean(axis=1).var(ddof=1)
    if seeds == 1:
        return Spread(_root(pooled), np.nan, np.nan)
    each = share * draws.var(axis=0, ddof=1).mean()
    both = max((each - pooled) * seeds / (seeds - 1), 0.0)
    between = metric(resample.point).var(ddof=1) - both
    return Spread(_root(pooled - both / seeds), _root(between), _root(both))


def _root(variance: npt.ArrayLike) -> float:
    return float(np.sqrt(np.maximum(variance, 0.0)))
