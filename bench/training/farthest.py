"""Farthest-point choice: of what is offered for every place of a batch, that which is spread widest.

    chosen = farthest(offered, strata, vectors, heard, rng)          # (batch_size,) positions

Greedy, as Gonzalez 1985 (Theoretical Computer Science 38): the next utterance is the one whose nearest chosen
neighbour is farthest away (Euclid), among the strata that still have a place. The first is drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Positions = NDArray[np.int64]


def farthest(
    offered: Positions,
    strata: Positions,
    vectors: NDArray[np.float32],
    heard: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Positions:
    """Positions (B,) of B places, from `offered` (B, E) for places of `strata` (B,).

    `vectors` (N, P) are of all utterances, those of `heard` (N,) known; one that is not counts as far from
    all others, hence is chosen early. An utterance stands twice in a batch only where a stratum has nothing
    else to offer.
    """
    order = rng.permutation(offered.size)
    positions, owners = offered.ravel()[order], np.repeat(strata, offered.shape[1])[order]
    places, free = np.bincount(strata), np.ones(len(positions), dtype=bool)
    apart = _distances(vectors[positions], heard[positions])
    nearest, picks = np.full(len(positions), np.inf), []
    for _ in strata:
        pick = int(np.argmax(np.where(free & (places[owners] > 0), nearest, -np.inf)))
        picks.append(pick)
        free[pick], places[owners[pick]] = False, places[owners[pick]] - 1
        nearest = np.minimum(nearest, np.where(positions == positions[pick], -1.0, apart[pick]))
    return positions[picks]


def _distances(vectors: NDArray[np.float32], heard: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Between all rows of vectors (K, P): (K, K); infinite where one of the two is not known."""
    known = heard[:, None] & heard
    return np.where(known, cdist(vectors, vectors), np.inf)
