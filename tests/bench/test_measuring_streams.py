"""A state made old at once has the size of one that has really heard so much."""

from __future__ import annotations

import pytest
import torch

import mixers
from bench.config import Encoder, Features, System
from bench.evidence.records import Shape
from bench.measuring.streams import _tensors, aged, held_bytes, stream
from bench.measuring.targets import build

FRAMES = 700


def listened(mixer: mixers.TokenMixer, frames: int):
    x = torch.randn(1, frames, mixer.d_model)
    with torch.inference_mode():
        return mixer.extend(x, mixer.init_state(1))[1]


@pytest.mark.parametrize("name", ["softmax", "fox", "retnet", "lightnet", "gsa", "kda", "mamba2", "window"])
def test_an_aged_state_is_as_large_as_one_that_was_fed(name):
    mixer = mixers.build(name, 16, 2, "causal").eval()
    made, fed = aged(mixer, FRAMES), listened(mixer, FRAMES)
    assert [part.shape for part in _tensors(made)] == [part.shape for part in _tensors(fed)]
    assert [part.dtype for part in _tensors(made)] == [part.dtype for part in _tensors(fed)]
    assert held_bytes(made) == mixer.state_bytes(FRAMES, torch.float32)


def test_a_young_stream_is_really_fed():
    mixer = mixers.build("softmax", 16, 2, "causal").eval()
    assert held_bytes(aged(mixer, 5)) == mixer.state_bytes(5, torch.float32)


class Doubling(mixers.TokenMixer):
    """Keeps two rows a frame."""

    def __init__(self, d_model: int) -> None:
        super().__init__(d_model, 1, "causal")
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def init_state(self, batch):
        return self.zeros(batch, 0, self.d_model)

    def extend(self, x, state):
        return x, torch.cat([state, x, x], 1)


def test_a_state_that_grows_otherwise_is_refused():
    with pytest.raises(ValueError, match="cannot be aged"):
        aged(Doubling(4), FRAMES)


@pytest.mark.parametrize(("work", "frames"), [("frame", 1), ("second", 12)])
def test_one_call_takes_the_next_frame_or_second_and_leaves_the_age(work, frames):
    shape = Shape(
        target="mixer",
        system=System(layout="softmax", direction="causal"),
        seconds=60.0,
        features=Features(),
        encoder=Encoder(d_model=16, num_heads=2),
        device="x",
        threads=1,
        work=work,
    )
    mixer, run, state_bytes = stream(shape)
    assert state_bytes == build(shape).state_bytes == mixer.state_bytes(750, torch.float32)
    for _ in range(2):
        y, state = run()
        assert y.shape == (1, frames, 16)
        assert held_bytes(state) == mixer.state_bytes(750 + frames, torch.float32)
