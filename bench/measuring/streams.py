"""A causal stream that has heard minutes of speech: what its next frame, or second, costs and what it keeps.

    state = aged(mixer, frames=45_000)          # as after an hour, made in milliseconds
    target = build(shape)                       # a shape whose work is "frame" or "second"

Costs depend on the shapes of a state, not on what it holds. So a state of any age is had from a short one:
a memory of fixed size is as large after an hour, and keys and values of all frames are repeated until
there are as many as the stream would have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from bench.evidence.records import Shape
from bench.evidence.speech import stream_frames
from bench.measuring import sizes
from bench.measuring.engines import Run
from bench.measuring.subjects import layer, number
from mixers import TokenMixer

HEARD = 256  # frames that are really heard, then as many again: more than any window here holds


def stream(shape: Shape) -> tuple[TokenMixer, Run, int]:
    """The mixer, one call of its stream, and the bytes of the state that it starts from.

    NotImplementedError where the mixer does not stream.
    """
    torch.manual_seed(0)
    mixer = layer(shape).eval()
    with torch.inference_mode():
        state = aged(mixer, sizes.encoder_frames(shape))
        x = torch.randn(1, stream_frames(shape), mixer.d_model).to(shape.device_kind, number(shape))

    @torch.inference_mode()
    def run() -> object:
        result = mixer.extend(x, state)
        if shape.device_kind == "cuda":
            torch.cuda.synchronize()
        return result

    return mixer, run, held_bytes(state)


@torch.inference_mode()
def aged(mixer: TokenMixer, frames: int) -> Any:
    """A state of the size that `mixer` has after so many frames; ValueError where it grows irregularly."""
    like = next(mixer.parameters())
    heard = min(HEARD, frames)
    x = torch.randn(1, 2 * heard, mixer.d_model, device=like.device, dtype=like.dtype)
    _, young = mixer.extend(x[:, :heard], mixer.init_state(1))
    if heard == frames:
        return young
    _, older = mixer.extend(x[:, heard:], young)
    return _grown(young, older, frames, heard)


def held_bytes(state: Any) -> int:
    """Bytes of the tensors of a state."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(state))


def _tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    else:
        for part in state:
            yield from _tensors(part)


def _grown(young: Any, older: Any, frames: int, heard: int) -> Any:
    """`older` (after 2 · heard frames) with every axis that grew by one entry a frame made `frames` long."""
    if not isinstance(older, Tensor):
        return tuple(_grown(*parts, frames, heard) for parts in zip(young, older, strict=True))
    growth = [new - old for new, old in zip(older.shape, young.shape, strict=True)]
    grown = [axis for axis, gain in enumerate(growth) if gain]
    if not grown:
        return older
    if len(grown) > 1 or growth[grown[0]] != heard:
        raise ValueError("the state grows in another way than by one entry a frame, so it cannot be aged")
    axis = grown[0]
    wanted = frames + older.shape[axis] - 2 * heard
    return older.index_select(axis, torch.arange(wanted, device=older.device) % older.shape[axis])
