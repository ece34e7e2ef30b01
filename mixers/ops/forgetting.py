"""Forgetting attention: softmax attention whose scores fade with the forget gates passed on the way.

    o_i = Σ_{j ≤ i} softmax_j(scale · q_i·k_j + c_i − c_j) v_j          c = cumulative sum of g ≤ 0

Lin et al. 2025 (FoX, arXiv 2503.02130). Bidirectional: one softmax over all frames with the bias −|c_i −
c_j|, which for j < i is the same and for j > i sums the gates in (i, j]. O(T²) time; over long inputs the
queries go block by block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mixers.ops.backend import Backend, choose
from mixers.ops.chunkwise import computing_dtype, full_precision
from mixers.ops.softmax import visible

QUERIES = 1024  # a block: its scores against all keys are held at once


def forgetting_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    scale: float | None = None,
    causal: bool = True,
    mask: Tensor | None = None,
    backend: Backend = "auto",
) -> Tensor:
    """q, k (B, T, H, K), v (B, T, H, V), g (B, T, H) log forget gate ≤ 0, mask (B, T) True on real frames.

    Returns (B, T, H, V). Padded frames are not read and fade nothing. fla's kernel is causal, without mask.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if choose(backend, q) == "fla":
        return _kernel(q, k, v, g, scale, causal, mask)
    dtype = computing_dtype(q, k, v, g)
    with full_precision(q):
        if mask is not None:
            g = g.masked_fill(~mask.unsqueeze(-1), 0)
        fade = g.to(_sum_dtype(g)).cumsum(1).transpose(1, 2)
        queries, keys, values = (x.transpose(1, 2).to(dtype) for x in (q * scale, k, v))
        blocks = [
            _read(queries, keys, values, fade, slice(start, start + QUERIES), causal, mask)
            for start in range(0, q.shape[1], QUERIES)
        ]
        return torch.cat(blocks, 2).transpose(1, 2).to(v.dtype)


def _read(
    q: Tensor, k: Tensor, v: Tensor, fade: Tensor, rows: slice, causal: bool, mask: Tensor | None
) -> Tensor:
    """The output of one block of queries; q, k, v (B, H, T, ·), fade (B, H, T)."""
    end = min(rows.stop, k.shape[2])
    keys = slice(0, end if causal else k.shape[2])
    near = (fade - fade[:, :, rows.start : rows.start + 1]).to(q.dtype)
    apart = near[:, :, rows, None] - near[:, :, None, keys]
    if not causal:
        frame = torch.arange(k.shape[2], device=q.device)
        apart = torch.where(frame[rows, None] < frame, -apart, apart)
    scores = q[:, :, rows] @ k[:, :, keys].transpose(-1, -2) + apart
    hidden = _hidden(rows.start, end, keys.stop, causal, mask, q.device)
    if hidden is not None:
        scores = scores.masked_fill(hidden, -torch.inf)
    return scores.softmax(-1) @ v[:, :, keys]


def _hidden(
    start: int, end: int, keys: int, causal: bool, mask: Tensor | None, device: torch.device
) -> Tensor | None:
    """Which of the keys the queries start…end may not read, broadcastable to (B, H, queries, keys)."""
    if mask is not None:
        seen = visible(mask, causal)
        return ~(seen[:, :, start:end, :keys] if causal else seen)
    if causal:
        return torch.ones(end - start, keys, dtype=torch.bool, device=device).triu(start + 1)
    return None


def _sum_dtype(g: Tensor) -> torch.dtype:
    """float64, so that differences of long sums keep their digits; float32 where the device has no other."""
    return torch.float32 if g.device.type == "mps" else torch.float64


def _kernel(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float, causal: bool, mask: Tensor | None
) -> Tensor:
    if not causal or mask is not None:
        raise ValueError("backend='fla' has only causal, unmasked forgetting attention; use backend='auto'")
    from fla.ops.forgetting_attn import parallel_forgetting_attn

    return parallel_forgetting_attn(
        q.contiguous(), k.contiguous(), v.contiguous(), g.contiguous(), scale=scale
    )
