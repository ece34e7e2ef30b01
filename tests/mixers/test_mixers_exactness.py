"""Long, odd and extreme inputs: the float32 ops against float64 loops, whole mixers against dense matrices.

The loops are causal, so one run over the longest input gives what every shorter one must give.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from mixer_oracles import linear_loop, slot_loop
from torch import Tensor
from torch.nn.functional import conv1d, logsigmoid, normalize, pad, silu, softplus

from mixers import ops
from mixers.fox import FoX
from mixers.kda import KDA
from mixers.mamba2 import Mamba2
from mixers.parts import ShortConvolution
from mixers.retnet import RetNet

LENGTHS = (1, 2, 63, 64, 65, 1000, 1025, 4097)
LONGEST = max(LENGTHS)
H, K, V, M = 2, 5, 3, 7


@cache
def inputs() -> dict[str, Tensor]:
    """Float64 tensors (1, LONGEST, H, ·) of numbers that float32 holds exactly, so that both see the same."""
    rng = torch.Generator().manual_seed(0)

    def normal(*width: int) -> Tensor:
        return torch.randn(1, LONGEST, H, *width, generator=rng).double()

    def gate(*width: int) -> Tensor:
        """Most gates weak, one frame in ten at up to −10⁴, some exactly 0: all must survive side by side."""
        weak, kind = (torch.rand(1, LONGEST, H, *width, generator=rng).double() for _ in range(2))
        strong = torch.where(kind < 0.1, 1e5 * (kind - 0.1) * weak, -0.05 * weak)
        return torch.where(kind > 0.95, 0.0, strong).float().double()

    drawn = {"q": normal(K), "k": normal(K), "v": normal(V), "s": torch.sigmoid(normal(M)).float().double()}
    drawn["unit"] = normalize(normal(K), dim=-1).float().double()
    drawn["beta"] = torch.sigmoid(normal()).float().double()
    return drawn | {"head": gate(), "channel": gate(K), "slot": gate(M)}


def forgetting_dense(q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float) -> Tensor:
    """softmax(scale · q kᵀ + c_i − c_j) v over j ≤ i, all weights at once."""
    T, c = q.shape[1], g.cumsum(1).transpose(1, 2)
    scores = scale * torch.einsum("bihk,bjhk->bhij", q, k) + c[..., :, None] - c[..., None, :]
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    return torch.einsum("bhij,bjhv->bihv", scores.masked_fill(future, -torch.inf).softmax(-1), v)


def delta_loop(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, scale: float) -> Tensor:
    return linear_loop(q, k, v, g, scale, beta)


CASES: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], tuple[str, ...]]] = {
    "gate a head": (ops.gated_linear_attention, linear_loop, ("q", "k", "v", "head")),
    "gate a channel": (ops.gated_linear_attention, linear_loop, ("q", "k", "v", "channel")),
    "delta rule, gate a head": (ops.delta_rule, delta_loop, ("q", "unit", "v", "head", "beta")),
    "delta rule, gate a channel": (ops.delta_rule, delta_loop, ("q", "unit", "v", "channel", "beta")),
    "slots": (ops.gated_slot_attention, slot_loop, ("q", "k", "v", "s", "slot")),
    "forgetting": (ops.forgetting_attention, forgetting_dense, ("q", "k", "v", "head")),
}


def given(case: str, T: int, dtype: torch.dtype) -> list[Tensor]:
    """The inputs of a case, T frames of them; one head where the oracle holds T × T weights."""
    heads = 1 if case == "forgetting" else H
    return [inputs()[name][:, :T, :heads].to(dtype) for name in CASES[case][2]]


@cache
def exact(case: str) -> Tensor:
    with torch.no_grad():
        return CASES[case][1](*given(case, LONGEST, torch.float64), scale=K**-0.5)


def off(ours: Tensor, expected: Tensor) -> float:
    """The largest error beside the largest number."""
    return ((ours - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("case", CASES)
def test_float32_equals_the_float64_recurrence_to_1e_5_at_every_length(case, T):
    with torch.no_grad():
        ours = CASES[case][0](*given(case, T, torch.float32))
    assert ours.dtype == torch.float32
    assert off(ours, exact(case)[:, :T]) < 1e-5


@pytest.mark.parametrize("T", [65, 1025])
@pytest.mark.parametrize("case", CASES)
def test_float32_gradients_equal_those_of_the_float64_recurrence(case, T):
    op, oracle, names = CASES[case]
    weights = torch.randn(1, T, H, V, generator=torch.Generator().manual_seed(1))
    gradients = []
    for function, dtype in ((op, torch.float32), (oracle, torch.float64)):
        tensors = [x.clone().requires_grad_() for x in given(case, T, dtype)]
        out = function(*tensors, scale=K**-0.5)
        gradients.append(torch.autograd.grad((out * weights[:, :, : out.shape[2]]).sum(), tensors))
    for name, ours, expected in zip(names, *gradients, strict=True):
        assert ours.isfinite().all(), name
        assert off(ours, expected) < 1e-5, name


# Whole mixers, bidirectional, as dense matrices over all pairs of frames

T = 40


def frames(width: int) -> Tensor:
    return torch.randn(2, T, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def between(g: Tensor) -> tuple[Tensor, Tensor]:
    """For g (B, T, H): Σ of g over (j, i] for j ≤ i, and over [i, j) for j > i, each (B, H, T, T)."""
    c = g.cumsum(1).transpose(1, 2)
    before = c - g.transpose(1, 2)
    return c[..., :, None] - c[..., None, :], before[..., None, :] - before[..., :, None]


def past_and_future() -> tuple[Tensor, Tensor]:
    every = torch.ones(T, T, dtype=torch.bool)
    return every.tril(), every.triu(1)


def attend(q: Tensor, k: Tensor, v: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("bhij,bjhv->bihv", torch.einsum("bihk,bjhk->bhij", q, k) * weights, v)


def looking_back(x: Tensor, convolution: ShortConvolution) -> Tensor:
    """Depthwise convolution of (B, T, C) over the frame and those before it, by torch's conv1d."""
    taps = convolution.weight.shape[1]
    padded = pad(x.mT, (taps - 1, 0))
    return conv1d(padded, convolution.weight[:, None], convolution.bias, groups=x.shape[-1]).mT


