"""Emotions and attributes of recordings, from a trained checkpoint or an exported file.

table = predict([Path("clip.wav")], best_checkpoint(Store(Path("results"))))
table = predict([Path("clip.wav")], path, models, transcripts=Path("texts"))      # texts/clip.txt
table = predict([Path("clip.wav")], Path("model.onnx"))                           # imports no torch
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.config import Cell
from bench.errors import Problem, SuiteError, UnusableFiles
from bench.evidence.records import RunRecord
from bench.evidence.store import Store
from bench.features.audio import AudioError, read

EXPORTED = ".onnx"  # how the name of an exported file ends


class Recogniser(Protocol):
    """What recognises: `bench.training.checkpoint.Trained` or `bench.export.runtime.Exported`."""

    @property
    def cell(self) -> Cell: ...
    @property
    def emotions(self) -> tuple[str, ...]: ...
    @property
    def attributes(self) -> tuple[str, ...]: ...
    @property
    def reads_text(self) -> bool: ...
    def recognise(self, waveform: NDArray[np.float32], transcript: str = "") -> dict[str, float]: ...


def recogniser(path: Path, models: Path | None = None) -> Recogniser:
    """The recogniser in a file, a checkpoint or an exported one; SuiteError where it cannot be used."""
    if path.suffix == EXPORTED:
        from bench.export.runtime import Exported

        return Exported.load(path)
    try:
        from bench.training import checkpoint
    except ImportError as error:
        raise SuiteError(
            f"{path}: a checkpoint needs torch ({error}); without it, name an exported file with --model"
        ) from error
    return checkpoint.load(path, models)


def best_checkpoint(store: Store) -> Path:
    """The checkpoint in the results folder whose run scored best on its dev split.

    By UAR; by mean CCC where no run has trained emotions. Test scores have no say.
    SuiteError where there is no checkpoint.
    """
    runs = [run for run in store.runs() if run.status == "ok" and store.checkpoint_path(run.id).is_file()]
    if not runs:
        raise SuiteError(
            f"no checkpoint under {store.root / 'checkpoints'}; train one with `serbench run` "
            "or name one with --checkpoint"
        )
    return store.checkpoint_path(max(runs, key=_rank).id)


def _rank(run: RunRecord) -> tuple[bool, bool, float, str]:
    dev = run.metrics["dev"]
    return not run.synthetic, "uar" in dev, dev.get("uar", dev.get("ccc", -math.inf)), run.id


def predict(
    files: Sequence[Path],
    path: Path,
    models: Path | None = None,
    transcripts: Path | None = None,
) -> pd.DataFrame:
    """One row a file: `file`, a probability column an emotion, a column an attribute (on the corpus's scale).

    `models` holds the pretrained encoders (None: SER_MODELS). A model that reads text finds a file's in the
    folder `transcripts`, as `<stem>.txt`; without that folder every transcript is empty. UnusableFiles lists
    every file that cannot be read.
    """
    trained = recogniser(path, models)
    if transcripts is not None and not trained.reads_text:
        raise SuiteError(f"{path}: this model reads no text; leave --transcripts out")
    rows, problems = [], []
    for file in files:
        try:
            waveform = read(file, trained.cell.features.sample_rate_hz)
            text = "" if transcripts is None else _text(transcripts / f"{file.stem}.txt")
            rows.append({"file": str(file)} | trained.recognise(waveform, text))
        except AudioError as error:
            problems.append(Problem(file, str(error)))
    if problems:
        raise UnusableFiles(
            f"predict: {len(problems)} of {len(files)} files cannot be used",
            problems,
            "Mend them or leave them out.",
        )
    return pd.DataFrame(rows, columns=["file", *trained.emotions, *trained.attributes])


def _text(path: Path) -> str:
    try:
        return " ".join(path.read_text(encoding="utf-8-sig").split())
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(f"its transcript {path} cannot be read") from error
