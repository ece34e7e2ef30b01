"""From trained students to the evidence: outputs for every held-out utterance.

tables = predict_all(cohort, cells, {"dev": dev, "test": test})        # by the cells' ids
predictions = tables[cell.id]                                   # scored by `bench.evidence.summary`
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from bench.attributes import ATTRIBUTES, from_unit
from bench.config import Cell
from bench.features.encoders import Heard
from bench.training import ranks
from bench.training.cohort import Cohort, Student
from bench.training.reading import Loader, free_cores
from bench.training.split import Batches, Split, buckets


def predict_all(cohort: Cohort, cells: Sequence[Cell], splits: dict[str, Split]) -> dict[str, pd.DataFrame]:
    """Outputs of each cell's chosen epoch for every utterance of the splits, by the cell's id.

    Columns: `bench.evidence.records`. Each batch is read and heard once for all cells. A student that runs
    out of memory has no outputs, and its mates theirs.
    """
    students = {cell.id: cohort.student(cell) for cell in cells}
    for student in students.values():
        student.model.load_state_dict(student.best)
        student.model.eval()
    outputs = {name: _outputs(cohort, list(students.values()), split) for name, split in splits.items()}
    return {
        id: pd.concat(
            [_table(student, split, outputs[name][i]).assign(split=name) for name, split in splits.items()],
            ignore_index=True,
        )
        for i, (id, student) in enumerate(students.items())
        if student.status == "ok"
    }


def predict(cohort: Cohort, cell: Cell, splits: dict[str, Split]) -> pd.DataFrame:
    """The table of one cell: see `predict_all`."""
    return predict_all(cohort, [cell], splits)[cell.id]


@torch.inference_mode()
def _outputs(cohort: Cohort, students: Sequence[Student], split: Split) -> list[np.ndarray]:
    """Outputs (N, C + A) float32 of each student."""
    outputs = [np.zeros((len(split), sum(student.parts)), np.float32) for student in students]
    batches = Batches(split, buckets(split.lengths, cohort.recipe.batch_size))
    for batch in Loader(batches, max(1, free_cores()) if cohort.listening.slow_to_read else 0):
        heard = cohort.listening(batch.to(cohort.device))
        for student, rows in zip(students, outputs, strict=True):
            said = _said(cohort, student, heard) if student.status == "ok" else None
            if said is not None:
                rows[batch.positions] = said
    return [ranks.total(rows, cohort.device) for rows in outputs]


def _said(cohort: Cohort, student: Student, heard: Heard) -> np.ndarray | None:
    """Outputs (B, C + A) of a batch; None where the student has run out of memory."""
    outputs = cohort.attempt(student, partial(cohort.outputs, student, heard))
    return None if outputs is None else outputs.float().cpu().numpy()


def _table(student: Student, split: Split, outputs: np.ndarray) -> pd.DataFrame:
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
