"""Time in segments: as many chunks as are worked on at once, one segment after the other.

    o, state = by_segments(form, state, (q, k, v, g))       # form sees chunks, (B, N, H, c, ·)

What lies between the inputs and the output does not grow with T, and stays in the processor's cache. For the
backward pass each segment is a graph of its own, so that outputs and gradients are written once, where they
belong, and never cut apart or joined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from mixers.ops import portable
from mixers.ops.chunkwise import chunk_length, computing_dtype, from_chunks, full_precision, to_chunks

SEGMENT = 1024  # frames worked on at once

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
            del segment  # or the next one would be written beside it, outside the cache
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
