"""Accuracy against the length of the utterance, in equally full bins.

    rows = length_rows(compared)        # dictionaries: comparison, layout, direction, bin, low_s, high_s, …

A bin holds about as many utterances of the comparison as any other; there are five, or fewer, down to three,
where an emotion would have less than ten utterances in one. `uar` is the mean recall of the emotions that
have ten in every bin (`classes`; the others are named in `rare`), so that all bins are scored on the same
emotions. Intervals: 2,000 draws of speakers (`bench.evidence.bootstrap`); those that miss one of these
emotions in a bin are left out. `change` is the last bin's UAR less the first's, on the same draws.

The bins of `bench.evidence.groups` are the same for every corpus instead: for tables read side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.evidence.bootstrap import estimate
from bench.evidence.differences import difference
from bench.evidence.metrics import Counts, Metric, recalls
from bench.report.comparisons import Compared
from bench.report.scoring import Scored, resample

MOST_BINS, FEWEST_BINS = 5, 3
LEAST = 10  # utterances of an emotion in a bin
DRAWS = 2_000


@dataclass(frozen=True)
class _Bins:
    """Inner edges in seconds, and what the utterances of each bin are."""

    edges: npt.NDArray[np.float64]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    utterances: tuple[int, ...]
    kept: npt.NDArray[np.intp]  # places of the emotions that are scored
    rare: tuple[str, ...]


def length_rows(compared: Compared) -> list[dict[str, Any]]:
    """The rows of one comparison; none without emotions, or where lengths are not stored or do not differ."""
    some = [key for key in compared.comparable if compared.runs[0].emotions]
    bins = _bins(compared, some[0]) if some else None
    if bins is None:
        return []
    return [row for key in some for row in _system_rows(compared, key, bins)]


def _bins(compared: Compared, key: tuple[str, str]) -> _Bins | None:
    """Bins from the utterances that all comparable systems share; None where none can be made."""
    scored = compared.scored[key]
    assert scored is not None
    tables = [compared.predictions.of(run, compared.split).truth.rows for run in scored.runs[0]]
    if not all("duration_s" in table for table in tables):
        return None
    table = pd.concat(tables)[["duration_s", "label"]].dropna()
    table = table[table["label"].isin(scored.emotions)]
    found = [_cut(table, count, scored.emotions) for count in range(MOST_BINS, FEWEST_BINS - 1, -1)]
    made = [bins for bins in found if bins is not None and len(bins.kept) > 1]
    return next((bins for bins in made if not bins.rare), made[-1] if made else None)


def _cut(table: pd.DataFrame, count: int, emotions: Sequence[str]) -> _Bins | None:
    seconds = table["duration_s"].to_numpy(np.float64)
    if not len(seconds):
        return None
    edges = np.unique(np.quantile(seconds, np.arange(1, count) / count))
    places = np.digitize(seconds, edges)
    if len(np.unique(places)) != count:
        return None
    held = pd.crosstab(places, table["label"].to_numpy()).reindex(columns=list(emotions), fill_value=0)
    present = held.sum() > 0
    enough = (held >= LEAST).all() & present
    return _Bins(
        edges,
        tuple(float(seconds[places == place].min()) for place in range(count)),
        tuple(float(seconds[places == place].max()) for place in range(count)),
        tuple(int(number) for number in held.sum(axis=1)),
        np.flatnonzero(enough.to_numpy()),
        tuple(held.columns[present & ~enough]),
    )


def _system_rows(compared: Compared, key: tuple[str, str], bins: _Bins) -> list[dict[str, Any]]:
    scored = compared.scored[key]
    assert scored is not None
    counts = np.stack([_counts(compared, seed, scored, bins) for seed in range(len(scored.seeds))], axis=1)
    found = [estimate(_uar_of(bins.kept), resample(some, DRAWS)) for some in counts]
    shared: dict[str, Any] = {"comparison": compared.id, "layout": key[0], "direction": key[1]}
    shared |= {"classes": len(bins.kept), "rare": ", ".join(bins.rare), "speakers": len(scored.speakers)}
    shared |= difference(found[-1], found[0]).interval().columns("change")
    sizes = zip(bins.lows, bins.highs, bins.utterances, strict=True)
    return [
        shared
        | {"bin": place, "low_s": low, "high_s": high, "utterances": size}
        | found[place].interval().columns("uar")
        for place, (low, high, size) in enumerate(sizes)
    ]


def _counts(compared: Compared, seed: int, scored: Scored, bins: _Bins) -> Counts:
    """Confusion counts (bin, speaker, C, C) of one seed, summed over its folds."""
    groups = len(bins.lows)
    shape = (groups, len(scored.speakers), len(scored.emotions), len(scored.emotions))
    total = np.zeros(shape, dtype=np.int64)
    for run in scored.runs[seed]:
        rows = compared.predictions.of(run, compared.split).truth.rows
        seconds = rows["duration_s"].to_numpy(np.float64)
        places = np.where(np.isnan(seconds), -1, np.digitize(seconds, bins.edges))
        total += scored.codes[run.id].counts(places, groups)
    return total


def _uar_of(kept: npt.NDArray[np.intp]) -> Metric:
    """Mean recall of some emotions; NaN where one of them has no utterance."""
    return lambda counts: recalls(counts)[..., kept].mean(axis=-1)
