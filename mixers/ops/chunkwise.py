"""What the chunkwise ops share: splitting time into segments and chunks, and carrying the state along.

    o, state = by_segments(form, state, (q, k, v, g))       # form sees chunks, (B, N, H, c, ·)

and inside a form:

    states, state = carry(decay, writing, values, state)    # the state before each chunk, and after the last

Frames added to fill the last chunk have zero keys and zero log decay, so they are inert. A segment is as
many chunks as are worked on at once: what lies between the inputs and the output does not grow with T, and
stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

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
    dtype = computing_dtype(*tensors)
    c = chunk_length(tensors[0].shape[1])
    with full_precision(tensors[0]):
        if portable.exporting() or torch.compiler.is_compiling():
            return _traced(form, state, tensors, c, dtype)
        before = state if isinstance(state, tuple) else (state,)
        given = (*before, *tensors) if torch.is_grad_enabled() else [x.detach() for x in (*before, *tensors)]
        out, *after = _Segments.apply(form, c, dtype, len(before), *given)
        return out, tuple(after) if isinstance(state, tuple) else after[0]


def _traced(
    form: Form, state: State, tensors: Sequence[Tensor], c: int, dtype: torch.dtype
) -> tuple[Tensor, State]:
    """`by_segments` for a tracer; an exporter, for which T is a symbol, gets one segment."""
    T = tensors[0].shape[1]
    parts = [tensors] if portable.exporting() else zip(*(x.split(SEGMENT, 1) for x in tensors), strict=True)
    outputs = []
    for segment in parts:
        out, state = form(state, *(to_chunks(x, c, dtype) for x in segment))
        outputs.append(from_chunks(out))
    return torch.cat(outputs, 1)[:, :T], state


class _Segment(NamedTuple):
    """A segment as a graph of its own: from its chunks and the state before it to output and state after."""

    state: tuple[Tensor, ...]
    chunks: tuple[Tensor, ...]
    out: Tensor
    after: tuple[Tensor, ...]


def _run(form: Form, state: Sequence[Tensor], chunks: Sequence[Tensor]) -> _Segment:
    out, after = form(tuple(state) if len(state) > 1 else state[0], *chunks)
    return _Segment(tuple(state), tuple(chunks), out, after if isinstance(after, tuple) else (after,))


class _Segments(Function):
    """See `by_segments`. Outputs and gradients are written once, where they belong."""

    @staticmethod
    def forward(
        ctx: Any, form: Form, c: int, dtype: torch.dtype, num_states: int, *arguments: Tensor
    ) -> tuple[Tensor, ...]:
        state, tensors = arguments[:num_states], arguments[num_states:]
        ctx.c, ctx.dtype, ctx.num_states, ctx.segments = c, dtype, num_states, []
        of_state, of_tensors = _split(ctx.needs_input_grad[4:], num_states)
        learns = any((*of_state, *of_tensors))
        T, whole = tensors[0].shape[1], None
        for start in range(0, T, SEGMENT):
            chunks = (to_chunks(x[:, start : start + SEGMENT], c, dtype) for x in tensors)
            with torch.set_grad_enabled(learns):
                segment = _run(form, _leaves(state, of_state), _leaves(chunks, of_tensors))
            whole = _room(segment.out, T) if whole is None else whole
            _put(segment.out.detach(), whole, start)
            state, of_state = segment.after, (learns,) * num_states
            if learns:
                ctx.segments.append(segment)
        assert whole is not None
        return whole, *(x.detach() for x in state)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_whole: Tensor, *d_state: Tensor) -> tuple[Tensor | None, ...]:
        of_state, of_tensors = _split(ctx.needs_input_grad[4:], ctx.num_states)
        d_tensors: list[Any] = [None] * len(of_tensors)
        for number, segment in reversed(list(enumerate(ctx.segments))):
            start = number * SEGMENT
            d_out = to_chunks(d_whole[:, start : start + SEGMENT], ctx.c, ctx.dtype)
            d_state, d_chunks = _backward(segment, d_out, d_state)
            for i, d_chunk in enumerate(d_chunks):
                if of_tensors[i]:
                    d_tensors[i] = _room(d_chunk, d_whole.shape[1]) if d_tensors[i] is None else d_tensors[i]
                    _put(d_chunk, d_tensors[i], start)
        needed = (d if need else None for d, need in zip(d_state, of_state, strict=True))
        return None, None, None, None, *needed, *d_tensors


def _backward(
    segment: _Segment, d_out: Tensor, d_after: Sequence[Tensor]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Gradients of a segment's state and chunks; zeros for what needs none or has no part."""
    leaves = (*segment.state, *segment.chunks)
    learning = [x for x in leaves if x.requires_grad]
    d_outputs = (d_out, *d_after)
    found = iter(
        torch.autograd.grad(
            (segment.out, *segment.after), learning, d_outputs, retain_graph=True, allow_unused=True
        )
    )
    grads = [next(found) if x.requires_grad else None for x in leaves]
    return _split(
        [torch.zeros_like(x) if d is None else d for d, x in zip(grads, leaves, strict=True)], len(d_after)
    )


def _split(items: Sequence[Any], num_states: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return tuple(items[:num_states]), tuple(items[num_states:])


def _leaves(tensors: Iterable[Tensor], learn: Sequence[bool]) -> tuple[Tensor, ...]:
    return tuple(x.detach().requires_grad_(needs) for x, needs in zip(tensors, learn, strict=True))


def _room(chunks: Tensor, T: int) -> Tensor:
    """An empty (B, T, H, D) for T frames of what comes as (B, N, H, c, D)."""
    return chunks.new_empty(chunks.shape[0], T, chunks.shape[2], chunks.shape[4])


def _put(chunks: Tensor, whole: Tensor, start: int) -> None:
    """Copy chunks (B, N, H, c, D) into whole (B, T, H, D) from frame `start` on; what is past T falls off."""
    place, c = whole[:, start : start + SEGMENT], chunks.shape[3]
    if place.shape[1] % c:
        place.copy_(from_chunks(chunks)[:, : place.shape[1]])
    else:
        place.unflatten(1, (-1, c)).copy_(chunks.transpose(2, 3))


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
        chunks = states.unbind(1)
        for n, after in enumerate(chunks[1:]):
            after.addcmul_(decay[:, n], chunks[n])
        last = torch.addcmul(writing[:, -1].mT @ values[:, -1], decay[:, -1], chunks[-1])
        ctx.save_for_backward(decay, writing, values, states)
        return states, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_last: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`d_states` is written over, as the states have one reader: it then holds the writes' gradients."""
        decay, writing, values, states = ctx.saved_tensors
        d_after = (*d_states.unbind(1)[1:], d_last)
        for n in range(len(d_after) - 1, 0, -1):
            d_after[n - 1].addcmul_(decay[:, n], d_after[n])
        d_state = torch.addcmul(d_states[:, 0], decay[:, 0], d_after[0])
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
