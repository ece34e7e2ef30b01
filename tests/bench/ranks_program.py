"""Trains the toy cohort, as one process or, under torchrun, as one of several; the first one saves it.

python ranks_program.py FOLDER [RECIPE]        # settings beyond the toy recipe's, as JSON
"""

import json
import sys
from pathlib import Path

import pandas as pd
import torch
from training_fixtures import toy_cells, toy_normaliser, toy_split

from bench.config import Augmentation
from bench.model.encoder import MaskedBatchNorm
from bench.training import ranks, scoring
from bench.training.fit import fit

OFF = Augmentation(time_masks=0, mel_masks=0, mel_shift_bins=0, time_stretch=0, gain_db=0)

SHARED = {"accumulate": 2, "max_train_s": 0.4}


def main(folder: Path, **recipe) -> None:
    ranks.meet()
    MaskedBatchNorm.forward = unnormed  # the one thing that a process does on its own share
    train, dev = toy_split(29, seed=1), toy_split(9, seed=2)  # 8 a batch: the last has fewer, dev's one
    cells = tuple(undisturbed(cell) for cell in toy_cells("softmax", "kda", **SHARED, **recipe))
    cohort = fit(cells, train, dev, toy_normaliser(train), folder / "training", lambda done: None)
    tables = [scoring.predict(cohort, cell, {"dev": dev}) for cell in cells]
    students = [cohort.student(cell) for cell in cells]
    if ranks.first():
        pd.concat(tables).to_parquet(folder / "predictions.parquet")
        weights = [dict(student.model.named_parameters()) for student in students]
        curves = [[epoch.model_dump() for epoch in student.curve] for student in students]
        torch.save({"weights": weights, "curves": curves}, folder / "students.pt")


def unnormed(self, x, mask):
    return x if mask is None else x * mask[:, None, :, None]


def undisturbed(cell):
    """The cell without dropout and augmentation, which each process draws for itself."""
    encoder = cell.encoder.model_copy(update={"dropout": 0.0})
    return cell.model_copy(
        update={"encoder": encoder, "recipe": cell.recipe.model_copy(update={"augmentation": OFF})}
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), **json.loads("".join(sys.argv[2:]) or "{}"))