def looking_ahead(x: Tensor, convolution: ShortConvolution) -> Tensor:
    return looking_back(x.flip(1), convolution).flip(1)


def test_retnet_both_ways_weighs_a_pair_by_its_distance():
    torch.manual_seed(0)
    mixer, x = RetNet(32, 4).double(), frames(32)
    q, k, v, gate = mixer.parts(x)
    half = q.shape[-1] // 2
    theta = 10_000 ** (-torch.arange(half, dtype=torch.float64) / half)
    turn = torch.polar(torch.ones(T, half, dtype=torch.float64), torch.arange(T)[:, None] * theta)[:, None]
    q, k = (
        torch.view_as_real(torch.complex(p[..., :half], p[..., half:]) * turn).flatten(-2) for p in (q, k)
    )
    distance = (torch.arange(T)[:, None] - torch.arange(T)).abs()
    weights = mixer.log_decay.exp()[:, None, None] ** distance / (2 * half) ** 0.5
    o = attend(q, k, v, weights)
    expected = mixer.out((mixer.norm(o) * silu(gate)).flatten(2))
    torch.testing.assert_close(mixer(x), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_mamba2_equals_the_semiseparable_matrix_of_its_paper(direction):
    """M = L ∘ (C Bᵀ), y = M (Δ x) + D x, eq. 16 and listing 1 of arXiv 2405.21060; and its mirror image."""
    torch.manual_seed(0)
    mixer, x = Mamba2(32, 4, direction).double(), frames(32)
    z, features, dt = mixer.project(x).split(mixer.sizes, -1)
    dt = softplus(dt + mixer.dt_bias)
    sums = between(-mixer.A_log.exp() * dt)
    o = mixer.D[:, None] * ssd_parts(mixer, looking_back(features, mixer.convolution))[0]
    looks = (looking_back, looking_ahead) if mixer.bidirectional else (looking_back,)
    for look, gates, seen in zip(looks, sums, past_and_future(), strict=False):
        u, B, C = ssd_parts(mixer, look(features, mixer.convolution))
        L = gates.masked_fill(~seen, -torch.inf).exp()
        o = o + attend(C, B, u * dt[..., None], L)
    torch.testing.assert_close(mixer(x), mixer.out(mixer.norm(o.flatten(2) * silu(z))))


def ssd_parts(mixer: Mamba2, features: Tensor) -> tuple[Tensor, ...]:
    """u (B, T, H, P) and B, C (B, T, H, N) of convolved features, B and C the same for all heads."""
    N = mixer.state_dim
    u, B, C = silu(features).split([features.shape[-1] - 2 * N, N, N], -1)
    heads = (-1, -1, mixer.num_heads, -1)
    return u.unflatten(-1, (mixer.num_heads, -1)), B[:, :, None].expand(heads), C[:, :, None].expand(heads)


def test_kda_both_ways_adds_what_the_later_frames_left_before_the_own_write():
    torch.manual_seed(0)
    mixer, x = KDA(32, 4).double(), frames(32)
    g = -mixer.A_log.exp()[:, None] * softplus(mixer.fade(x) + mixer.dt_bias).unflatten(-1, (4, -1))
    beta, features = mixer.rate(x).sigmoid(), mixer.qkv(x)
    scale = mixer.key_dim**-0.5
    o = linear_loop(*kda_parts(looking_back(features, mixer.convolution)), g, scale, beta)
    ahead = kda_parts(looking_ahead(features, mixer.convolution))
    o = o + torch.stack([read_before_write(ahead, g, beta, scale, t) for t in range(T)], 1)
    gate = mixer.gate(x).sigmoid().unflatten(-1, (4, -1))
    torch.testing.assert_close(mixer(x), mixer.out((mixer.norm(o) * gate).flatten(2)))


def kda_parts(features: Tensor) -> list[Tensor]:
    q, k, v = (part.unflatten(-1, (4, -1)) for part in silu(features).chunk(3, -1))
    return [part / (part.square().sum(-1, keepdim=True) + 1e-6).sqrt() for part in (q, k)] + [v]


def read_before_write(parts: list[Tensor], g: Tensor, beta: Tensor, scale: float, t: int) -> Tensor:
    """What frame t reads of the frames after it, last first: its own gate fades, its write is left out."""
    q, k, v, g, beta = (x[:, t:].flip(1) for x in (*parts, g, beta))
    still = torch.cat([beta[:, :-1], torch.zeros_like(beta[:, -1:])], 1)
    return linear_loop(q, k, v, g, scale, still)[:, -1]


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_fox_is_one_softmax_with_the_gates_between_each_pair(direction):
    torch.manual_seed(0)
    mixer, x = FoX(32, 4, direction).double(), frames(32)
    q, k, v = mixer.qkv(x)
    c = logsigmoid(mixer.forget(x)).cumsum(1).transpose(1, 2)
    scores = torch.einsum("bihk,bjhk->bhij", q, k) / mixer.head_dim**0.5
    scores = scores - (c[..., :, None] - c[..., None, :]).abs()
    if direction == "causal":
        scores = scores.masked_fill(past_and_future()[1], -torch.inf)
    o = torch.einsum("bhij,bjhv->bihv", scores.softmax(-1), v)
    torch.testing.assert_close(mixer(x), mixer.out(o.flatten(2)))
