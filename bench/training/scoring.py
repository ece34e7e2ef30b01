"""From trained students to the evidence: outputs for every held-out utterance.

predictions = predict(cohort, cell, {"dev": dev, "test": test})      # scored by `bench.evidence.summary`
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from bench.attributes import ATTRIBUTES, from_unit
from bench.config import Cell
from bench.training import ranks
from bench.training.cohort import Cohort
from bench.training.split import Batches, Split, buckets, loader


def predict(cohort: Cohort, cell: Cell, splits: dict[str, Split]) -> pd.DataFrame:
    """Outputs of the chosen epoch for every utterance of the splits (columns: `bench.evidence.records`)."""
    student = cohort.student(cell)
    student.model.load_state_dict(student.best)
    tables = [_predict(cohort, cell, split).assign(split=name) for name, split in splits.items()]
    return pd.concat(tables, ignore_index=True)


@torch.inference_mode()
def _predict(cohort: Cohort, cell: Cell, split: Split) -> pd.DataFrame:
    student, device = cohort.student(cell), cohort.device
    student.model.eval()
    outputs = np.zeros((len(split), sum(student.parts)), np.float32)
    for batch in loader(Batches(split, buckets(split.lengths, cell.recipe.batch_size))):
        frames = cohort.normalise(batch.frames.to(device))
        found = cohort.outputs(student, frames, batch.mask.to(device))
        outputs[batch.positions] = found.float().cpu().numpy()
    outputs = ranks.total(outputs, device)
    logits, scaled = np.split(outputs, [student.parts[0]], axis=1)
    table = split.table[["utterance", "speaker", "gender", "duration_s"]].assign(label=split.table["emotion"])
    named = zip(split.emotions if student.parts[0] else (), logits.T, strict=True)
    return table.assign(**{f"logit_{emotion}": column for emotion, column in named}).assign(
        **(_attribute_columns(split, scaled) if student.parts[1] else {})
    )


def _attribute_columns(split: Split, scaled: np.ndarray) -> dict[str, np.ndarray]:
    """Truth and prediction (N,) of every attribute that the corpus has, on its scale."""
    columns = {}
    for name in split.attribute_names:
        columns[name] = split.table[name].to_numpy(np.float64)
        columns[f"predicted_{name}"] = from_unit(scaled[:, ATTRIBUTES.index(name)])
    return columns
