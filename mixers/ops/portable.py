"""The parts of the chunkwise ops in operators that every exporter knows, with the number of frames symbolic.

    if exporting():
        return portable.carry(decay, writes, state)

`torch.export` and the ONNX exporter trace a program once, for all lengths: no Python loop over chunks, no
in-place write to a view, no LAPACK. Here the state goes through `scan`, which becomes an ONNX Scan; the decay
between two frames of a chunk is held for every pair of them, so chunks are short; and a triangular system is
solved by products alone. Same equations, same numbers to rounding, slower: the ops use it for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

CHUNK = 16  # frames


def exporting() -> bool:
    """Whether `torch.export` or the ONNX exporter is tracing."""
    return torch.compiler.is_exporting()


def key_gated(rows: Tensor, keys: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`halving.key_gated`."""
    c = keys.shape[-2]
    decay = _between(g)
    apart = rows.unflatten(-2, (c, -1)).unsqueeze(-2) * (decay * keys.unsqueeze(-3)).unsqueeze(-3)
    from_start = g.cumsum(-2).exp()
    reading = (rows.unflatten(-2, (c, -1)) * from_start.unsqueeze(-2)).flatten(-3, -2)
    return apart.sum(-1).flatten(-3, -2), reading, keys * decay[..., -1, :, :], from_start[..., -1, :]


def value_gated(scores: Tensor, values: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """`halving.value_gated`."""
    decayed = _between(g) * values.unsqueeze(-3)
    return (scores.unsqueeze(-1) * decayed).sum(-2), decayed[..., -1, :, :]


def _between(g: Tensor) -> Tensor:
    """exp(Σ_{s in (j, i]} g_s) for j ≤ i, else 0: g (…, c, K) → (…, c, c, K)."""
    frame = torch.arange(CHUNK, device=g.device)
    i, j, s = frame[:, None, None], frame[None, :, None], frame[None, None, :]
    inside = ((j < s) & (s <= i)).to(g.dtype).flatten(0, 1)
    sums = (inside @ g).unflatten(-2, (CHUNK, CHUNK))
    return sums.exp() * (frame[:, None] >= frame).unsqueeze(-1).to(g.dtype)


def carry(decay: Tensor, writes: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """`chunkwise.carry`."""

    def step(state: Tensor, chunk: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        decay, write = chunk
        return decay * state + write, (state.clone(),)

    last, (states,) = _scan(step, state, (decay, writes))
    return states, last


def carry_corrected(
    total: Tensor, writing: Tensor, own: Tensor, seen: Tensor, state: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """`delta.carry_corrected`."""

    def step(state: Tensor, chunk: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        total, writing, own, seen = chunk
        new = own - seen @ state
        return total * state + writing.mT @ new, (state.clone(), new)

    last, (states, new) = _scan(step, state, (total, writing, own, seen))
    return states, new, last


def logcumsumexp(x: Tensor) -> Tensor:
    """log Σ_{j ≤ t} exp x_j along the frames of x (B, T, …)."""
    T = x.shape[1]
    lowest = torch.finfo(x.dtype).min / 2
    chunks = torch.nn.functional.pad(x, (0, 0) * (x.dim() - 2) + (0, -T % CHUNK), value=lowest)
    chunks = chunks.unflatten(1, (-1, CHUNK)).movedim(2, -1)
    frame = torch.arange(CHUNK, device=x.device)
    past = torch.where(frame[:, None] >= frame, chunks.unsqueeze(-2), lowest)
    highest = past.amax(-1, keepdim=True)
    inside = ((past - highest).exp().sum(-1, keepdim=True).log() + highest).squeeze(-1)

    def step(before: Tensor, chunk: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        return _logaddexp(before, chunk[0]), (before.clone(),)

    _, (before,) = _scan(step, torch.full_like(inside[:, 0, ..., -1], lowest), (inside[..., -1],))
    return _logaddexp(inside, before.unsqueeze(-1)).movedim(-1, 2).flatten(1, 2)[:, :T]


def _logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """torch.logaddexp, written so that it does not overflow in a runtime that takes it literally."""
    return torch.maximum(a, b) + torch.log1p((-(a - b).abs()).exp())


def solve_unit_lower(lower: Tensor, x: Tensor) -> Tensor:
    """(I + tril(lower, −1))⁻¹ x, for lower (…, c, c).

    The inverse of a block of 2h from those of its halves, [[A, 0], [C, B]]⁻¹ = [[A⁻¹, 0], [−B⁻¹CA⁻¹, B⁻¹]],
    for all blocks of a size at once: stable, unlike the series I − L + L² − …
    """
    frame = torch.arange(CHUNK, device=x.device)
    inverse = torch.eye(CHUNK, dtype=x.dtype, device=x.device)
    h = 1
    while h < CHUNK:
        row, column = frame[:, None] // h, frame // h
        corner = ((row % 2 == 1) & (row - column == 1)).to(x.dtype)
        inverse = inverse - inverse @ (lower * corner) @ inverse
        h *= 2
    return inverse @ x


def _scan(
    step: Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, tuple[Tensor, ...]]],
    state: Tensor,
    chunks: tuple[Tensor, ...],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run `step` over tensors (B, N, H, …) along N → the last state (B, H, …), and its outputs (B, N, H, …).

    `step` sees (B·H, …): in three dimensions a matrix product needs no reshaping to a symbolic size.
    """
    from torch._higher_order_ops import scan

    B = state.shape[0]
    turned = tuple(chunk.transpose(0, 1).flatten(1, 2) for chunk in chunks)
    last, outputs = scan(step, state.flatten(0, 1), turned, dim=0)
    return last.unflatten(0, (B, -1)), tuple(x.unflatten(1, (B, -1)).transpose(0, 1) for x in outputs)
