"""Every mixer that streams gives what `forward` gives, and holds what it says; broken streams are caught."""

from __future__ import annotations

from typing import Any

import mixer_streaming_checks as checks
import pytest
import torch
from mixer_contract_checks import FRAMES, HEADS, WIDTH, maker, noise, run
from mixer_streaming_checks import STREAMING_CHECKS, bytes_held, streamed
from torch import Tensor

import mixers
from mixers import TokenMixer

STUDIED = ["softmax", "softmax_unfused", "retnet", "lightnet", "gsa", "fox", "kda", "mamba2"]


@pytest.mark.parametrize("check", STREAMING_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", mixers.available())
def test_every_mixer_that_streams_keeps_the_promise(name, check):
    run(check, name)


@pytest.mark.parametrize("name", STUDIED)
def test_the_studied_mixers_stream(name):
    assert checks.streams(maker(name)("causal"))


@pytest.mark.parametrize("name", STUDIED)
def test_bfloat16_parameters_keep_the_memory_in_float32_and_the_rest_in_bfloat16(name):
    mixer = maker(name)("causal").to(torch.bfloat16)
    x = noise(1, FRAMES, WIDTH).to(torch.bfloat16)
    with torch.no_grad():
        y, state = streamed(mixer, x, (3, 4, 30))
        assert bytes_held(state) == mixer.state_bytes(FRAMES, torch.bfloat16)
        expected = mixer(x)
    assert y.dtype == expected.dtype == torch.bfloat16
    assert (y - expected).float().norm() < 0.02 * expected.float().norm()


@pytest.mark.parametrize("name", STUDIED)
def test_a_stream_carries_gradients_across_its_cuts(name):
    mixer = maker(name)("causal").double()
    x = noise(1, FRAMES, WIDTH).double().requires_grad_()
    weights = noise(1, FRAMES, WIDTH, seed=1).double()
    gradients = [
        torch.autograd.grad((y * weights).sum(), [x, *mixer.parameters()])
        for y in (streamed(mixer, x, (5, 6, 20))[0], mixer(x))
    ]
    for cut, whole in zip(*gradients, strict=True):
        torch.testing.assert_close(cut, whole, rtol=1e-8, atol=1e-10)


class Sum(TokenMixer):
    """y_t = x_1 + … + x_t, rightly streamed."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x.cumsum(1)

    def init_state(self, batch: int) -> Any:
        if self.bidirectional:
            raise ValueError(checks.REFUSAL)
        return torch.zeros(batch, self.d_model)

    def extend(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y = x.cumsum(1) + state.unsqueeze(1).to(x.dtype)
        return y, y[:, -1].clone()

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return self.d_model * dtype.itemsize


class Forgets(Sum):
    def extend(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return super().extend(x, torch.zeros_like(state))


class Overwrites(Sum):
    def extend(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, after = super().extend(x, state)
        return y, state.copy_(after)


class HoldsAllOfItsOutput(Sum):
    def extend(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, _ = super().extend(x, state)
        return y, y[:, -1]


class StreamsBothWays(Sum):
    def init_state(self, batch: int) -> Any:
        return torch.zeros(batch, self.d_model)


def test_the_checks_pass_a_right_stream_and_a_mixer_without_one():
    for check in STREAMING_CHECKS:
        check(lambda direction: Sum(WIDTH, HEADS, direction))
        check(lambda direction: TokenMixer(WIDTH, HEADS, direction))


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (Forgets, checks.check_a_stream_cut_anywhere_equals_forward),
        (Forgets, checks.check_single_steps_equal_forward),
        (Forgets, checks.check_a_long_stream_equals_forward),
        (Overwrites, checks.check_the_state_given_is_left_as_it_was),
        (HoldsAllOfItsOutput, checks.check_state_bytes_are_those_held),
        (StreamsBothWays, checks.check_a_bidirectional_mixer_refuses_to_stream),
    ],
)
def test_a_broken_stream_is_caught(broken, check):
    with pytest.raises(AssertionError):
        check(lambda direction: broken(WIDTH, HEADS, direction))
