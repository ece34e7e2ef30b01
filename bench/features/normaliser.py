"""Mean and standard deviation of each mel bin over the training split, and of nothing else.

normaliser = Normaliser.fit(store, train_utterances)
normaliser(store["03-01-01-01-01-01-01"])            # (T, M), mean 0 and deviation 1 over training frames
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMALLEST_STD = 1e-6  # a bin that varies less is constant, and is only centred


@dataclass(frozen=True, eq=False)
class Normaliser:
    """(frames − mean) / std; both (M,) float32."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @classmethod
    def fit(cls, store: Mapping[str, NDArray[np.float32]], utterances: Iterable[str]) -> Normaliser:
        """Over all frames of `utterances` in `store`, in float64; ValueError where there are none."""
        count, total, squares = 0, np.float64(0), np.float64(0)
        for utterance in utterances:
            frames = store[utterance].astype(np.float64)
            count += len(frames)
            total = total + frames.sum(axis=0)
            squares = squares + np.square(frames).sum(axis=0)
        if not count:
            raise ValueError("normaliser: no training frames")
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - mean**2, 0))
        std = np.where(std < SMALLEST_STD, 1.0, std)
        return cls(np.asarray(mean, np.float32), np.asarray(std, np.float32))

    def __call__(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised copy of `frames` (…, M), float32."""
        return (frames - self.mean) / self.std
