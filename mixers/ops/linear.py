"""Gated linear attention: a state that every frame fades, writes to and reads.

    S_t = diag(exp g_t) S_{t−1} + k_t v_tᵀ          o_t = scale · S_tᵀ q_t

g is one number a head (RetNet, Mamba-2) or one a key channel (LightNet, the second pass of GSA).
Chunkwise form of Yang et al. 2023 (arXiv 2312.06635); with a gate a head it is Mamba-2's state space
duality (arXiv 2405.21060). O(T) time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from mixers.ops.backend import Backend, alike, choose, gated_backward_refused, kernel_gate, padded
from mixers.ops.checks import check_shapes
from mixers.ops.chunkwise import carry, chunk_length, computing_dtype, two_products
from mixers.ops.halving import key_gated
from mixers.ops.headwise import head_gated
from mixers.ops.segments import by_segments


def gated_linear_attention(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float | None = None, backend: Backend = "auto"
) -> Tensor:
    """q, k (B, T, H, K), v (B, T, H, V), g (B, T, H) or (B, T, H, K), log decay ≤ 0 → (B, T, H, V).

    With a gate a head, q and k may have one head that all heads of v share.
    """
    check_shapes(v=(v, "BTHV"), q=(q, "BTHK", "BT1K"), k=(k, "BTHK", "BT1K"), g=(g, "BTH", "BTHK"))
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if choose(backend, q, "channel_gate" if g.dim() == 4 else "head_gate") == "fla":
        return _kernel(q, k, v, g, scale)
    return extend(zero_state(q, k, v, g), q, k, v, g, scale)[0]


def zero_state(*tensors: Tensor) -> Tensor:
    """The state (B, H, K, V) before the first frame of q, k, v, g."""
    k, v = tensors[1:3]
    return v.new_zeros(v.shape[0], v.shape[2], k.shape[-1], v.shape[-1], dtype=computing_dtype(*tensors))


def extend(
    state: Tensor, q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Go on from `state` (B, H, K, V) over further frames → their output and the state after them."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    form, gates = (gate_a_channel, g) if g.dim() == 4 else (_gate_a_head, g.unsqueeze(-1))
    out, state = by_segments(partial(form, scale), state, (q, k, v, gates))
    return out.to(v.dtype), state


def gate_a_channel(
    scale: float, state: Tensor, q: Tensor, k: Tensor, v: Tensor, g: Tensor
) -> tuple[Tensor, Tensor]:
    """All (B, N, H, c, ·) → (B, N, H, c, V), and the next state."""
    scores, reading, writing, total = key_gated(q * scale, k, g)
    states, state = carry(total.unsqueeze(-1), writing, v, state)
    return two_products(scores, v, reading, states), state


def _gate_a_head(
    scale: float, state: Tensor, q: Tensor, k: Tensor, v: Tensor, g: Tensor
) -> tuple[Tensor, Tensor]:
    """q, k (B, N, H or 1, c, K), v (B, N, H, c, V), g (B, N, H, c, 1) → (B, N, H, c, V), next state."""
    scores, reading, writing, total = head_gated(q, k, g, scale)
    states, state = carry(total, writing, v, state)
    return two_products(scores, v, reading, states), state


def _kernel(q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float) -> Tensor:
    width, dtype, heads = v.shape[-1], v.dtype, v.shape[2]
    q, k, v = (padded(x) for x in alike(q, k, v))
    q, k = (x.expand(-1, -1, heads, -1) for x in (q, k))
    g = kernel_gate(g)
    if g.dim() == 3:
        return _head_kernel(q, k, v, g)(q, k, v, g, scale=scale)[0][..., :width].to(dtype)
    from fla.ops.gla import chunk_gla

    return chunk_gla(q, k, v, padded(g), scale=scale)[0][..., :width].to(dtype)


def _head_kernel(*tensors: Tensor) -> Callable[..., tuple[Tensor, ...]]:
    """fla's kernel for a gate a head: chunked, but where its gradients are wanted and wrong, fused."""
    from fla.ops.simple_gla import chunk_simple_gla, fused_chunk_simple_gla

    trains = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    return fused_chunk_simple_gla if trains and gated_backward_refused() else chunk_simple_gla


def flops(T: int, heads: int, K: int, V: int, gate_a_channel: bool, key_heads: int | None = None) -> int:
    """Flops of the matrix products over T frames, batch 1; `key_heads` where heads share queries and keys."""
    c = chunk_length(T)
    N = -(-T // c)
    key_heads = heads if key_heads is None else key_heads
    scores = heads * c * c * K if gate_a_channel else 2 * c * c * (key_heads * K + heads * c)
    between = 4 * heads * c * K * V
    return N * (scores + 2 * heads * c * c * V + between)
