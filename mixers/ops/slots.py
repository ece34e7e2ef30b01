"""Gated slot attention: softmax attention over a fixed number of gated memory slots.

    Kt = diag(exp g_t) K_{t−1} + s_t k_tᵀ          slots' keys,   (M, K)
    Vt = diag(exp g_t) V_{t−1} + s_t v_tᵀ          slots' values, (M, V)
    o_t = Vtᵀ softmax(scale · Kt q_t)

Zhang et al. 2024 (arXiv 2409.07146): two passes of gated linear attention with a softmax between. The
first is gated on its values (the slots), the second on its keys. O(T) time.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from mixers.ops.backend import Backend, alike, choose, kernel_gate, padded
from mixers.ops.checks import check_shapes
from mixers.ops.chunkwise import carry, chunk_length, computing_dtype
from mixers.ops.halving import value_gated
from mixers.ops.linear import gate_a_channel
from mixers.ops.segments import by_segments


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
    check_shapes(q=(q, "BTHK"), k=(k, "BTHK"), v=(v, "BTHV"), s=(s, "BTHM"), g=(g, "BTHM"))
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if choose(backend, q, "slots") == "fla":
        return _kernel(q, k, v, s, g, scale)
    return extend(zero_state(q, k, v, s, g), q, k, v, s, g, scale)[0]


def zero_state(*tensors: Tensor) -> tuple[Tensor, Tensor]:
    """The empty slots' keys (B, H, K, M) and values (B, H, M, V) before the first frame of q, k, v, s, g."""
    k, v, s = tensors[1:4]
    B, H, dtype = v.shape[0], v.shape[2], computing_dtype(*tensors)
    keys = v.new_zeros(B, H, k.shape[-1], s.shape[-1], dtype=dtype)
    return keys, v.new_zeros(B, H, s.shape[-1], v.shape[-1], dtype=dtype)


def extend(
    state: tuple[Tensor, Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    s: Tensor,
    g: Tensor,
    scale: float | None = None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Go on from `state` (see `zero_state`) over further frames → their output and the state after them."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    out, state = by_segments(partial(_chunks, scale), state, (q, k, v, s, g))
    return out.to(v.dtype), state


def _chunks(
    scale: float, state: tuple[Tensor, Tensor], q: Tensor, k: Tensor, v: Tensor, s: Tensor, g: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """All (B, N, H, c, ·) → (B, N, H, c, V), and the next state."""
    matches, keys = _match_slots(state[0], q * scale, k, s, g)
    out, values = gate_a_channel(1.0, state[1], matches.softmax(-1), s, v, g)
    return out, (keys, values)


def _match_slots(state: Tensor, q: Tensor, k: Tensor, s: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """How well each query matches each slot: all (B, N, H, c, ·) → (B, N, H, c, M), and the next keys."""
    out, writing = value_gated(q @ k.mT, s, g)
    from_start = g.cumsum(-2).exp()
    states, state = carry(from_start[..., -1:, :], k, writing, state)
    return torch.addcmul(out, from_start, q @ states), state


def _kernel(q: Tensor, k: Tensor, v: Tensor, s: Tensor, g: Tensor, scale: float) -> Tensor:
    from fla.ops.gsa import chunk_gsa

    width, dtype = v.shape[-1], v.dtype
    q, k, v, s = alike(q, k, v, s)
    o = chunk_gsa(padded(q), padded(k), padded(v), s, kernel_gate(g), scale=scale)[0]
    return o[..., :width].to(dtype)


def flops(T: int, heads: int, K: int, V: int, M: int) -> int:
    """Flops of the matrix products of both passes over T frames, batch 1."""
    c = chunk_length(T)
    N = -(-T // c)
    within = 2 * c * c * K + c * c * M + c * c * M + 2 * c * c * V
    between = 4 * c * M * (K + V)
    return heads * N * (within + between)
