"""Sliding-window attention: softmax attention over the frames at most `reach` away.

    o_i = Σ_j softmax_j(scale · q_i·k_j) v_j          over i − reach ≤ j ≤ i, or |i − j| ≤ reach

Beltagy et al. 2020 (Longformer, arXiv 2004.05150). Time is cut into blocks of `reach` frames, and each
block of queries reads its own block of keys and those beside it: O(T · reach) time and memory, and the T × T
scores are never held.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from mixers.ops.checks import check_shapes


def window_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    reach: int,
    scale: float | None = None,
    causal: bool = False,
    mask: Tensor | None = None,
) -> Tensor:
    """q, k (B, T, H, K), v (B, T, H, V), mask (B, T) True on real frames → (B, T, H, V).

    Distances count padded frames too, so padding must not stand between real ones. ValueError where
    `reach` is under 1.
    """
    check_shapes(q=(q, "BTHK"), k=(k, "BTHK"), v=(v, "BTHV"))
    if reach < 1:
        raise ValueError(f"reach={reach} must be at least 1 frame")
    real = torch.ones_like(k[:, :, 0, 0], dtype=torch.bool) if mask is None else mask
    k, v = (pad(x, (0, 0, 0, 0, reach, 0)) for x in (k, v))
    return _attend(q, k, v, pad(real, (reach, 0)), reach, scale, causal)


def extend(
    state: tuple[Tensor, Tensor], q: Tensor, k: Tensor, v: Tensor, reach: int, scale: float | None = None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Go on after the keys and values of up to `reach` frames → causal output, and those of the last now."""
    B, heard = state[0].shape[:2]
    k, v = (torch.cat([_filled(old, reach), new], 1) for old, new in zip(state, (k, v), strict=True))
    frame = torch.arange(k.shape[1], device=k.device).expand(B, -1)
    out = _attend(q, k, v, frame >= reach - heard, reach, scale, causal=True)
    kept = min(reach, heard + q.shape[1])
    return out, (k[:, k.shape[1] - kept :].clone(), v[:, v.shape[1] - kept :].clone())


def _filled(x: Tensor, reach: int) -> Tensor:
    """x (B, T, H, ·) of up to `reach` frames, with zeros before them up to that number."""
    zeros = x.new_zeros(x.shape[0], reach - x.shape[1], *x.shape[2:])
    return torch.cat([zeros, x], 1)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, real: Tensor, reach: int, scale: float | None, causal: bool
) -> Tensor:
    """q (B, T, H, K) on k, v (B, reach + T, H, ·) and real (B, reach + T), from `reach` frames earlier."""
    B, T = q.shape[:2]
    sides = 2 if causal else 3
    filled = -T % reach
    after = filled + (sides - 2) * reach
    q = pad(q, (0, 0, 0, 0, 0, filled)).unflatten(1, (-1, reach)).flatten(0, 1)
    k, v = (_beside(pad(x, (0, 0, 0, 0, 0, after)), reach, sides).flatten(0, 1) for x in (k, v))
    seen = _visible(_beside(pad(real, (0, after)), reach, sides).flatten(0, 1), reach, causal)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    out = scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale)
    return out.transpose(1, 2).unflatten(0, (B, -1)).flatten(1, 2)[:, :T]


def _beside(x: Tensor, reach: int, sides: int) -> Tensor:
    """(B, (N + sides − 1)·reach, …) → (B, N, sides·reach, …): each block with the ones beside it."""
    blocks = x.unflatten(1, (-1, reach))
    N = blocks.shape[1] - sides + 1
    return torch.cat([blocks[:, side : side + N] for side in range(sides)], 2)


def _visible(real: Tensor, reach: int, causal: bool) -> Tensor:
    """Which query of a block may read which key: real (N, sides·reach) → bool (N, 1, reach, sides·reach).

    A frame always sees itself, so that padded ones are left with something to read.
    """
    query = torch.arange(reach, 2 * reach, device=real.device).unsqueeze(1)
    apart = torch.arange(real.shape[1], device=real.device) - query
    near = (apart >= -reach) & (apart <= (0 if causal else reach))
    return ((near & real.unsqueeze(1)) | (apart == 0)).unsqueeze(1)


def flops(T: int, heads: int, K: int, V: int, reach: int, causal: bool) -> int:
    """Flops of the matrix products over T frames, batch 1; a mask saves none."""
    sides = 2 if causal else 3
    return 2 * heads * -(-T // reach) * sides * reach**2 * (K + V)
