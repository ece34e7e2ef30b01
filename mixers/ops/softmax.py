"""Softmax attention: every frame reads every frame, weighed by exp(q·k).

    o_i = Σ_j softmax_j(scale · q_i·k_j) v_j

Vaswani et al. 2017 (arXiv 1706.03762). O(T²) time. The fused version never holds the T × T weights; the
unfused twin does, as in the study that this suite redoes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from mixers.ops.checks import check_shapes


def softmax_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    causal: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    """q, k (B, T, H, K), v (B, T, H, V), mask (B, T) True on real frames → (B, T, H, V)."""
    check_shapes(q=(q, "BTHK"), k=(k, "BTHK"), v=(v, "BTHV"))
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    if mask is None:
        out = scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale)
    else:
        out = scaled_dot_product_attention(q, k, v, attn_mask=visible(mask, causal), scale=scale)
    return out.transpose(1, 2)


def extend(
    state: tuple[Tensor, Tensor], q: Tensor, k: Tensor, v: Tensor, scale: float | None = None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Go on after the keys and values of the frames so far → causal output of the new ones, and all kept."""
    keys, values = (torch.cat([old, new], 1) for old, new in zip(state, (k, v), strict=True))
    new, total = q.shape[1], keys.shape[1]
    seen = torch.ones(new, total, dtype=torch.bool, device=q.device).tril(total - new)
    q_, k_, v_ = (x.transpose(1, 2) for x in (q, keys, values))
    out = scaled_dot_product_attention(q_, k_, v_, attn_mask=None if new == 1 else seen, scale=scale)
    return out.transpose(1, 2), (keys, values)


def unfused_softmax_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    causal: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    """The same numbers with the T × T scores and weights held in memory."""
    check_shapes(q=(q, "BTHK"), k=(k, "BTHK"), v=(v, "BTHV"))
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    scores = (q * scale) @ k.transpose(-1, -2)
    if causal or mask is not None:
        if mask is None:
            mask = torch.ones(scores.shape[0], scores.shape[-1], dtype=torch.bool, device=q.device)
        scores = scores.masked_fill(~visible(mask, causal), -torch.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2)


def visible(mask: Tensor, causal: bool) -> Tensor:
    """Which frame may read which: mask (B, T) → bool (B, 1, 1 or T, T), True where it may.

    Padded frames are hidden, except where a frame would be left with nothing to read: a row with no real
    frame sees all, and under a causal mask each frame sees itself.
    """
    if not causal:
        return (mask | ~mask.any(1, keepdim=True))[:, None, None, :]
    T = mask.shape[1]
    past = torch.ones(T, T, dtype=torch.bool, device=mask.device).tril()
    itself = torch.eye(T, dtype=torch.bool, device=mask.device)
    return ((mask[:, None, :] & past) | itself)[:, None]


def flops(T: int, heads: int, K: int, V: int) -> int:
    """Flops of the matrix products over T frames, batch 1; a causal mask saves none."""
    return 2 * heads * T * T * (K + V)
