"""Gated slot attention: softmax attention over a fixed number of gated memory slots.

    Kt = diag(exp g_t) K_{t−1} + s_t k_tᵀ          slots' keys,   (M, K)
    Vt = diag(exp g_t) V_{t−1} + s_t v_tᵀ          slots' values, (M, V)
    o_t = Vtᵀ softmax(scale · Kt q_t)

Zhang et al. 2024 (arXiv 2409.07146): two passes of gated linear attention with a softmax between. The
first is gated on its values (the slots), the second on its keys. O(T) time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mixers.ops.backend import Backend, choose
from mixers.ops.chunkwise import carry, chunk_length, computing_dtype, from_chunks, full_precision, to_chunks
from mixers.ops.halving import value_gated
from mixers.ops.linear import _gate_a_channel


def gated_slot_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    s: Tensor,
    g: Tensor,
    scale: float | None = None,
    backend: Backend = "auto",
) -> Tensor:
    """q, k (B, T, H, K), v (B, T, H, V), slot weights s and log decay g ≤ 0 (B, T, H, M) → (B, T, H, V)."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if choose(backend, q) == "fla":
        return _kernel(q, k, v, s, g, scale)
    T, dtype = q.shape[1], computing_dtype(q, k, v, s, g)
    c = chunk_length(T)
    with full_precision(q):
        q, k, v_chunks, s, g = (to_chunks(x, c, dtype) for x in (q * scale, k, v, s, g))
        weights = _match_slots(q, k, s, g).softmax(-1)
        return from_chunks(_gate_a_channel(weights, s, v_chunks, g), T).to(v.dtype)


def _match_slots(q: Tensor, k: Tensor, s: Tensor, g: Tensor) -> Tensor:
    """How well each query matches each slot: all (B, N, H, c, ·) → (B, N, H, c, M)."""
    out, writing = value_gated(q @ k.mT, s, g)
    if q.shape[1] == 1:
        return out
    from_start = g.cumsum(-2).exp()
    states = carry(from_start[..., -1:, :], k.mT @ writing)
    return torch.addcmul(out, from_start, q @ states)


def _kernel(q: Tensor, k: Tensor, v: Tensor, s: Tensor, g: Tensor, scale: float) -> Tensor:
    from fla.ops.gsa import chunk_gsa

    q, k, v, s, g = (x.contiguous() for x in (q, k, v, s, g.float()))
    return chunk_gsa(q, k, v, s, g, scale=scale)[0]


def flops(T: int, heads: int, K: int, V: int, M: int) -> int:
    """Flops of the matrix products of both passes over T frames, batch 1."""
    c = chunk_length(T)
    N = -(-T // c)
    within = 2 * c * c * K + c * c * M + c * c * M + 2 * c * c * V
    between = 4 * c * M * (K + V) if N > 1 else 0
    return heads * N * (within + between)
