"""Noise to train on where the cost alone is asked for: what is heard changes none.

    train, dev = splits(features, (384, 32), seconds=5.5)
    fit(cells(systems, features, encoder, recipe), train, dev, normaliser(features), …)

Utterances have one length, emotions in turn, and as many words as people speak in that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from bench.config import AnyEncoder, AnyFeatures, Cell, Pretrained, Recipe, System, Task
from bench.corpora.manifest import COLUMNS
from bench.features.backbones import SAMPLE_RATE_HZ
from bench.features.cache import FeatureStore
from bench.features.normaliser import Normaliser
from bench.features.speech import frames_of
from bench.measuring.sizes import TOKENS_PER_S
from bench.training.split import Split

EMOTIONS = tuple("abcdefgh")  # as many as MSP-Podcast has
LEVEL = 0.1  # root mean square


def splits(features: AnyFeatures, sizes: Sequence[int], seconds: float) -> Iterator[Split]:
    """Splits of so many utterances: samples at 16 kHz for a frozen encoder, else frames of the features."""
    return (_split(features, utterances, seconds, seed) for seed, utterances in enumerate(sizes))


def _split(features: AnyFeatures, utterances: int, seconds: float, seed: int) -> Split:
    samples = round(seconds * SAMPLE_RATE_HZ)
    hidden = isinstance(features, Pretrained)
    shape = (samples,) if hidden else (round(seconds * 1000 / features.hop_ms), features.width)
    names = [f"{seed}-{number}" for number in range(utterances)]
    rng = np.random.default_rng(seed)
    rows = {name: LEVEL * rng.standard_normal(shape).astype(np.float32) for name in names}
    frames = frames_of(samples) if hidden else shape[0]
    store = FeatureStore(tuple(names), dict.fromkeys(names, frames), dict.fromkeys(names, seconds), (), rows)
    table = pd.DataFrame({column: [""] * utterances for column in COLUMNS}).assign(
        utterance=names,
        emotion=[EMOTIONS[number % len(EMOTIONS)] for number in range(utterances)],
        transcript=" ".join(["so"] * round(TOKENS_PER_S * seconds)),
    )
    return Split(store, table, EMOTIONS)


def normaliser(features: AnyFeatures) -> Normaliser | None:
    """One that leaves frames as they are; None for hidden states, which have none."""
    if isinstance(features, Pretrained):
        return None
    return Normaliser(np.zeros(features.width, np.float32), np.ones(features.width, np.float32))


def cells(
    systems: Iterable[System], features: AnyFeatures, encoder: AnyEncoder, recipe: Recipe
) -> tuple[Cell, ...]:
    """A cohort's cells on noise."""
    task = Task(corpus="noise", protocol="noise")
    return tuple(
        Cell(task=task, seed=0, system=system, features=features, encoder=encoder, recipe=recipe)
        for system in systems
    )
