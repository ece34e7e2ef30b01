"""What figures show that no row of the accuracy table holds, gathered while the predictions are in memory.

details = Details()
accuracy, groups = score_tables(store, store.runs(), "softmax", details.add)
details.confusions, details.lengths, details.directions        # tidy tables, by the comparison's id
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.report.comparisons import Compared
from bench.report.confusions import confusion_rows
from bench.report.directions import direction_rows
from bench.report.lengths import length_rows


class Details:
    """Tables of all comparisons; each may be empty."""

    def __init__(self) -> None:
        self._confusions: list[dict[str, Any]] = []
        self._lengths: list[dict[str, Any]] = []
        self._directions: list[dict[str, Any]] = []

    def add(self, compared: Compared) -> None:
        """Take in one comparison."""
        self._confusions += confusion_rows(compared)
        self._lengths += length_rows(compared)
        self._directions += direction_rows(compared)

    @property
    def confusions(self) -> pd.DataFrame:
        """One row a cell of a confusion matrix: `bench.report.confusions`."""
        return pd.DataFrame(self._confusions)

    @property
    def lengths(self) -> pd.DataFrame:
        """One row a system and bin of lengths: `bench.report.lengths`."""
        return pd.DataFrame(self._lengths)

    @property
    def directions(self) -> pd.DataFrame:
        """One row a layout in both directions: `bench.report.directions`."""
        return pd.DataFrame(self._directions)
