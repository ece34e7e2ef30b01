"""The recordings that an exported file is calibrated on, or held against its checkpoint on.

data, task = material("ravdess/luna", cell, folders)      # the checkpoint's own fold of its own task
heldout(data, emotions)                                   # its test splits
named, clips = calibration("", checkpoint, folders)       # some clips of the checkpoint's training split
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.config import Cell, Task
from bench.errors import SuiteError
from bench.folders import Folders
from bench.training import checkpoint
from bench.training.run import Data, read
from bench.training.split import Split

CALIBRATED = 64  # clips: the ranges of activations change little after some dozens
OWN = "own"  # the task that a checkpoint was trained on


def asked(name: str, cell: Cell) -> Task:
    """The task CORPUS/PROTOCOL, or "own": the cell's own in the cell's fold, another in fold 0."""
    corpus, _, protocol = name.partition("/")
    own = cell.task
    if name == OWN or (corpus == own.corpus and f"{own.protocol}-".startswith(f"{protocol}-")):
        return own  # its protocol may say more than was asked for, as `Manifest.protocol` does
    options = own.corpus_options if corpus == own.corpus else {}
    return Task(corpus=corpus, protocol=protocol, corpus_options=options)


def material(name: str, cell: Cell, folders: Folders) -> tuple[Data, Task]:
    """The data of the task `asked` for, and the task, its protocol in full.

    SuiteError where the corpus is not there or lacks what the cell trains.
    """
    task = asked(name, cell)
    data = read(cell.model_copy(update={"task": task}), folders)
    return data, task.model_copy(update={"protocol": data.manifest.protocol(task.protocol)})


def calibration(
    name: str, checkpoint_path: Path, folders: Folders
) -> tuple[str, Iterator[NDArray[np.float32]]]:
    """Features (T, M), or samples (N,), of clips evenly spaced over a task's training split, and their name.

    Without a name, of the task that the checkpoint was trained on.
    """
    cell = checkpoint.about(checkpoint_path).cell
    data, task = material(name or OWN, cell, folders)
    split = data.split("train")
    chosen = np.linspace(0, len(split) - 1, min(CALIBRATED, len(split))).round().astype(int)
    clips = (np.array(split.frames(int(position))) for position in chosen)
    return f"{task.corpus}/{task.protocol} fold {task.fold}, {len(chosen)} training clips", clips


def heldout(data: Data, emotions: tuple[str, ...]) -> list[Split]:
    """The test splits; SuiteError where there is none, or they tell other emotions apart."""
    if emotions and set(data.manifest.emotions) != set(emotions):
        raise SuiteError(
            f"{data.manifest.corpus} tells {', '.join(data.manifest.emotions)} apart, this checkpoint "
            f"{', '.join(emotions)}; check it on a task of the same emotions"
        )
    if not data.tests:
        raise SuiteError(f"{data.manifest.corpus}: this protocol has no test split to check on; name another")
    return [data.split(name) for name in data.tests]
