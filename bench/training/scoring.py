"""From trained students to the evidence: logits of every held-out utterance, and their scores.

predictions = predict(cohort, cell, {"dev": dev, "test": test})
scores = score(predictions, emotions)          # {"dev": {"uar": …}, "test": {…}}
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from bench.config import Cell
from bench.evidence import metrics
from bench.evidence.confusion import by_speaker
from bench.training.cohort import Cohort
from bench.training.split import Batches, Split, buckets, loader


def predict(cohort: Cohort, cell: Cell, splits: dict[str, Split]) -> pd.DataFrame:
    """Logits of the chosen epoch for every utterance of the splits (columns: `bench.evidence.records`)."""
    student = cohort.student(cell)
    student.model.load_state_dict(student.best)
    tables = [_predict(cohort, cell, split).assign(split=name) for name, split in splits.items()]
    return pd.concat(tables, ignore_index=True)


@torch.inference_mode()
def _predict(cohort: Cohort, cell: Cell, split: Split) -> pd.DataFrame:
    model, device = cohort.student(cell).model.eval(), cohort.device
    logits = np.empty((len(split), len(split.emotions)), np.float32)
    for batch in loader(Batches(split, buckets(split.lengths, cell.recipe.batch_size))):
        frames = cohort.normalise(batch.frames.to(device))
        logits[batch.positions] = model(frames, batch.mask.to(device)).float().cpu().numpy()
    table = split.table[["utterance", "speaker", "gender", "duration_s"]].assign(label=split.table["emotion"])
    return table.assign(**{f"logit_{emotion}": logits[:, i] for i, emotion in enumerate(split.emotions)})


def score(predictions: pd.DataFrame, emotions: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """UAR, macro-F1, WA and per-emotion recall of each split of a predictions table."""
    return {
        str(name): metrics.summary(
            by_speaker(rows, emotions, sorted(set(rows["speaker"]))).sum(axis=0), emotions
        )
        for name, rows in predictions.groupby("split")
    }
