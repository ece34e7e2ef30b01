"""Causal beside bidirectional, layout by layout: what hearing the rest of the utterance is worth.

    rows = direction_rows(compared)         # dictionaries: comparison, layout, causal, bidirectional, gain, …

A row is one layout that may be compared in both directions: name, mixers, and of the headline score causal,
bidirectional and gain (the second less the first, paired on the same draws), each with _low and _high (95 %),
p and p_adjusted (Holm, over the layouts of the comparison).
"""

from __future__ import annotations

from typing import Any

from bench.evidence.bootstrap import Estimate, estimate
from bench.evidence.differences import difference, holm
from bench.report.comparisons import Compared
from bench.report.scoring import headline, resample


def direction_rows(compared: Compared) -> list[dict[str, Any]]:
    """The rows of one comparison, by layout; none where no layout has both directions."""
    keys = set(compared.comparable)
    both = sorted(
        layout for layout, direction in keys if direction == "causal" and (layout, "bidirectional") in keys
    )
    rows = [_row(compared, layout) for layout in both]
    adjusted = holm([row["p"] for row in rows])
    return [row | {"p_adjusted": p} for row, p in zip(rows, adjusted, strict=True)]


def _row(compared: Compared, layout: str) -> dict[str, Any]:
    causal, both = (_estimate(compared, (layout, direction)) for direction in ("causal", "bidirectional"))
    gain = difference(both, causal)
    label = compared.systems[layout, "bidirectional"][0].label
    return {
        "comparison": compared.id,
        "layout": layout,
        "name": label.text,
        "mixers": label.mixers,
        **causal.interval().columns("causal"),
        **both.interval().columns("bidirectional"),
        **gain.interval().columns("gain"),
        "p": gain.p,
    }


def _estimate(compared: Compared, key: tuple[str, str]) -> Estimate:
    scored = compared.scored[key]
    assert scored is not None
    _, metric, statistics = headline(scored)
    return estimate(metric, resample(statistics))
