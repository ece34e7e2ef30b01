"""The Pareto front of cost against score: what no other system betters in both.

on_front(table["median_ms"], table["uar"])        # Series of bool, by the index of the two
"""

from __future__ import annotations

import pandas as pd


def on_front(cost: pd.Series, score: pd.Series) -> pd.Series:
    """True where no other entry costs no more and scores no less, and is better in one of the two."""
    cheap, good = cost.to_numpy()[:, None], score.to_numpy()[:, None]
    no_worse = (cheap >= cheap.T) & (good <= good.T)
    better = (cheap > cheap.T) | (good < good.T)
    return pd.Series(~(no_worse & better).any(axis=1), index=cost.index)
