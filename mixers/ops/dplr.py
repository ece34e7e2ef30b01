"""Generalised delta rule: the transition of the state is a diagonal plus a matrix of rank one.

    S_t = (diag(exp g_t) + b_t a_tᵀ) S_{t−1} + k_t v_tᵀ          o_t = scale · S_tᵀ q_t

Frame t reads u_t = S_{t−1}ᵀ a_t, the state before it fades, and writes that under b_t beside v_t under
k_t: gated linear attention with two writes a frame (RWKV-7, arXiv 2503.14456). Inside a chunk the reads of
earlier writes form a unit lower-triangular system in u, solved at once (the WY form, arXiv 2406.06484).
With a_t = −β_t exp(g_t) ∘ k_t, b_t = k_t and values β_t v_t it is `delta_rule`. The recurrence may grow
without bound unless a and b keep its transition from growing, as RWKV-7's a = −κ, b = η ∘ κ do, κ a unit
vector and η in [0, 1]. O(T) time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mixers.ops import portable
from mixers.ops.backend import Backend, alike, choose, kernel_gate, padded
from mixers.ops.checks import check_shapes
from mixers.ops.chunkwise import chunk_length
from mixers.ops.delta import carry_corrected
from mixers.ops.halving import key_gated
from mixers.ops.linear import zero_state
from mixers.ops.segments import by_segments


def dplr_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    a: Tensor,
    b: Tensor,
    scale: float | None = None,
    backend: Backend = "auto",
) -> Tensor:
    """q, k, a, b (B, T, H, K), v (B, T, H, V), log decay g ≤ 0 (B, T, H, K) → (B, T, H, V)."""
    keys = {name: (x, "BTHK") for name, x in zip("qkgab", (q, k, g, a, b), strict=True)}
    check_shapes(v=(v, "BTHV"), **keys)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if choose(backend, q, "dplr") == "fla":
        return _kernel(q, k, v, g, a, b, scale)
    return extend(zero_state(q, k, v, g, a, b), q, k, v, g, a, b, scale)[0]


def extend(
    state: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    a: Tensor,
    b: Tensor,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Go on from `state` (B, H, K, V) over further frames → their output and the state after them."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    out, state = by_segments(_chunks, state, (q * scale, k, v, g, a, b))
    return out.to(v.dtype), state


def _chunks(
    state: Tensor, q: Tensor, k: Tensor, v: Tensor, g: Tensor, a: Tensor, b: Tensor
) -> tuple[Tensor, Tensor]:
    """All (B, N, H, c, ·) → (B, N, H, c, V), and the next state."""
    scores, reading, writing, total = key_gated(*_two_writes(q, a, k, b, g))
    (q_on_k, a_on_k), (q_on_b, a_on_b) = (_of_each_reader(on) for on in _of_each_write(scores))
    q_state, a_state = _of_each_reader(_of_each_write(reading)[0], a[..., :1, :])
    u = _solved(a_on_b, torch.cat([a_on_k @ v, a_state], -1))
    u_own, u_seen = u.split([v.shape[-1], k.shape[-1]], -1)
    own, seen = torch.cat([v, u_own], -2), torch.cat([torch.zeros_like(k), -u_seen], -2)
    both, (total, _) = torch.cat(_of_each_write(writing), -2), _of_each_write(total)
    states, new, state = carry_corrected(total.unsqueeze(-1), both, own, seen, state)
    return q_state @ states + torch.cat([q_on_k, q_on_b], -1) @ new, state


def _two_writes(q: Tensor, a: Tensor, k: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The arguments of `key_gated`: both readers against k, and on a further batch against b.

    a reads the state before its frame, which is the state after the frame before: it goes one row up.
    """
    ahead = torch.nn.functional.pad(a[..., 1:, :], (0, 0, 0, 1))
    rows = torch.stack([q, ahead], -2).flatten(-3, -2)
    return torch.cat([rows, rows]), torch.cat([k, b]), torch.cat([g, g])


def _of_each_write(x: Tensor) -> tuple[Tensor, ...]:
    """(2B, …) → what belongs to the writes under k, and under b; (B, …) each."""
    return x.unflatten(0, (2, -1)).unbind(0)


def _of_each_reader(x: Tensor, first: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(…, c·2, ·) → the rows of q; and those of a, back on their frames, the first being `first` or zeros."""
    of_q, of_a = x.unflatten(-2, (-1, 2)).unbind(-2)
    first = torch.zeros_like(of_a[..., :1, :]) if first is None else first
    return of_q, torch.cat([first, of_a[..., :-1, :]], -2)


def _solved(reads: Tensor, known: Tensor) -> Tensor:
    """u with u = known + reads @ u, where `reads` is strictly lower triangular."""
    if portable.exporting():
        return portable.solve_unit_lower(-reads, known)
    return torch.linalg.solve_triangular(-reads.mT, known.mT, upper=True, left=False, unitriangular=True).mT


def _kernel(q: Tensor, k: Tensor, v: Tensor, g: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    from fla.ops.generalized_delta_rule import chunk_dplr_delta_rule

    q, k, v, a, b = alike(q, k, v, a, b)
    q, k, a, b, g = (padded(x).contiguous() for x in (q, k, a, b, kernel_gate(g)))
    return chunk_dplr_delta_rule(q, k, v.contiguous(), a, b, g, scale=scale)[0]


def flops(T: int, heads: int, K: int, V: int) -> int:
    """Flops of the matrix products and the triangular solve over T frames, batch 1."""
    c = chunk_length(T)
    within = 4 * c * c * K + 6 * c * c * V + c * c * (K + V)
    return heads * -(-T // c) * (within + 10 * c * K * V)
