"""Which emotion was taken for which: confusion counts of every system, pooled over folds and seeds.

    rows = confusion_rows(compared)     # dictionaries: comparison, layout, direction, emotion, guess, count

One row a cell, `emotion` being the reference; systems that may not be compared, or tell no emotions apart,
have none.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from bench.report.comparisons import Compared


def confusion_rows(compared: Compared) -> list[dict[str, Any]]:
    """The rows of one comparison."""
    rows: list[dict[str, Any]] = []
    for layout, direction in compared.comparable:
        scored = compared.scored[layout, direction]
        assert scored is not None
        system = {
            "comparison": compared.id,
            "layout": layout,
            "direction": direction,
            "seeds": len(scored.seeds),
        }
        counts = scored.counts.sum(axis=(0, 1)).ravel().tolist()
        cells = product(scored.emotions, repeat=2)
        rows += [
            system | {"emotion": emotion, "guess": guess, "count": count}
            for (emotion, guess), count in zip(cells, counts, strict=True)
        ]
    return rows
