"""Batches that hold every label equally often, of like lengths.

    strata = Strata.of(labels)                         # or of labels, and of genders within each
    batches = strata.batches(lengths, 16, ("seed", 0), epoch=3)              # each (16, 1): positions
    candidates = strata.batches(lengths, 16, ("seed", 0), epoch=3, each=4)   # each (16, 4): to choose from

Places in batches go round the labels, and within a label round its second ones. Every stratum (label and
second label) hands out its utterances in turn, pass after pass in a new order: over a whole training each has
been offered as often as any other of its stratum, give or take one. An epoch has as many batches as one that
holds every utterance once. Within a window of several batches a stratum's utterances are dealt by length, so
that a batch holds its shorter ones of all strata, or its longer ones: padding stays low.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.training import streams
from bench.training.split import window_span

Positions = NDArray[np.int64]
WINDOWS = 4  # of bucketed batches to one of these: a stratum has few utterances in each


@dataclass(frozen=True)
class Strata:
    """The utterances of each stratum, and `order`: the strata that places in batches go round."""

    members: tuple[Positions, ...]
    order: Positions

    @classmethod
    def of(cls, labels: NDArray, second: NDArray | None = None) -> Strata:
        """From labels (N,) and second ones (N,), both whole numbers."""
        second = np.zeros_like(labels) if second is None else second
        by_label = [
            [
                np.flatnonzero((labels == label) & (second == other))
                for other in np.unique(second[labels == label])
            ]
            for label in np.unique(labels)
        ]
        members = [some for strata in by_label for some in strata]
        starts = np.cumsum([0, *map(len, by_label)])
        rounds = np.lcm.reduce([len(strata) for strata in by_label])
        order = [
            starts[i] + turn % len(strata) for turn in range(rounds) for i, strata in enumerate(by_label)
        ]
        return cls(tuple(members), np.array(order))

    def batches(
        self, lengths: NDArray, batch_size: int, name: tuple[str | int, ...], epoch: int, each: int = 1
    ) -> list[Positions]:
        """One epoch: for every place of every batch `each` utterances of one stratum, (batch_size, each).

        `lengths` (N,) are those of the utterances; `name` names the stream of random numbers.
        """
        places = -(-len(lengths) // batch_size) * batch_size
        before, now = (np.arange(epoch * places), np.arange(epoch * places, (epoch + 1) * places))
        strata = self.order[now % len(self.order)]
        earlier = np.bincount(self.order[before % len(self.order)], minlength=len(self.members))
        offered = np.empty((places, each), dtype=np.int64)
        span = WINDOWS * window_span(len(lengths), batch_size)
        for stratum, members in enumerate(self.members):
            own = np.flatnonzero(strata == stratum)
            drawn = _in_turn(members, int(earlier[stratum]) * each, len(own) * each, (*name, stratum))
            for window in np.split(np.arange(len(own)), np.flatnonzero(np.diff(own // span)) + 1):
                some = drawn.reshape(-1, each)[window].ravel()
                offered[own[window]] = _by_length(some, lengths).reshape(-1, each)
        rng = streams.generator("order", *name, epoch)
        return [offered[i * batch_size :][:batch_size] for i in rng.permutation(places // batch_size)]


def _in_turn(members: Positions, start: int, count: int, name: tuple[str | int, ...]) -> Positions:
    """Numbers `start` to `start + count` of an endless row of permutations of `members`."""
    first, end = start // len(members), -(-(start + count) // len(members))
    passes = [streams.generator("turns", *name, turn).permutation(members) for turn in range(first, end)]
    row = np.concatenate([np.empty(0, dtype=np.int64), *passes])
    return row[start - first * len(members) :][:count]


def _by_length(drawn: Positions, lengths: NDArray) -> Positions:
    """Sorted by length, one of each first: what was drawn twice does not come twice running."""
    order = np.argsort(drawn, kind="stable")
    ordered = drawn[order]
    again = np.arange(len(drawn)) - np.searchsorted(ordered, ordered)
    turn = np.empty_like(again)
    turn[order] = again
    return drawn[np.lexsort((lengths[drawn], turn))]
