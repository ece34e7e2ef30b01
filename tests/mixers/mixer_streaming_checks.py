"""What streaming promises, as checks that raise AssertionError; see `mixer_contract_checks`.

A mixer whose `init_state` raises NotImplementedError passes them all: streaming is optional.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mixer_contract_checks import FRAMES, WIDTH, Make, close, noise
from torch import Tensor

from mixers import TokenMixer

REFUSAL = "a bidirectional mixer cannot stream; build it with direction='causal'"
CUTS = st.sets(st.integers(1, FRAMES - 1))


def streams(mixer: TokenMixer) -> bool:
    try:
        mixer.init_state(1)
    except NotImplementedError:
        return False
    return True


def streamed(mixer: TokenMixer, x: Tensor, cuts: Iterable[int]) -> tuple[Tensor, Any]:
    """The output for x (B, T, D) given in pieces that end at `cuts` and at T; and the state after it."""
    state, start, outputs = mixer.init_state(x.shape[0]), 0, []
    for end in (*sorted(cuts), x.shape[1]):
        y, state = mixer.extend(x[:, start:end], state)
        outputs.append(y)
        start = end
    return torch.cat(outputs, 1), state


def tensors(state: Any) -> list[Tensor]:
    """The tensors of a state, which is one or nested tuples of them."""
    if isinstance(state, Tensor):
        return [state]
    assert isinstance(state, tuple), f"a state is tensors and tuples, not {type(state).__name__}"
    return [tensor for part in state for tensor in tensors(part)]


def bytes_held(state: Any) -> int:
    """Memory behind a state's tensors: what a view looks at counts whole, and once."""
    storages = {part.untyped_storage().data_ptr(): part.untyped_storage() for part in tensors(state)}
    return sum(storage.nbytes() for storage in storages.values())


@torch.no_grad()
def check_a_stream_cut_anywhere_equals_forward(make: Make) -> None:
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        mixer = make("causal").to(dtype).eval()
        if not streams(mixer):
            return
        x = noise(2, FRAMES, WIDTH).to(dtype)
        whole = mixer(x)

        @settings(max_examples=10, deadline=None, database=None)
        @given(CUTS)
        def check(cuts: set[int]) -> None:
            pieces = streamed(mixer, x, cuts)[0]  # noqa: B023 (called at once)
            assert pieces.dtype == whole.dtype  # noqa: B023
            assert close(pieces, whole, tolerance), f"{dtype}, cut at {sorted(cuts)}"  # noqa: B023

        check()


@torch.no_grad()
def check_single_steps_equal_forward(make: Make) -> None:
    mixer = make("causal").double().eval()
    if not streams(mixer):
        return
    x = noise(2, FRAMES, WIDTH).double()
    state, outputs = mixer.init_state(2), []
    for frame in x.unbind(1):
        y, state = mixer.step(frame, state)
        outputs.append(y)
    assert close(torch.stack(outputs, 1), mixer(x), 1e-10)


@torch.no_grad()
def check_a_long_stream_equals_forward(make: Make) -> None:
    """More frames than the ops work on at once."""
    mixer = make("causal").double().eval()
    if streams(mixer):
        x = noise(1, 1100, WIDTH).double()
        assert close(streamed(mixer, x, [1050, 1051])[0], mixer(x), 1e-10)


@torch.no_grad()
def check_state_bytes_are_those_held(make: Make) -> None:
    for dtype in (torch.float32, torch.float64):
        mixer = make("causal").to(dtype).eval()
        if not streams(mixer) or mixer.state_bytes(1) is None:
            return
        for frames, cuts in ((1, ()), (2, (1,)), (FRAMES, ()), (FRAMES, (3, 30))):
            held = bytes_held(streamed(mixer, noise(1, frames, WIDTH).to(dtype), cuts)[1])
            told = mixer.state_bytes(frames, dtype)
            assert held == told, f"{dtype}, {frames} frames: state_bytes says {told}, and {held} are held"


@torch.no_grad()
def check_the_state_given_is_left_as_it_was(make: Make) -> None:
    mixer = make("causal").eval()
    if not streams(mixer):
        return
    x = noise(2, FRAMES, WIDTH)
    for state in (mixer.init_state(2), streamed(mixer, x, (5,))[1]):
        before = [part.clone() for part in tensors(state)]
        first = mixer.extend(x, state)[0]
        assert equal(before, tensors(state)), "extend changed the state that it was given"
        assert torch.equal(mixer.extend(x, state)[0], first)


def equal(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def check_a_bidirectional_mixer_refuses_to_stream(make: Make) -> None:
    if not streams(make("causal")):
        return
    told = ""
    try:
        make("bidirectional").init_state(1)
    except ValueError as error:
        told = str(error)
    assert told == REFUSAL, f"told {told!r}, not {REFUSAL!r}"


STREAMING_CHECKS = tuple(value for name, value in sorted(globals().items()) if name.startswith("check_"))
