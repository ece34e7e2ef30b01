"""Batches spread in the embedding space of a student in training: what it last heard, and what to choose.

    spread = Spread(len(train), strata, ("diverse", seed))
    groups = spread.groups(lengths, 16, epoch)          # at an epoch's start
    spread.note(positions, pooled)                      # after each of the guide's steps, in training

ADS-inspired (Aligner-Based Diverse Sampling, arXiv 2601.12494, whose rule is not public): for every place of
a batch `OFFERED` utterances of its stratum are drawn, and `bench.training.farthest` chooses. The buffer that
it looks into is what the guide, one student declared in the recipe, gave each utterance when it was last in a
batch: no forward pass more than training makes. All batches of an epoch are chosen at its start; where
nothing has been heard yet, they are balanced and no more.

Buffer and chosen batches are part of a checkpoint, so that a cohort goes on with the same batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.training import ranks, streams
from bench.training.balanced import Strata
from bench.training.farthest import farthest

OFFERED = 2  # utterances for every place; half of what is offered is chosen


class Spread(nn.Module):
    """The buffer, (N, P) float32 on the CPU, and the batches of the epoch in progress."""

    def __init__(self, utterances: int, strata: Strata, name: tuple[str | int, ...]) -> None:
        """`name` names the streams of random numbers."""
        super().__init__()
        self.strata, self.name = strata, name
        self.of = np.empty(utterances, dtype=np.int64)
        for stratum, members in enumerate(strata.members):
            self.of[members] = stratum
        self.vectors = np.zeros((utterances, 0), dtype=np.float32)
        self.heard = np.zeros(utterances, dtype=bool)
        self.epoch, self.chosen = -1, list[NDArray[np.int64]]()

    def groups(self, lengths: NDArray, batch_size: int, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of an epoch, chosen when they are first asked for."""
        if epoch != self.epoch:
            offered = self.strata.batches(lengths, batch_size, self.name, epoch, OFFERED)
            self.chosen = [self._choose(some, (epoch, i)) for i, some in enumerate(offered)]
            self.epoch = epoch
        return self.chosen

    def _choose(self, offered: NDArray[np.int64], place: tuple[int, int]) -> NDArray[np.int64]:
        rng = streams.generator("choice", *self.name, *place)
        return farthest(offered, self.of[offered[:, 0]], self.vectors, self.heard, rng)

    def note(self, positions: Tensor, pooled: Tensor) -> None:
        """Keep pooled vectors (B, P) of the utterances at `positions` (B,), of all processes."""
        where = ranks.gathered(positions).cpu().numpy()
        vectors = ranks.gathered(pooled.detach().float()).cpu().numpy()
        if not self.vectors.shape[1]:
            self.vectors = np.zeros((len(self.heard), vectors.shape[1]), dtype=np.float32)
        self.vectors[where], self.heard[where] = vectors, True

    def get_extra_state(self) -> dict[str, Any]:
        """What a checkpoint keeps: plain numbers and tensors."""
        return {
            "vectors": torch.from_numpy(self.vectors),
            "heard": torch.from_numpy(self.heard),
            "epoch": self.epoch,
            "chosen": [torch.from_numpy(group) for group in self.chosen],
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Undo `get_extra_state`."""
        self.vectors, self.heard = state["vectors"].cpu().numpy(), state["heard"].cpu().numpy()
        self.epoch, self.chosen = state["epoch"], [group.cpu().numpy() for group in state["chosen"]]
