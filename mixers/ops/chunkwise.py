"""What the chunkwise ops share inside a segment: chunks, products of many small matrices, the state's way.

    chunks = to_chunks(x, c, dtype)                         # (B, T, H, D) → (B, N, H, c, D)
    states, state = carry(decay, writing, values, state)    # the state before each chunk, and after the last

Frames added to fill the last chunk have zero keys and zero log decay, so they are inert.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from mixers.ops import portable

LONGEST, SHORTEST = 32, 16  # frames in a chunk


def chunk_length(T: int) -> int:
    """A power of two: the longest that pads T frames least."""
    if portable.exporting():
        return portable.CHUNK
    if T <= SHORTEST:
        return 1 << max(T - 1, 0).bit_length()
    lengths = (LONGEST, SHORTEST)
    return min(lengths, key=lambda c: -(-T // c) * c)


def to_chunks(x: Tensor, c: int, dtype: torch.dtype) -> Tensor:
    """x (B, T, H, D) → (B, N, H, c, D) of `dtype`, zeros after the last frame."""
    B, T, H, D = x.shape
    if portable.exporting() or T % c:  # padding by nothing would copy
        x = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, -T % c))
    return x.reshape(B, -1, c, H, D).transpose(2, 3).to(dtype).contiguous()


def from_chunks(x: Tensor) -> Tensor:
    """x (B, N, H, c, D) → (B, N·c, H, D)."""
    return x.transpose(2, 3).flatten(1, 2)


def two_products(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """a @ b + c @ d, all (B, N, H, ·, ·)."""
    return add_product(a @ b, c, d)


def add_product(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """x + a @ b, all (B, N, H, ·, ·), written over x, which is contiguous."""
    x.view(-1, *x.shape[-2:]).baddbmm_(a.flatten(0, -3), b.flatten(0, -3))
    return x


def sum_from(x: Tensor) -> Tensor:
    """Σ_{t ≥ s} x_t along the frames (…, c, K), by one product with a 0/1 matrix."""
    c = x.shape[-2]
    return torch.ones(c, c, dtype=x.dtype, device=x.device).triu() @ x


def computing_dtype(*tensors: Tensor) -> torch.dtype:
    """float64 where any input is, else float32."""
    return torch.float64 if any(x.dtype == torch.float64 for x in tensors) else torch.float32


def full_precision(x: Tensor) -> torch.autocast:
    """A context in which autocast leaves the recurrence in its own precision."""
    return torch.autocast(x.device.type, enabled=False)


def carry(decay: Tensor, writing: Tensor, values: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """States before each chunk (B, N, H, K, V), and after the last (B, H, K, V).

        S ← decay ∘ S + writingᵀ @ values

    writing (B, N, H, c, K), values (B, N, H, c, V), decay broadcasts to (B, N, H, K, V); `state` is the one
    before the first chunk.
    """
    if portable.exporting():
        return portable.carry(decay, writing.mT @ values, state)
    if torch.compiler.is_compiling():  # which does not trace writes into parts of a tensor
        writes, states = writing.mT @ values, [state]
        for n in range(writes.shape[1]):
            states.append(torch.addcmul(writes[:, n], decay[:, n], states[n]))
        return torch.stack(states[:-1], 1), states[-1]
    return _Carry.apply(decay, writing, values, state)


class _Carry(Function):
    """See `carry`; what a chunk writes is put where the state after it will lie, and never copied."""

    @staticmethod
    def forward(
        ctx: Any, decay: Tensor, writing: Tensor, values: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        states = state.new_empty(*writing.shape[:2], *state.shape[1:])
        states[:, 0] = state
        _multiply(writing[:, :-1].mT, values[:, :-1], states[:, 1:])
        chunks, fades = states.unbind(1), decay.unbind(1)
        for before, fade, after in zip(chunks[:-1], fades[:-1], chunks[1:], strict=True):
            after.addcmul_(fade, before)
        last = torch.addcmul(writing[:, -1].mT @ values[:, -1], fades[-1], chunks[-1])
        ctx.save_for_backward(decay, writing, values, states)
        return states, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_last: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`d_states` is written over, as the states have one reader: it then holds the writes' gradients."""
        decay, writing, values, states = ctx.saved_tensors
        d_after, fades = (*d_states.unbind(1)[1:], d_last), decay.unbind(1)
        for n in range(len(d_after) - 1, 0, -1):
            d_after[n - 1].addcmul_(fades[n], d_after[n])
        d_state = torch.addcmul(d_states[:, 0], fades[0], d_after[0])
        d_decay, d_writing, d_values = (torch.empty_like(x) for x in (decay, writing, values))
        d_decay[:, :-1] = _inner(d_states[:, 1:], states[:, :-1], decay)
        _multiply(values[:, :-1], d_states[:, 1:].mT, d_writing[:, :-1])
        _multiply(writing[:, :-1], d_states[:, 1:], d_values[:, :-1])
        d_decay[:, -1] = _inner(d_last[:, None], states[:, -1:], decay)[:, 0]
        d_writing[:, -1], d_values[:, -1] = values[:, -1] @ d_last.mT, writing[:, -1] @ d_last
        return d_decay, d_writing, d_values, d_state


def _multiply(a: Tensor, b: Tensor, out: Tensor) -> None:
    """out = a @ b, all (B, n, H, ·, ·), each utterance's part of `out` contiguous; n may be 0."""
    if out.shape[1]:
        for x, y, product in zip(a, b, out, strict=True):
            torch.bmm(x.flatten(0, 1), y.flatten(0, 1), out=product.flatten(0, 1))


def _inner(a: Tensor, b: Tensor, like: Tensor) -> Tensor:
    """a ∘ b (B, n, H, K, V) summed over those of the last two axes on which `like` is of size 1."""
    if like.shape[-2:] == (1, 1):
        return a.flatten(-2).unsqueeze(-2) @ b.flatten(-2).unsqueeze(-1)
    return (a * b).sum([axis for axis in (-2, -1) if like.shape[axis] == 1], keepdim=True)
