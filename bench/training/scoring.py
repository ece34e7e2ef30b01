"""From trained students to the evidence: logits of every dev and test utterance, and their scores.

predictions = predict(student, normaliser, {"dev": dev, "test": test}, batch_size=32)
scores = score(predictions, emotions)          # {"dev": {"uar": …}, "test": {…}}
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from bench.evidence import metrics
from bench.evidence.confusion import by_speaker
from bench.features.normaliser import Normaliser
from bench.training.cohort import Student
from bench.training.split import Batches, Split, buckets, loader


def predict(
    student: Student, normaliser: Normaliser, splits: dict[str, Split], batch_size: int
) -> pd.DataFrame:
    """Logits of the chosen epoch for every utterance of the splits (columns: `bench.evidence.records`)."""
    student.model.load_state_dict(student.best)
    tables = [
        _predict(student, normaliser, split, batch_size).assign(split=name) for name, split in splits.items()
    ]
    return pd.concat(tables, ignore_index=True)


@torch.inference_mode()
def _predict(student: Student, normaliser: Normaliser, split: Split, batch_size: int) -> pd.DataFrame:
    model = student.model.eval()
    device = next(model.parameters()).device
    mean, std = (
        torch.as_tensor(x, dtype=torch.float32, device=device) for x in (normaliser.mean, normaliser.std)
    )
    logits = np.empty((len(split), len(split.emotions)), np.float32)
    for batch in loader(Batches(split, buckets(split.lengths, batch_size))):
        frames = (batch.frames.to(device) - mean) / std
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
