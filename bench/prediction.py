"""Emotion probabilities of recordings, from a trained checkpoint.

table = predict([Path("clip.wav")], best_checkpoint(Store(Path("results"))))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench.errors import Problem, SuiteError, UnusableFiles
from bench.evidence.store import Store
from bench.features.audio import AudioError, read
from bench.training import checkpoint


def best_checkpoint(store: Store) -> Path:
    """The checkpoint in the results folder whose run scored best on its dev split.

    Test scores have no say. SuiteError where there is no checkpoint.
    """
    runs = [run for run in store.runs() if run.status == "ok" and store.checkpoint_path(run.id).is_file()]
    if not runs:
        raise SuiteError(
            f"no checkpoint under {store.root / 'checkpoints'}; train one with `serbench run` "
            "or name one with --checkpoint"
        )
    best = max(runs, key=lambda run: (not run.synthetic, run.metrics["dev"]["uar"], run.id))
    return store.checkpoint_path(best.id)


def predict(files: Sequence[Path], checkpoint_path: Path) -> pd.DataFrame:
    """One row a file: `file`, then one probability column an emotion.

    UnusableFiles lists every file that cannot be read.
    """
    trained = checkpoint.load(checkpoint_path)
    rows, problems = [], []
    for file in files:
        try:
            waveform = read(file, trained.cell.features.sample_rate_hz)
        except AudioError as error:
            problems.append(Problem(file, str(error)))
            continue
        rows.append({"file": str(file)} | trained.probabilities(waveform))
    if problems:
        raise UnusableFiles(
            f"predict: {len(problems)} of {len(files)} files cannot be used",
            problems,
            "Mend them or leave them out.",
        )
    return pd.DataFrame(rows, columns=["file", *trained.emotions])
