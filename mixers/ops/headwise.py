"""Gated attention inside a chunk when every head has one gate: all decays of a chunk are one small matrix.

    scores, reading, writing, total = head_gated(q, k, g, scale)

The same four things as `halving.key_gated` gives for a gate a channel. The backward pass is written by hand:
g_s acts on the pairs with j < s ≤ i, on reads of the state at i ≥ s and on writes to it at j < s, so its
gradient is a reverse cumulative sum over frames, and nothing goes back through the decays themselves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from mixers.ops import portable
from mixers.ops.chunkwise import add_product, sum_from
from mixers.ops.decay import decay_between, faded


def head_gated(q: Tensor, k: Tensor, g: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scores scale · q_i · (decay from j to i) k_j for j ≤ i, and what the state between chunks needs.

    q, k (B, N, H or 1, c, K), g (B, N, H, c, 1), g ≤ 0. Returns scores (B, N, H, c, c), queries scaled and
    decayed from the chunk's start, keys decayed to its end, (B, N, H, c, K) each, and the chunk's decay
    (B, N, H, 1, 1).
    """
    if portable.exporting():
        return _gated(q, k, *_decays(g, scale))
    return HeadGated.apply(q, k, g, scale)


class HeadGated(Function):
    """See `head_gated`."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, g: Tensor, scale: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        between, from_start, to_end, total = _decays(g, scale)
        outputs = _gated(q, k, between, from_start, to_end, total)
        ctx.save_for_backward(q, k, between, from_start, to_end, *outputs)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_scores: Tensor, d_reading: Tensor, d_writing: Tensor, d_total: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        """`d_reading` and `d_writing` are written over, as what they are of has one reader each."""
        q, k, between, from_start, to_end, scores, reading, writing, total = ctx.saved_tensors
        weighed = d_scores * scores
        g_grad = weighed.sum(-1, keepdim=True) - weighed.sum(-2).unsqueeze(-1)
        written = _dot(d_writing, writing)
        g_grad = sum_from(g_grad + _dot(d_reading, reading) - written)
        pairs = _over_heads(d_scores * between, q)
        d_q = add_product(_over_heads(d_reading.mul_(from_start), q), pairs, k)
        d_k = add_product(_over_heads(d_writing.mul_(to_end), k), pairs.mT, q)
        return d_q, d_k, g_grad + written.sum(-2, keepdim=True) + total * d_total, None


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Σ a ∘ b over the last axis, which stays."""
    return (a * b).sum(-1, keepdim=True)


def _gated(
    q: Tensor, k: Tensor, between: Tensor, from_start: Tensor, to_end: Tensor, total: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    scores = torch.bmm(q.flatten(0, 2), k.flatten(0, 2).mT).view(*q.shape[:-1], k.shape[-2])
    alone = scores.shape == between.shape  # no other head has them, so they may be written over
    return scores.mul_(between) if alone else scores * between, q * from_start, k * to_end, total


def _decays(g: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scaled decays between frames (…, c, c) and from the chunk's start to each (…, c, 1), decays from each
    to its end (…, c, 1), and of the whole chunk (…, 1, 1)."""
    between = decay_between(g.squeeze(-1))
    from_start = between[..., :1] * faded(g[..., :1, :])
    to_end, total = between[..., -1, :].unsqueeze(-1), from_start[..., -1:, :]
    return between * scale, from_start * scale, to_end, total


def _over_heads(x: Tensor, like: Tensor) -> Tensor:
    """x (B, N, H, ·, ·) summed over the heads that share the one of `like`."""
    return x.sum(2, keepdim=True) if like.shape[2] != x.shape[2] else x
