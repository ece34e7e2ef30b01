"""Gated delta rule: a state that corrects what it holds under a key, instead of adding to it.

    S_t = (I − β_t k_t k_tᵀ) diag(exp g_t) S_{t−1} + β_t k_t v_tᵀ          o_t = scale · S_tᵀ q_t

g is one number a key channel (KDA, arXiv 2510.26692) or one a head (gated DeltaNet, arXiv 2412.06464).
Inside a chunk the corrections of earlier frames form a unit lower-triangular system (the WY form, arXiv
2406.06484), solved at once. Keys are expected to be unit vectors and β in [0, 1]; otherwise the
recurrence itself may grow without bound. O(T) time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mixers.ops.backend import Backend, choose
from mixers.ops.chunkwise import (
    carry_through,
    chunk_length,
    computing_dtype,
    from_chunks,
    full_precision,
    to_chunks,
)
from mixers.ops.halving import key_gated


def delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    scale: float | None = None,
    backend: Backend = "auto",
) -> Tensor:
    """q, k (B, T, H, K), v (B, T, H, V), g (B, T, H, K) or (B, T, H) log decay ≤ 0, beta (B, T, H).

    Returns (B, T, H, V).
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    g = g if g.dim() == 4 else g.unsqueeze(-1).expand_as(k)
    if choose(backend, q) == "fla":
        return _kernel(q, k, v, g, beta, scale)
    T, dtype = q.shape[1], computing_dtype(q, k, v, g, beta)
    c = chunk_length(T)
    with full_precision(q):
        tensors = (q * scale, k, v, g, beta.unsqueeze(-1))
        return from_chunks(_chunks(*(to_chunks(x, c, dtype) for x in tensors)), T).to(v.dtype)


def _chunks(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor) -> Tensor:
    """All (B, N, H, c, ·) → (B, N, H, c, V)."""
    scores, reading, writing, total = key_gated(torch.stack([q, k], -2).flatten(-3, -2), k, g)
    (read, overlap), (q_state, k_state) = (x.unflatten(-2, (-1, 2)).unbind(-2) for x in (scores, reading))
    if q.shape[1] == 1:
        return read @ _corrected(overlap, beta, beta * v)
    targets = torch.cat([v, k_state], -1)
    own, seen = _corrected(overlap, beta, beta * targets).split([v.shape[-1], k.shape[-1]], -1)
    states = carry_through(torch.diag_embed(total) - writing.mT @ seen, writing.mT @ own)
    return q_state @ states + read @ (own - seen @ states)


def _corrected(overlap: Tensor, beta: Tensor, x: Tensor) -> Tensor:
    """(I + tril(β · overlap, −1))⁻¹ x: what each frame writes once its predecessors' writes are taken off."""
    return torch.linalg.solve_triangular(beta * overlap, x, upper=False, unitriangular=True)


def _kernel(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, scale: float) -> Tensor:
    from fla.ops.kda import chunk_kda

    q, k, v, g, beta = (x.contiguous() for x in (q, k, v, g.float(), beta))
    return chunk_kda(q, k, v, g, beta, scale=scale)[0]


def flops(T: int, heads: int, K: int, V: int) -> int:
    """Flops of the matrix products and the triangular solve over T frames, batch 1."""
    c = chunk_length(T)
    N = -(-T // c)
    within = 2 * c * c * K + 2 * c * c * V + c * c * (V + (K if N > 1 else 0))
    between = 2 * c * K * (K + V) + 4 * c * K * V + 2 * K * K * V if N > 1 else 0
    return heads * N * (within + between)
