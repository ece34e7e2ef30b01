"""How far an exported file's score is from its checkpoint's: paired, on the same clips.

    found = loss(table, record.emotions, record.attributes)      # the table of `store.predictions(record.id)`
    found.value, found.interval()                                # UAR (else CCC): exported less torch

Whole speakers are drawn, and both systems' scores taken on each draw (`bench.evidence.bootstrap`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.evidence import concordance, confusion
from bench.evidence.bootstrap import Estimate, Resample, Weights, estimate, speaker_weights
from bench.evidence.differences import Difference, difference
from bench.evidence.metrics import uar

PREFIX = "reference_"
TOLERATED = 0.01  # UAR, or CCC: more than this is worth a warning


def reference(table: pd.DataFrame) -> pd.DataFrame:
    """The predictions of the checkpoint in place of the exported file's."""
    own = [name for name in table if str(name).startswith(PREFIX)]
    renamed = {name: str(name).removeprefix(PREFIX) for name in own}
    return table.drop(columns=list(renamed.values()), errors="ignore").rename(columns=renamed)


def loss(table: pd.DataFrame, emotions: Sequence[str], attributes: Sequence[str]) -> Difference:
    """Exported less torch: UAR where emotions are told apart, else the attributes' mean CCC.

    SuiteError where the table lacks what that needs.
    """
    speakers = sorted(set(table["speaker"]))
    weights = speaker_weights(len(speakers))
    ours, theirs = (
        _score(each, emotions, attributes, speakers, weights) for each in (table, reference(table))
    )
    return difference(ours, theirs)


def _score(
    table: pd.DataFrame,
    emotions: Sequence[str],
    attributes: Sequence[str],
    speakers: Sequence[str],
    weights: Weights,
) -> Estimate:
    if emotions:
        counts = confusion.by_speaker(table, emotions, speakers)
        return estimate(uar, Resample.of(counts[None], weights))
    sums = concordance.by_speaker(table, attributes, speakers)
    return estimate(concordance.mean_ccc, Resample.of(sums[None], weights))


def agreement(
    table: pd.DataFrame, emotions: Sequence[str], attributes: Sequence[str]
) -> tuple[float, float | None]:
    """The largest difference of an output, and the share of clips with another emotion (None: none told)."""
    columns = [*(f"logit_{name}" for name in emotions), *(f"predicted_{name}" for name in attributes)]
    ours, theirs = (each[columns].to_numpy(np.float64) for each in (table, reference(table)))
    gap = float(np.abs(ours - theirs).max())
    if not emotions:
        return gap, None
    chosen = [values[:, : len(emotions)].argmax(axis=1) for values in (ours, theirs)]
    return gap, float((chosen[0] != chosen[1]).mean())
