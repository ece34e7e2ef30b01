"""What bidirectional means, op by op, against loops over every pair of frames; with padding anywhere."""

from __future__ import annotations

import pytest
import torch
from mixer_oracles import forgetting_loop, linear_loop, slot_loop, two_sided_loop
from torch import Tensor

from mixers import TokenMixer, ops
from mixers.gsa import GSA
from mixers.lightnet import LightNet

T, H, K, V = 41, 2, 4, 3


def draws(*widths: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(2, T, H, width, generator=rng, dtype=torch.float64) for width in widths]


def scattered() -> Tensor:
    return torch.rand(2, T, generator=torch.Generator().manual_seed(1)) < 0.7


def both_ways(op, *tensors: Tensor, mask: Tensor | None = None) -> Tensor:
    return TokenMixer(8, H).both_ways(op, *tensors, mask=mask)


def reverse(*tensors: Tensor) -> list[Tensor]:
    return [x.flip(1) for x in tensors]


@pytest.mark.parametrize("gate_a_channel", [True, False])
def test_gated_linear_attention_weighs_each_pair_by_the_gates_between(gate_a_channel):
    q, k, v, g = draws(K, K, V, K)
    g = -g.abs() if gate_a_channel else -g[..., 0].abs()
    ours = both_ways(ops.gated_linear_attention, q, k, v, g)
    torch.testing.assert_close(ours, two_sided_loop(q, k, v, g, K**-0.5))


@pytest.mark.parametrize("gate_a_channel", [True, False])
def test_padding_between_frames_changes_no_weight(gate_a_channel):
    q, k, v, g = draws(K, K, V, K)
    g, mask = (-g.abs() if gate_a_channel else -g[..., 0].abs()), scattered()
    ours = both_ways(ops.gated_linear_attention, q, k, v, g, mask=mask)
    for row in range(2):
        real = [x[row : row + 1, mask[row]] for x in (q, k, v, g)]
        torch.testing.assert_close(ours[row, mask[row]], two_sided_loop(*real, K**-0.5)[0])


def test_reversing_time_reverses_the_output():
    q, k, v, g = draws(K, K, V, K)
    tensors = (q, k, v, -g.abs())
    forward = both_ways(ops.gated_linear_attention, *tensors)
    backward = both_ways(ops.gated_linear_attention, *reverse(*tensors))
    torch.testing.assert_close(backward.flip(1), forward)


def test_without_gates_each_frame_counts_once():
    q, k, v, g = draws(K, K, V, K)
    ours = both_ways(ops.gated_linear_attention, q, k, v, torch.zeros_like(g))
    everything = torch.einsum("bihk,bjhk,bjhv->bihv", q, k, v) / K**0.5
    torch.testing.assert_close(ours, everything)


def test_delta_rule_reads_behind_after_and_ahead_before_its_own_write():
    q, k, v, g = draws(K, K, V, K)
    g, k, beta = -g.abs(), k / k.norm(dim=-1, keepdim=True), torch.rand(2, T, H, dtype=torch.float64)
    ahead = linear_loop(q, k, v, g, K**-0.5, beta)
    back = []
    for t in range(T):  # the frames after t, last first, and then t, which only fades
        tail = [x[:, t:].flip(1) for x in (q, k, v, g, beta)]
        still = torch.ones_like(tail[4])
        still[:, -1] = 0
        back.append(linear_loop(*tail[:4], K**-0.5, tail[4] * still)[:, -1])
    ours = both_ways(ops.delta_rule, q, k, v, g, beta)
    torch.testing.assert_close(ours, ahead + torch.stack(back, 1))


@pytest.mark.parametrize("causal", [True, False])
def test_forgetting_attention_skips_padding_and_its_gates(causal):
    q, k, v, g = draws(K, K, V, 1)
    g, mask = -g[..., 0].abs(), scattered()
    ours = ops.forgetting_attention(q, k, v, g, causal=causal, mask=mask)
    for row in range(2):
        real = [x[row : row + 1, mask[row]] for x in (q, k, v, g)]
        torch.testing.assert_close(ours[row, mask[row]], forgetting_loop(*real, K**-0.5, causal)[0])


def test_gsa_averages_its_two_reads():
    torch.manual_seed(0)
    mixer = GSA(16, H).double()
    x = torch.randn(1, T, 16, dtype=torch.float64)
    q, k, v, f = mixer.parts(x)
    f = torch.nn.functional.logsigmoid(f) / 8
    silu = torch.nn.functional.silu
    tensors = (silu(q), silu(k), silu(v), 1 - f.exp(), f)
    reads = slot_loop(*tensors, 1.0) + slot_loop(*reverse(*tensors), 1.0).flip(1)
    torch.testing.assert_close(mixer(x), mixer.out(mixer.norm(silu(reads.flatten(2) / 2))))


def softmax_over_the_past(q: Tensor, logits: Tensor, v: Tensor, own: bool) -> Tensor:
    """q · (softmax of each key channel over the frames so far) @ v; own: whether the last value counts."""
    out = []
    for t in range(q.shape[1]):
        weights = logits[:, : t + 1].softmax(1)
        if not own:
            weights = weights[:, :-1]
        out.append(torch.einsum("bhk,bjhk,bjhv->bhv", q[:, t], weights, v[:, : weights.shape[1]]))
    return torch.stack(out, 1)


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_lightnet_is_a_softmax_over_the_frames_so_far_in_each_direction(direction):
    torch.manual_seed(0)
    mixer = LightNet(16, H, direction).double()
    x = 3 * torch.randn(1, T, 16, dtype=torch.float64)
    q, logits, v = mixer.parts(x)
    q = torch.nn.functional.silu(q) * mixer.key_dim**-0.5
    o = softmax_over_the_past(q, logits, v, own=True)
    if direction == "bidirectional":
        o = o + softmax_over_the_past(*reverse(q, logits, v), own=False).flip(1)
    gate = torch.nn.functional.silu(mixer.gate(x))
    torch.testing.assert_close(mixer(x), mixer.out(mixer.norm(o.flatten(2)) * gate))
