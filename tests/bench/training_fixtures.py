"""A toy corpus in memory: separable frames, no files, so that training tests take seconds."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.config import Augmentation, Cell, Encoder, Features, Recipe, System, Task
from bench.corpora.manifest import COLUMNS
from bench.features.normaliser import Normaliser
from bench.training.split import Split

MELS = 8
EMOTIONS = ("angry", "calm", "happy")


@dataclass
class ToyStore(dict):
    """Utterance → frames, with the lengths and durations of a FeatureStore."""

    def __init__(self, frames):
        super().__init__(frames)
        self.frames = {name: len(rows) for name, rows in frames.items()}
        self.durations_s = {name: len(rows) / 100 for name, rows in frames.items()}


def toy_split(utterances: int, seed: int = 0, emotions=EMOTIONS, used: int | None = None) -> Split:
    """Utterances whose emotion raises one mel bin, three from the next; `used` of the emotions occur."""
    rng = np.random.default_rng(seed)
    names = [f"u{seed}-{i:03}" for i in range(utterances)]
    labels = [emotions[i % (used or len(emotions))] for i in range(utterances)]
    frames = {}
    for name, label in zip(names, labels, strict=True):
        rows = rng.normal(size=(int(rng.integers(12, 40)), MELS)).astype(np.float32)
        rows[:, 3 * emotions.index(label)] += 1.0
        frames[name] = rows
    table = pd.DataFrame({column: [""] * utterances for column in COLUMNS})
    table = table.assign(utterance=names, speaker=[f"s{i % 4}" for i in range(utterances)], emotion=labels)
    return Split(ToyStore(frames), table, emotions)


def toy_normaliser(split: Split) -> Normaliser:
    """Statistics of the split's own frames."""
    return Normaliser.fit(split._store, list(split.table["utterance"]))


def toy_cells(*layouts: str, epochs: int = 2, seed: int = 0, **recipe) -> tuple[Cell, ...]:
    """Cells of a tiny encoder with dropout and augmentation on, so that random streams matter."""
    masks = Augmentation(time_mask_s=0.1, mel_mask_bins=2, mel_shift_bins=1)
    return tuple(
        Cell(
            task=Task(corpus="toy", protocol="toy"),
            seed=seed,
            system=System(layout=layout),
            features=Features(num_mels=MELS),
            encoder=Encoder(d_model=16, num_layers=1, num_heads=2, subsampling=2, dropout=0.2),
            recipe=Recipe(epochs=epochs, batch_size=8, augmentation=masks, **recipe),
        )
        for layout in layouts
    )
