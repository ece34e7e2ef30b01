"""Paired differences of two systems, their p-values, and what difference the data could have shown.

    one = difference(ours, softmax)              # both from the same draws (`bench.evidence.bootstrap`)
    one.interval(), one.p, one.detectable()
    adjusted = holm([one.p, other.p])            # of all the differences that are looked at together

With δ the difference of the scores, d its draws and n speakers,

    s = sd(d) · √(n/(n − 1))        p = 2 · P(T_{n−1} > |δ| / s)        interval = δ ± t_{0.975, n−1} · s

a two-sided t-test on the bootstrap's standard error, which says p < 0.05 just where the 95 % interval
excludes zero. Speakers are what is sampled, hence the degrees of freedom; the root makes up for the draws'
variance, which is (n − 1)/n of the speakers'. Counting draws beyond zero instead could give no p below one
over their number, and none at all that survives the adjustment for many pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from bench.evidence.bootstrap import Estimate, Interval


@dataclass(frozen=True)
class Difference:
    """A difference of scores, its standard error (NaN with one speaker) and the speakers behind it."""

    value: float
    error: float
    speakers: int

    @property
    def p(self) -> float:
        """Two-sided p-value of no difference; NaN without a standard error."""
        if np.isnan(self.error):
            return np.nan
        if self.error == 0:
            return 0.0 if self.value else 1.0
        return float(2 * stdtr(self.speakers - 1, -abs(self.value) / self.error))

    def interval(self, level: float = 0.95) -> Interval:
        """The values that a test at 1 − level does not reject."""
        reach = self._quantile((1 + level) / 2) * self.error
        return Interval(self.value, self.value - reach, self.value + reach)

    def detectable(self, power: float = 0.8, level: float = 0.05) -> float:
        """The smallest true difference that one test at `level` finds with this power.

        (t_{1−level/2} + t_power) · s, both of n − 1 degrees of freedom; not adjusted for other tests.
        """
        return (self._quantile(1 - level / 2) + self._quantile(power)) * self.error

    def _quantile(self, probability: float) -> float:
        return float(stdtrit(self.speakers - 1, probability)) if self.speakers > 1 else np.nan


def difference(ours: Estimate, baseline: Estimate) -> Difference:
    """Ours less the baseline's; ValueError where the two do not come from the same draws."""
    if (ours.draws.shape, ours.speakers) != (baseline.draws.shape, baseline.speakers):
        raise ValueError(
            f"unpaired: {len(ours.draws)} draws of {ours.speakers} speakers less "
            f"{len(baseline.draws)} of {baseline.speakers}"
        )
    draws = ours.draws - baseline.draws
    draws = draws[~np.isnan(draws)]
    speakers = ours.speakers
    error = float(draws.std(ddof=1)) * np.sqrt(speakers / (speakers - 1)) if len(draws) > 1 else np.nan
    return Difference(ours.value - baseline.value, float(error), speakers)


def simultaneous(one: Interval, speakers: int, count: int) -> Interval:
    """The 95 % interval of a difference, widened so that `count` of them hold together (Bonferroni).

    Holm's test rejects all that such intervals reject, and may reject more. NaN ends stay NaN.
    """
    if speakers < 2:
        return one
    widening = stdtrit(speakers - 1, 1 - 0.025 / count) / stdtrit(speakers - 1, 0.975)
    reach = (one.high - one.value) * float(widening)
    return Interval(one.value, one.value - reach, one.value + reach)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for all of them being looked at (Holm 1979), in the order given.

    The kth smallest of m is multiplied by m − k + 1, capped at 1, and no smaller than the one before it. NaN
    stays NaN and is not counted.
    """
    values = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted = np.full(len(values), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.tolist()
