"""What the chunkwise ops share: splitting time into segments and chunks, and carrying the state along.

    o, state = by_segments(form, state, (q, k, v, g))       # form sees chunks, (B, N, H, c, ·)

and inside a form:

    states, state = carry(decay, writing, values, state)    # the state before each chunk, and after the last

Frames added to fill the last chunk have zero keys and zero log decay, so they are inert. A segment is as
many chunks as are worked on at once: what lies between the inputs and the output does not grow with T, and
stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from mixers.ops import portable

LONGEST, SHORTEST = 32, 16  # frames in a chunk
SEGMENT = 1024  # frames worked on at once


def chunk_length(T: int) -> int:
    """A power of two: the longest that pads T frames least."""
    if portable.exporting():
        return portable.CHUNK
    if T <= SHORTEST:
        return 1 << max(T - 1, 0).bit_length()
    lengths = (LONGEST, SHORTEST)
    return min(lengths, key=lambda c: -(-T // c) * c)


State = Any  # a tensor, or a tuple of tensors, (B, H, ·, ·) each
Form = Callable[..., tuple[Tensor, State]]  # (state, *chunks) → output in chunks, next state


def by_segments(form: Form, state: State, tensors: Sequence[Tensor]) -> tuple[Tensor, State]:
    """Run `form` over tensors (B, T, H, ·), SEGMENT frames at a time → (B, T, H, V) and the last state."""
    T, dtype = tensors[0].shape[1], computing_dtype(*tensors)
    c = chunk_length(T)
    with full_precision(tensors[0]):
        if portable.exporting():
            out, state = form(state, *(to_chunks(x, c, dtype) for x in tensors))
            return from_chunks(out)[:, :T], state
        outputs = _Outputs(T)
        for segment in zip(*(x.split(SEGMENT, 1) for x in tensors), strict=True):
            out, state = form(state, *(to_chunks(x, c, dtype) for x in segment))
            outputs.append(out)
        return outputs.joined(), state


class _Outputs:
    """The segments' outputs (B, N, H, c, D), one after the other; the frames beyond T fall off.

    Where no gradient is wanted each is copied at once to its place in the whole, so that the segments
    never lie in memory beside it.
    """

    def __init__(self, T: int) -> None:
        self.T = T
        self.segments: list[Tensor] = []
        self.whole: Tensor | None = None
        self.filled = 0

    def append(self, out: Tensor) -> None:
        if torch.is_grad_enabled() or self.T <= SEGMENT:
            self.segments.append(from_chunks(_Settled.apply(out)))
            return
        B, N, H, c, D = out.shape
        if self.whole is None:
            self.whole = out.new_empty(B, -(-self.T // c) * c, H, D)
        end = self.filled + N * c
        self.whole[:, self.filled : end].unflatten(1, (N, c)).copy_(out.transpose(2, 3))
        self.filled = end

    def joined(self) -> Tensor:
        whole = self.segments[0] if len(self.segments) == 1 else self.whole
        whole = torch.cat(self.segments, 1) if whole is None else whole
        return whole if whole.shape[1] == self.T else whole[:, : self.T]


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


class _Settled(Function):
    """The identity, whose gradient is laid out in memory once, for all the products that take it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.contiguous()


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
        B, N = writing.shape[:2]
        states = state.new_empty(B, N, *state.shape[1:])
        states[:, 0] = state
        if N > 1:
            for wrote, value, after in zip(writing[:, :-1], values[:, :-1], states[:, 1:], strict=True):
                torch.bmm(wrote.flatten(0, 1).mT, value.flatten(0, 1), out=after.flatten(0, 1))
        chunks = states.unbind(1)
        for n, after in enumerate(chunks[1:]):
            after.addcmul_(decay[:, n], chunks[n])
        last = torch.addcmul(writing[:, -1].mT @ values[:, -1], decay[:, -1], chunks[-1])
        ctx.save_for_backward(decay, writing, values, states)
        return states, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_last: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        decay, writing, values, states = ctx.saved_tensors
        d_writes = torch.empty_like(states)
        d_writes[:, -1] = d_last
        for n in range(states.shape[1] - 1, 0, -1):
            torch.addcmul(d_states[:, n], decay[:, n], d_writes[:, n], out=d_writes[:, n - 1])
        d_state = torch.addcmul(d_states[:, 0], decay[:, 0], d_writes[:, 0])
        return _inner(d_writes, states, decay), values @ d_writes.mT, writing @ d_writes, d_state


def _inner(a: Tensor, b: Tensor, like: Tensor) -> Tensor:
    """a ∘ b (B, N, H, K, V) summed over the axes on which `like` is of size 1."""
    if like.shape[-2:] == (1, 1):
        return (a.view(-1, 1, a[0, 0, 0].numel()) @ b.view(-1, b[0, 0, 0].numel(), 1)).view(like.shape)
    return (a * b).sum_to_size(like.shape)
