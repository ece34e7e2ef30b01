"""Gated delta rule: a state that corrects what it holds under a key, instead of adding to it.

    S_t = (I − β_t k_t k_tᵀ) diag(exp g_t) S_{t−1} + β_t k_t v_tᵀ          o_t = scale · S_tᵀ q_t

g is one number a key channel (KDA, arXiv 2510.26692) or one a head (gated DeltaNet, arXiv 2412.06464).
Inside a chunk the corrections of earlier frames form a unit lower-triangular system (the WY form, arXiv
2406.06484), solved at once. Keys are expected to be unit vectors and β in [0, 1]; otherwise the
recurrence itself may grow without bound. O(T) time.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from mixers.ops import portable
from mixers.ops.backend import Backend, alike, choose, kernel_gate, padded
from mixers.ops.checks import check_shapes
from mixers.ops.chunkwise import chunk_length, two_products
from mixers.ops.halving import key_gated
from mixers.ops.linear import zero_state
from mixers.ops.segments import by_segments


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
    check_shapes(q=(q, "BTHK"), k=(k, "BTHK"), v=(v, "BTHV"), g=(g, "BTHK", "BTH"), beta=(beta, "BTH"))
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    g = g if g.dim() == 4 else g.unsqueeze(-1).expand_as(k)
    if choose(backend, q, "delta_rule") == "fla":
        return _kernel(q, k, v, g, beta, scale)
    return extend(zero_state(q, k, v, g, beta), q, k, v, g, beta, scale)[0]


def extend(
    state: Tensor, q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """Go on from `state` (B, H, K, V) over further frames → their output and the state after them."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    g = g if g.dim() == 4 else g.unsqueeze(-1).expand_as(k)
    out, state = by_segments(partial(_chunks, scale), state, (q, k, v, g, beta.unsqueeze(-1)))
    return out.to(v.dtype), state


def _chunks(
    scale: float, state: Tensor, q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor
) -> tuple[Tensor, Tensor]:
    """All (B, N, H, c, ·) → (B, N, H, c, V), and the next state."""
    scores, reading, writing, total = key_gated(torch.stack([q * scale, k], -2).flatten(-3, -2), k, g)
    (read, overlap), (q_state, k_state) = (x.unflatten(-2, (-1, 2)).unbind(-2) for x in (scores, reading))
    targets = torch.cat([v, k_state], -1)
    own, seen = _corrected(overlap, beta, beta * targets).split([v.shape[-1], k.shape[-1]], -1)
    states, new, state = carry_corrected(total.unsqueeze(-1), writing, own, seen, state)
    return two_products(q_state, states, read, new), state


def _corrected(overlap: Tensor, beta: Tensor, x: Tensor) -> Tensor:
    """(I + tril(β · overlap, −1))⁻¹ x: what each frame writes once its predecessors' writes are taken off."""
    if portable.exporting():
        return portable.solve_unit_lower(beta * overlap, x)
    system = beta * overlap  # turned on its side, as LAPACK's columns are our rows: nothing is copied
    return torch.linalg.solve_triangular(system.mT, x.mT, upper=True, left=False, unitriangular=True).mT


def carry_corrected(
    total: Tensor, writing: Tensor, own: Tensor, seen: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """States before each chunk (B, N, H, K, V), what each frame writes (B, N, H, c, V), and the last state.

        new = own − seen @ S          S ← total ∘ S + writingᵀ @ new

    total (B, N, H, K, 1), writing and seen (B, N, H, c, K), own (B, N, H, c, V), S from `state` (B, H, K, V).
    """
    if portable.exporting():
        return portable.carry_corrected(total, writing, own, seen, state)
    if torch.compiler.is_compiling():
        return _carry_traced(total, writing, own, seen, state)
    return _Carry.apply(total, writing, own, seen, state)


def _carry_traced(
    total: Tensor, writing: Tensor, own: Tensor, seen: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """`carry_corrected` without writes into parts of a tensor, which `torch.compile` does not trace."""
    states, new = [state], []
    for n in range(total.shape[1]):
        new.append(own[:, n] - seen[:, n] @ states[n])
        states.append(total[:, n] * states[n] + writing[:, n].mT @ new[n])
    return torch.stack(states[:-1], 1), torch.stack(new, 1), states[-1]


class _Carry(Function):
    """See `carry_corrected`."""

    @staticmethod
    def forward(
        ctx: Any, total: Tensor, writing: Tensor, own: Tensor, seen: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        B = total.shape[0]
        total, writing, own, seen = (_in_turn(x) for x in (total, writing, own, seen))
        states = state.new_empty(len(total) + 1, total.shape[1], *state.shape[-2:])
        states[0] = state.flatten(0, 1)
        new = torch.empty_like(own)
        for n in range(len(total)):
            torch.baddbmm(own[n], seen[n], states[n], alpha=-1, out=new[n])
            torch.mul(total[n], states[n], out=states[n + 1])
            torch.baddbmm(states[n + 1], writing[n].mT, new[n], out=states[n + 1])
        ctx.save_for_backward(total, writing, seen, new, states)
        return _side_by_side(states[:-1], B), _side_by_side(new, B), states[-1].unflatten(0, (B, -1)).clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_new: Tensor, d_last: Tensor) -> tuple[Tensor, ...]:
        total, writing, seen, new, states = ctx.saved_tensors
        B = d_states.shape[0]
        d_states, d_own = _in_turn(d_states), _in_turn(d_new).clone()
        later = torch.empty_like(states)  # gradients of the states after each chunk; the first's before it
        later[-1] = d_last.flatten(0, 1)
        for n in reversed(range(len(total))):
            torch.baddbmm(d_own[n], writing[n], later[n + 1], out=d_own[n])
            torch.addcmul(d_states[n], total[n], later[n + 1], out=later[n])
            torch.baddbmm(later[n], seen[n].mT, d_own[n], alpha=-1, out=later[n])
        d_total = (later[1:] * states[:-1]).sum(-1, keepdim=True)
        d_writing, d_seen = new @ later[1:].mT, -(d_own @ states[:-1].mT)
        grads = (_side_by_side(x, B) for x in (d_total, d_writing, d_own, d_seen))
        return (*grads, later[0].unflatten(0, (B, -1)))


def _in_turn(x: Tensor) -> Tensor:
    """(B, N, H, ·, ·) → (N, B·H, ·, ·)."""
    return x.transpose(0, 1).flatten(1, 2)


def _side_by_side(x: Tensor, B: int) -> Tensor:
    """(N, B·H, ·, ·) → (B, N, H, ·, ·)."""
    return x.unflatten(1, (B, -1)).transpose(0, 1)


def _kernel(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, scale: float) -> Tensor:
    from fla.ops.kda import chunk_kda

    width, dtype = v.shape[-1], v.dtype
    q, k, v = (padded(x) for x in alike(q, k, v))
    return chunk_kda(q, k, v, padded(kernel_gate(g)), beta.float(), scale=scale)[0][..., :width].to(dtype)


def flops(T: int, heads: int, K: int, V: int) -> int:
    """Flops of the matrix products and the triangular solve over T frames, batch 1."""
    c = chunk_length(T)
    N = -(-T // c)
    within = 3 * c * c * (K + V)
    between = 6 * c * K * V
    return heads * N * (within + between)
