"""How much is left, at one frame, of what stood at an earlier one: products of the gates between the two.

    faded(g)                       # exp g
    decay_between(g)               # (…, c) → (…, c, c): exp(Σ_{s in (j, i]} g_s) for j ≤ i, else 0

Each sum is taken over its own terms by one product with a 0/1 matrix, not as a difference of cumulative
sums, which would lose small gates beside large ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def faded(g: Tensor) -> Tensor:
    """exp g, in powers of two: several times faster on a CPU, above all where a gate is strong."""
    return torch.exp2(g * math.log2(math.e))


def decay_between(g: Tensor) -> Tensor:
    """Decay from frame j to frame i of a chunk: log gates g (…, c) → (…, c, c), 0 for j > i."""
    c = g.shape[-1]
    sums = g.reshape(-1, c) @ frames_between(c, g).T
    return faded(sums).view(*g.shape, c) * torch.ones(c, c, dtype=g.dtype, device=g.device).tril()


def frames_between(c: int, like: Tensor) -> Tensor:
    """1 where frame s is in (j, i], else 0: (c·c, c), a row a pair (i, j), a column a frame s; as `like`."""
    frame = torch.arange(c, device=like.device)
    i, j, s = frame[:, None, None], frame[None, :, None], frame[None, None, :]
    return ((j < s) & (s <= i)).to(like.dtype).flatten(0, 1)
