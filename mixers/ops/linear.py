"""Gated linear attention: a state that every frame fades, writes to and reads.

    S_t = diag(exp g_t) S_{t−1} + k_t v_tᵀ          o_t = scale · S_tᵀ q_t

g is one number a head (RetNet, Mamba-2) or one a key channel (LightNet, the second pass of GSA).
Chunkwise form of Yang et al. 2023 (arXiv 2312.06635); with a gate a head it is Mamba-2's state space
duality (arXiv 2405.21060). O(T) time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mixers.ops.backend import Backend, choose
from mixers.ops.chunkwise import carry, chunk_length, computing_dtype, from_chunks, full_precision, to_chunks
from mixers.ops.halving import key_gated


def gated_linear_attention(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float | None = None, backend: Backend = "auto"
) -> Tensor:
    """q, k (B, T, H, K), v (B, T, H, V), g (B, T, H) or (B, T, H, K), log decay ≤ 0 → (B, T, H, V).

    With a gate a head, q and k may have one head that all heads of v share.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if choose(backend, q) == "fla":
        return _kernel(q, k, v, g, scale)
    form = _gate_a_channel if g.dim() == 4 else _gate_a_head
    T, dtype = q.shape[1], computing_dtype(q, k, v, g)
    c = chunk_length(T)
    with full_precision(q):
        gates = g if g.dim() == 4 else g.unsqueeze(-1)
        chunks = form(*(to_chunks(x, c, dtype) for x in (q * scale, k, v, gates)))
        return from_chunks(chunks, T).to(v.dtype)


def _gate_a_channel(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """All (B, N, H, c, ·) → (B, N, H, c, V)."""
    scores, reading, writing, total = key_gated(q, k, g)
    out = scores @ v
    if q.shape[1] == 1:
        return out
    return out + reading @ carry(total.unsqueeze(-1), writing.mT @ v)


def _gate_a_head(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """q, k (B, N, H or 1, c, K), v (B, N, H, c, V), g (B, N, H, c, 1) → (B, N, H, c, V)."""
    decay = head_decay(g.squeeze(-1))
    out = (q @ k.mT * decay) @ v
    if q.shape[1] == 1:
        return out
    from_start = decay[..., :1] * g[..., :1, :].exp()
    to_end = decay[..., -1, :].unsqueeze(-1)
    states = carry(from_start[..., -1:, :], (k * to_end).mT @ v)
    return out + (q * from_start) @ states


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


def _kernel(q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float) -> Tensor:
    from fla.ops.gla import chunk_gla

    q, k = (x.expand(-1, -1, v.shape[2], -1).contiguous() for x in (q, k))
    gates = g if g.dim() == 4 else g.unsqueeze(-1).expand_as(k)
    return chunk_gla(q, k, v.contiguous(), gates.float().contiguous(), scale=scale)[0]


def flops(T: int, heads: int, K: int, V: int, gate_a_channel: bool, key_heads: int | None = None) -> int:
    """Flops of the matrix products over T frames, batch 1; `key_heads` where heads share queries and keys."""
    c = chunk_length(T)
    N = -(-T // c)
    key_heads = heads if key_heads is None else key_heads
    scores = heads * c * c * K if gate_a_channel else 2 * c * c * (key_heads * K + heads * c)
    between = 4 * heads * c * K * V if N > 1 else 0
    return N * (scores + 2 * heads * c * c * V + between)
