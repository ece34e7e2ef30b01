"""Do errors cluster by arousal: is anger taken for joy more often than for sadness, beyond chance?

    found = estimate(clustering(levels), resample(counts))     # levels: of each class, "high", "low" or ""
    found.value, found.interval()                              # 1: as chance would have it

The statistic is the number of errors within a level (a class taken for another of its own level) over the
number that chance would put there, pooled over classes; classes without a level take no part. Chance is
quasi-independence (Goodman 1968, JASA 63): a model of the errors alone in which what a class is taken for
does not depend on the class, with every class missed, and guessed in error, as often as it was,

    E_ij = a_i · b_j (i ≠ j), E_ii = 0;  Σ_j E_ij = errors of class i;  Σ_i E_ij = guesses j in error

so that neither a class that is hard nor one that is guessed too often looks like a cluster. E is fitted by
iterative proportional scaling (Deming and Stephan 1940). Intervals are those of the speaker bootstrap
(`bench.evidence.bootstrap`), E fitted anew to each draw. The errors of arXiv 2512.23435 are said to cluster
so on RAVDESS; its measure is not public, this one is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.evidence.metrics import Counts, Metric, Scores, ratio

ROUNDS = 200  # of scaling, at most
CLOSE = 1e-6  # relative change of a table's cells at which scaling stops


def comparable(levels: Sequence[str]) -> bool:
    """Whether these levels of classes can be compared: two of them, one with two classes or more."""
    held = [level for level in levels if level]
    return len(held) > len(set(held)) > 1


def clustering(levels: Sequence[str]) -> Metric:
    """The metric of counts (…, C, C) for classes of these levels; NaN where there are no errors to place.

    ValueError where the levels are not `comparable`.
    """
    if not comparable(levels):
        raise ValueError(f"levels {list(levels)} should hold two that differ and two that are alike")
    known = np.array([bool(level) for level in levels])
    names = np.array(levels)[known]
    within = (names[:, None] == names) & ~np.eye(len(names), dtype=bool)

    def metric(counts: Counts) -> Scores:
        errors = np.where(np.eye(len(names), dtype=bool), 0.0, counts[..., known, :][..., known])
        return ratio((errors * within).sum((-1, -2)), (expected(errors) * within).sum((-1, -2)))

    return metric


def expected(errors: Counts) -> Scores:
    """What quasi-independence expects of errors (…, C, C), whose diagonals are 0: of the same margins."""
    rows, columns = errors.sum(-1), errors.sum(-2)
    table = np.broadcast_to(1.0 - np.eye(errors.shape[-1]), errors.shape)
    for _ in range(ROUNDS):
        before = table
        table = table * _share(rows, table.sum(-1))[..., :, None]
        table = table * _share(columns, table.sum(-2))[..., None, :]
        if (np.abs(table - before) <= CLOSE * before).all():
            break
    return table


def _share(wanted: Scores, held: Scores) -> Scores:
    """The factor that scales what is held to what is wanted; 0 where nothing is held."""
    return np.divide(wanted, held, out=np.zeros_like(held), where=held > 0)
