"""Gated attention inside a chunk when every head has one gate: all decays of a chunk are one small matrix.

    scores, reading, writing, total = head_gated(q, k, g)

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
from mixers.ops.chunkwise import sum_from


def head_gated(q: Tensor, k: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scores q_i · (decay from j to i) k_j for j ≤ i, and what the state between chunks needs.

    q, k (B, N, H or 1, c, K), g (B, N, H, c, 1), g ≤ 0. Returns scores (B, N, H, c, c), queries decayed from
    the chunk's start, keys decayed to its end, (B, N, H, c, K) each, and the chunk's decay (B, N, H, 1, 1).
    """
    if portable.exporting():
        return _gated(q, k, *_decays(g))
    return HeadGated.apply(q, k, g)


class HeadGated(Function):
    """See `head_gated`."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        between, from_start, to_end = _decays(g)
        outputs = _gated(q, k, between, from_start, to_end)
        ctx.save_for_backward(q, k, between, from_start, to_end, *outputs)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_scores: Tensor, d_reading: Tensor, d_writing: Tensor, d_total: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        q, k, between, from_start, to_end, scores, reading, writing, total = ctx.saved_tensors
        pairs = _over_heads(d_scores * between, q)
        d_q = pairs @ k + _over_heads(d_reading * from_start, q)
        d_k = pairs.mT @ q + _over_heads(d_writing * to_end, k)
        weighed = d_scores * scores
        written = (d_writing * writing).sum(-1, keepdim=True)
        g_grad = weighed.sum(-1, keepdim=True) - weighed.sum(-2).unsqueeze(-1)
        g_grad = sum_from(g_grad + (d_reading * reading).sum(-1, keepdim=True) - written)
        return d_q, d_k, g_grad + written.sum(-2, keepdim=True) + total * d_total


def _gated(
    q: Tensor, k: Tensor, between: Tensor, from_start: Tensor, to_end: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return q @ k.mT * between, q * from_start, k * to_end, from_start[..., -1:, :].clone()


def _decays(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Decays between frames (…, c, c), from the chunk's start to each and from each to its end (…, c, 1)."""
    between = head_decay(g.squeeze(-1))
    from_start = between[..., :1] * g[..., :1, :].exp()
    return between, from_start, between[..., -1, :].unsqueeze(-1)


def head_decay(g: Tensor) -> Tensor:
    """exp(Σ_{s in (j, i]} g_s) for j ≤ i, else 0: g (…, c) → (…, c, c).

    Each sum is taken over its own terms by one product with a 0/1 matrix, not as a difference of
    cumulative sums, which would lose small gates beside large ones.
    """
    c = g.shape[-1]
    frame = torch.arange(c, device=g.device)
    i, j, s = frame[:, None, None], frame[None, :, None], frame[None, None, :]
    between = ((j < s) & (s <= i)).to(g.dtype).reshape(c * c, c)
    future = torch.zeros(c, c, dtype=g.dtype, device=g.device).masked_fill(frame[:, None] < frame, -torch.inf)
    sums = torch.addmm(future.reshape(-1), g.reshape(-1, c), between.T)
    return sums.exp().reshape(*g.shape, c)


def _over_heads(x: Tensor, like: Tensor) -> Tensor:
    """x (B, N, H, ·, ·) summed over the heads that share the one of `like`."""
    return x.sum(2, keepdim=True) if like.shape[2] != x.shape[2] else x
