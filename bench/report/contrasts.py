"""What one comparison's systems are to each other: differences to a baseline, groups, ranks, spread.

    found = contrasts(estimates, baseline="softmax")      # {key: {"delta": …, "p": …, "rank_group": …}}

`estimates` are of the headline score, of the systems that may be compared, all from the same draws. Each
system is compared with the baseline of its own direction, and the p-values of all these are adjusted
together.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.evidence import ranks
from bench.evidence.bootstrap import Estimate, Resample
from bench.evidence.differences import Difference, difference, holm
from bench.evidence.metrics import Metric
from bench.evidence.spread import spread
from bench.report.comparisons import Key

DIFFERENCES = ("delta", "delta_low", "delta_high", "p", "p_adjusted", "detectable")
RANKS = ("rank_group", "rank_low", "rank_high")
SPREAD = ("sd_speakers", "sd_seeds", "sd_both")


def contrasts(estimates: Mapping[Key, Estimate], baseline: str) -> dict[Key, dict[str, float]]:
    """The columns DIFFERENCES and RANKS of every system; NaN where there is nothing to compare with."""
    ranked = _ranks(estimates)
    compared = _differences(estimates, baseline)
    return {
        key: dict.fromkeys(DIFFERENCES, np.nan) | compared.get(key, {}) | ranked[key] for key in estimates
    }


def _differences(estimates: Mapping[Key, Estimate], baseline: str) -> dict[Key, dict[str, float]]:
    found: dict[Key, Difference] = {
        key: difference(estimates[key], estimates[baseline, key[1]])
        for key in estimates
        if key[0] != baseline and (baseline, key[1]) in estimates
    }
    adjusted = holm([one.p for one in found.values()])
    return {key: _columns(one, p) for (key, one), p in zip(found.items(), adjusted, strict=True)}


def _columns(one: Difference, adjusted: float) -> dict[str, float]:
    interval = one.interval()
    values = (one.value, interval.low, interval.high, one.p, adjusted, one.detectable())
    return dict(zip(DIFFERENCES, values, strict=True))


def _ranks(estimates: Mapping[Key, Estimate]) -> dict[Key, dict[str, float]]:
    if not estimates:
        return {}
    listed = list(estimates.values())
    found = zip(estimates, ranks.groups(listed), ranks.intervals(listed), strict=True)
    return {key: dict(zip(RANKS, (group, *ends), strict=True)) for key, group, ends in found}


def spread_columns(metric: Metric, resample: Resample) -> dict[str, float]:
    """The columns SPREAD of one system (`bench.evidence.spread`)."""
    found = spread(metric, resample)
    return dict(zip(SPREAD, (found.speakers, found.seeds, found.both), strict=True))
