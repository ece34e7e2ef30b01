"""Sizes, costs and constants of the mixers, and their causal forms against their papers' recurrences."""

from __future__ import annotations

import pytest
import torch
from mixer_contract_checks import counted_flops
from mixer_oracles import linear_loop
from torch.nn.functional import silu, softplus

import mixers
from mixers.kda import KDA
from mixers.mamba2 import Mamba2
from mixers.parts import ShortConvolution, logcumsumexp, packed, rotary
from mixers.retnet import RetNet

STUDIED = ["softmax", "retnet", "lightnet", "gsa", "fox", "kda", "mamba2"]  # of the published sizes
GATES = {"A_log", "dt_bias", "D", "norm.weight", "forget.bias"}


def providers(method: str) -> list[str]:
    """Mixers that write an optional method of the contract."""
    default = getattr(mixers.TokenMixer, method)
    return [name for name in mixers.available() if getattr(mixers.info(name).cls, method) is not default]


@pytest.mark.parametrize("width", [96, 128, 256, 512])
@pytest.mark.parametrize("name", STUDIED)
def test_a_studied_mixer_is_as_large_as_softmax_attention(name, width):
    parameters = sum(p.numel() for p in mixers.build(name, width).parameters())
    assert parameters == pytest.approx(4 * width**2, rel=0.03)


@pytest.mark.parametrize("name", STUDIED)
def test_gates_and_norms_and_nothing_else_are_exempt_from_weight_decay(name):
    for parameter_name, parameter in mixers.build(name, 32).named_parameters():
        assert getattr(parameter, "_no_weight_decay", False) == (parameter_name in GATES), parameter_name


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("frames", [20, 96, 1000])
@pytest.mark.parametrize("name", providers("flops"))
def test_flops_are_those_that_torch_counts(name, frames, direction):
    mixer = mixers.build(name, 96, 4, direction)
    assert mixer.flops(frames) == pytest.approx(counted_flops(mixer, torch.randn(1, frames, 96)), rel=0.1)


@pytest.mark.parametrize("name", providers("state_bytes"))
def test_a_stream_keeps_a_fixed_state_where_time_is_linear(name):
    mixer = mixers.build(name, 96, 4, "causal")
    short, long = mixer.state_bytes(100), mixer.state_bytes(10_000)
    assert long == (short if mixers.info(name).complexity == "O(T)" else 100 * short)


def test_a_softmax_stream_keeps_all_keys_and_values():
    assert mixers.build("softmax", 96, 4, "causal").state_bytes(50, torch.bfloat16) == 2 * 50 * 96 * 2


def test_retnet_fades_at_the_published_rates():
    expected = torch.tensor([1 - 2.0**-5, 1 - 2.0**-6, 1 - 2.0**-7, 1 - 2.0**-8])
    torch.testing.assert_close(RetNet(32, 4).log_decay.exp(), expected)


def test_retnet_equals_the_parallel_form_of_its_paper():
    """Q K^T ∘ D with complex rotation exp(inθ), eq. 5 of arXiv 2307.08621."""
    torch.manual_seed(0)
    mixer, T = RetNet(32, 4, "causal").double(), 50
    x = torch.randn(1, T, 32, dtype=torch.float64)
    q, k, v, gate = mixer.parts(x)
    half = mixer.key_dim // 2
    theta = 10_000 ** (-torch.arange(half, dtype=torch.float64) / half)
    turn = torch.polar(torch.ones(T, half, dtype=torch.float64), torch.arange(T)[:, None] * theta)[:, None]
    q, k = (torch.complex(p[..., :half], p[..., half:]) * turn for p in (q, k))
    gamma = 1 - 2.0 ** (-5 - torch.arange(4, dtype=torch.float64))
    distance = torch.arange(T)[:, None] - torch.arange(T)
    decay = torch.where(distance >= 0, gamma[:, None, None] ** distance, 0)
    scores = torch.einsum("bihk,bjhk->bhij", q, k.conj()).real * decay / mixer.key_dim**0.5
    o = torch.einsum("bhij,bjhv->bihv", scores, v)
    expected = mixer.out((mixer.norm(o) * silu(gate)).flatten(2))
    torch.testing.assert_close(mixer(x), expected, rtol=1e-5, atol=1e-6)  # the stored decay is float32


def convolved(x: torch.Tensor, convolution: ShortConvolution) -> torch.Tensor:
    """Causal depthwise convolution by torch's Conv1d; x (B, T, C)."""
    channels, taps = convolution.weight.shape
    reference = torch.nn.Conv1d(channels, channels, taps, groups=channels, padding=taps - 1).to(x.dtype)
    with torch.no_grad():
        reference.weight.copy_(convolution.weight[:, None])
        reference.bias.copy_(torch.zeros(channels) if convolution.bias is None else convolution.bias)
    return reference(x.mT)[..., : x.shape[1]].mT


def test_kda_equals_its_recurrence():
    torch.manual_seed(0)
    mixer = KDA(32, 4, "causal").double()
    x = torch.randn(2, 45, 32, dtype=torch.float64)
    q, k, v = silu(convolved(mixer.qkv(x), mixer.convolution)).chunk(3, -1)
    q, k, v = (part.unflatten(-1, (4, -1)) for part in (q, k, v))
    q, k = (part / (part.square().sum(-1, keepdim=True) + 1e-6).sqrt() for part in (q, k))
    g = -mixer.A_log.exp()[:, None] * softplus(mixer.fade(x) + mixer.dt_bias).unflatten(-1, (4, -1))
    o = linear_loop(q, k, v, g, mixer.key_dim**-0.5, mixer.rate(x).sigmoid())
    gate = mixer.gate(x).sigmoid().unflatten(-1, (4, -1))
    torch.testing.assert_close(mixer(x), mixer.out((mixer.norm(o) * gate).flatten(2)))


def test_mamba2_equals_its_recurrence():
    torch.manual_seed(0)
    mixer = Mamba2(32, 4, "causal").double()
    x = torch.randn(2, 45, 32, dtype=torch.float64)
    z, features, dt = mixer.project(x).split(mixer.sizes, -1)
    features = silu(convolved(features, mixer.convolution))
    u, B, C = features.split([mixer.inner, mixer.state_dim, mixer.state_dim], -1)
    u, dt = u.unflatten(-1, (4, -1)), softplus(dt + mixer.dt_bias)
    B, C = (part[:, :, None].expand(-1, -1, 4, -1) for part in (B, C))
    o = linear_loop(C, B, u * dt[..., None], -mixer.A_log.exp() * dt, 1.0) + mixer.D[:, None] * u
    torch.testing.assert_close(mixer(x), mixer.out(mixer.norm(o.flatten(2) * silu(z))))


def test_gates_start_in_the_published_range():
    for mixer in (KDA(96), Mamba2(96)):
        rate, step = mixer.A_log.exp(), softplus(mixer.dt_bias)
        assert rate.min() >= 1
        assert rate.max() <= 16
        assert step.min() >= 1e-3 * (1 - 1e-4)
        assert step.max() <= 1e-1 * (1 + 1e-4)


@pytest.mark.parametrize("T", [1, 2, 10, 97])
@pytest.mark.parametrize("spread", [1.0, 1e3])
def test_logcumsumexp_is_torchs(T, spread):
    x = (spread * torch.randn(2, T, 3, dtype=torch.float64)).requires_grad_()
    ours, expected = logcumsumexp(x), torch.logcumsumexp(x, 1)
    torch.testing.assert_close(ours, expected)
    weights = torch.randn_like(x)
    ours_grad, grad = (torch.autograd.grad((y * weights).sum(), x)[0] for y in (ours, expected))
    torch.testing.assert_close(ours_grad, grad)


def test_rotary_keeps_lengths_and_sees_only_distances():
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64).unbind(0)
    here, there = torch.tensor([[3.0]]), torch.tensor([[10.0]])
    near = (rotary(q, here) * rotary(k, there)).sum()
    far = (rotary(q, here + 500) * rotary(k, there + 500)).sum()
    torch.testing.assert_close(near, far)
    torch.testing.assert_close(rotary(q, there).norm(), q.norm())


def test_packing_puts_real_frames_first_in_order_and_their_results_back():
    x = torch.arange(6.0).reshape(1, 6, 1)
    mask = torch.tensor([[False, True, False, True, True, False]])
    met = []

    def mix(front, front_mask):
        met.extend([front[0, :, 0].tolist(), front_mask[0].tolist()])
        return front.cumsum(1)

    out = packed(mix, x, mask)
    assert met == [[1, 3, 4, 0, 0, 0], [True] * 3 + [False] * 3]
    assert out[0, [1, 3, 4], 0].tolist() == [1, 4, 8]
