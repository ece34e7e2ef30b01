"""The mixers beyond the study, and their ops, against loops from the papers' equations, fla and PyTorch."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import mixer_contract_checks as checks
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mixer_oracles import linear_loop
from test_mixers_ops import Draw, assert_same, frames, naive, quickly, seeds, sizes, strongest
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import elu, group_norm, logsigmoid, scaled_dot_product_attention, silu, softplus
from torch.utils.flop_counter import FlopCounterMode

import mixers
from mixers import ops, registry
from mixers.convolution import Convolution
from mixers.gated_deltanet import GatedDeltaNet
from mixers.gla import GLA
from mixers.hgrn2 import HGRN2
from mixers.linear import LinearAttention
from mixers.ops import dplr, window
from mixers.rwkv7 import RWKV7
from mixers.window import Window

MORE = ["linear", "gla", "gated_deltanet", "hgrn2", "rwkv7", "window", "convolution"]
T = 45


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


# The generalised delta rule


def dplr_loop(q: Tensor, k: Tensor, v: Tensor, g: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    """S_t = (diag(exp g_t) + b_t a_tᵀ) S_{t−1} + k_t v_tᵀ, o_t = scale · S_tᵀ q_t."""
    state = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    out = []
    for t in range(q.shape[1]):
        transition = torch.diag_embed(g[:, t].exp()) + b[:, t, :, :, None] * a[:, t, :, None, :]
        state = transition @ state + k[:, t, :, :, None] * v[:, t, :, None, :]
        out.append(scale * (q[:, t, :, None, :] @ state).squeeze(-2))
    return torch.stack(out, 1)


def replacing(draw: Draw, K: int, V: int, strength: float) -> list[Tensor]:
    """q, k, v, g, a, b with a = −κ and b = η ∘ κ, κ unit and η in [0, 1], as RWKV-7 has them."""
    kappa, eta = draw.unit(K).detach(), draw.uniform(K).detach()
    a, b = (-kappa).requires_grad_(), (eta * kappa).requires_grad_()
    return [draw.normal(K), draw.normal(K), draw.normal(V), draw.gate(strength, K), a, b]


@quickly
@given(seeds, frames, sizes, sizes, strongest)
def test_the_generalised_delta_rule_equals_the_loop(seed, T, K, V, strength):
    inputs = replacing(Draw(seed, T, 2), K, V, strength)
    assert_same(ops.dplr_delta_rule(*inputs), dplr_loop(*inputs, K**-0.5), inputs)


@pytest.mark.parametrize("T", [1, 5, 18])
def test_its_gradients_pass_gradcheck(T):
    assert gradcheck(ops.dplr_delta_rule, tuple(replacing(Draw(1, T, 1), 2, 3, 1.0)))


@pytest.mark.parametrize("strength", [1e-3, 1.0, 1e4])
def test_it_is_as_exact_as_float32_can_be(strength):
    inputs = [x.detach() for x in replacing(Draw(2, 200, 2), 8, 8, strength)]
    exact = dplr_loop(*inputs, 8**-0.5)
    single = ops.dplr_delta_rule(*(x.float() for x in inputs))
    assert (single - exact).abs().max() < 2e-6 * exact.abs().max()


def test_it_agrees_with_fla():
    q, k, v, g, a, b = (x.detach().float() for x in replacing(Draw(3, 75, 3), 6, 10, 3.0))
    heads_first = [x.transpose(1, 2) for x in (q, k, v, a, b, g)]
    expected, _ = naive("generalized_delta_rule/dplr").dplr_recurrence(*heads_first)
    ours = ops.dplr_delta_rule(q, k, v, g, a, b)
    torch.testing.assert_close(ours, expected.transpose(1, 2), rtol=1e-5, atol=1e-5)


def test_the_gated_delta_rule_is_one_of_its_cases():
    draw = Draw(4, 50, 2)
    q, k, v, g, beta = draw.normal(5), draw.unit(5), draw.normal(4), draw.gate(2.0, 5), draw.uniform()
    rate = beta.unsqueeze(-1)
    ours = ops.dplr_delta_rule(q, k, rate * v, g, -rate * g.exp() * k, k)
    torch.testing.assert_close(ours, ops.delta_rule(q, k, v, g, beta))


def test_it_goes_on_from_where_it_was_cut():
    inputs = replacing(Draw(5, 70, 2), 5, 4, 1.0)
    state, parts = torch.zeros(2, 2, 5, 4, dtype=torch.float64), []
    for start, end in pairwise((0, 1, 20, 53, 70)):
        out, state = dplr.extend(state, *(x[:, start:end] for x in inputs))
        parts.append(out)
    torch.testing.assert_close(torch.cat(parts, 1), ops.dplr_delta_rule(*inputs))


def test_its_shapes_are_checked_by_name():
    q, k, v, g, a, b = replacing(Draw(6, 5, 2), 4, 3, 1.0)
    with pytest.raises(ValueError, match=r"b is \(B, T, H, K\) with .* and got shape \(2, 5, 2, 3\)"):
        ops.dplr_delta_rule(q, k, v, g, a, b[..., 1:])


# Sliding-window attention


def band(T: int, reach: int, causal: bool) -> Tensor:
    """Which frame may read which, (T, T)."""
    apart = torch.arange(T) - torch.arange(T)[:, None]
    return (apart >= -reach) & (apart <= (0 if causal else reach))


def dense(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Attention by PyTorch where `seen`; tensors (B, T, H, ·)."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2)


@quickly
@given(seeds, frames, sizes, sizes, st.integers(1, 80), st.booleans())
def test_window_attention_is_attention_within_a_band(seed, T, K, V, reach, causal):
    draw = Draw(seed, T, 2)
    q, k, v = draw.normal(K), draw.normal(K), draw.normal(V)
    ours = ops.window_attention(q, k, v, reach, causal=causal)
    assert_same(ours, dense(q, k, v, band(T, reach, causal)), [q, k, v])


@pytest.mark.parametrize("causal", [True, False])
def test_window_attention_reads_no_padding(causal):
    draw = Draw(0, 50, 2)
    q, k, v = draw.normal(4), draw.normal(4), draw.normal(3)
    mask = torch.arange(50) < torch.tensor([[50], [23]])
    ours = ops.window_attention(q, k, v, 7, causal=causal, mask=mask)
    for row, real in enumerate((50, 23)):
        alone = dense(*(x[row : row + 1, :real] for x in (q, k, v)), band(real, 7, causal))
        torch.testing.assert_close(ours[row, :real], alone[0])


def test_window_attention_goes_on_from_the_frames_it_reaches():
    draw = Draw(1, 60, 2)
    q, k, v = (draw.normal(4).detach() for _ in range(3))
    state, parts = (k[:, :0], v[:, :0]), []
    for start, end in pairwise((0, 1, 5, 6, 40, 60)):
        out, state = window.extend(state, *(x[:, start:end] for x in (q, k, v)), reach=9)
        parts.append(out)
        assert state[0].shape[1] == min(end, 9)
    torch.testing.assert_close(torch.cat(parts, 1), dense(q, k, v, band(60, 9, True)))


@pytest.mark.parametrize("causal", [True, False])
def test_twice_the_frames_are_twice_the_work_of_a_window(causal):
    def work(T: int) -> int:
        x = torch.zeros(1, T, 2, 4)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            ops.window_attention(x, x, x, 16, causal=causal)
        return counter.get_total_flops()

    assert work(512) == 2 * work(256) == window.flops(512, 2, 4, 4, 16, causal)


@pytest.mark.parametrize("build", [Window, Convolution])
def test_a_reach_under_one_frame_is_refused(build):
    with pytest.raises(ValueError, match="reach=0 must be at least 1 frame"):
        build(32, 4, reach=0)


# The mixers against their papers


def test_linear_attention_is_fla_s_with_its_normaliser():
    mixer, x = LinearAttention(32, 4, "causal"), noise(2, T, 32).float()
    q, k, v = mixer.qkv(x)
    expected, _ = naive("linear_attn").naive_recurrent_linear_attn(elu(q) + 1, elu(k) + 1, v, normalize=True)
    torch.testing.assert_close(mixer(x), mixer.out(expected.flatten(2)), rtol=1e-4, atol=1e-5)


def test_linear_attention_both_ways_is_the_weighted_mean_of_all_frames():
    mixer, x = LinearAttention(32, 4).double(), noise(2, T, 32)
    q, k, v = mixer.qkv(x)
    weights = torch.einsum("bihk,bjhk->bhij", elu(q) + 1, elu(k) + 1)
    o = torch.einsum("bhij,bjhv->bihv", weights / weights.sum(-1, keepdim=True), v)
    torch.testing.assert_close(mixer(x), mixer.out(o.flatten(2)), rtol=1e-6, atol=1e-8)


def test_gla_equals_its_recurrence():
    mixer, x = GLA(32, 4, "causal").double(), noise(2, T, 32)
    q, k, v, gate = mixer.parts(x)
    alpha = mixer.fade(x).unflatten(-1, (4, -1)).sigmoid() ** (1 / 16)
    o = mixer.norm(linear_loop(q, k, v, alpha.log(), mixer.key_dim**-0.5))
    torch.testing.assert_close(mixer(x), mixer.out((o * silu(gate)).flatten(2)))


def test_hgrn2_is_fla_s_gated_linear_attention_with_what_is_let_go_for_keys():
    mixer, x = HGRN2(32, 4, "causal"), noise(2, T, 32).float()
    q, f, v = mixer.parts(x)
    o, _ = naive("gla").naive_recurrent_gla(silu(q), 1 - f.sigmoid(), v, logsigmoid(f))
    torch.testing.assert_close(mixer(x), mixer.out(mixer.norm(o.flatten(2))), rtol=1e-4, atol=1e-5)


def test_gated_deltanet_is_fla_s_rule_on_convolved_features():
    mixer, x = GatedDeltaNet(32, 4, "causal"), noise(2, T, 32).float()
    weight = mixer.convolution.weight
    past = torch.nn.functional.pad(mixer.qkv(x), (0, 0, 3, 0))
    convolved = silu(sum(past[:, i : i + T] * weight[:, i] for i in range(4)))
    q, k, v = (part.unflatten(-1, (4, -1)) for part in convolved.split(mixer.sizes, -1))
    q, k = (part / (part.square().sum(-1, keepdim=True) + 1e-6).sqrt() for part in (q, k))
    g = -mixer.A_log.exp() * softplus(mixer.fade(x) + mixer.dt_bias)
    rule = naive("gated_delta_rule").naive_recurrent_gated_delta_rule
    o, _ = rule(q, k, v, mixer.rate(x).sigmoid(), g)
    gate = silu(mixer.gate(x)).unflatten(-1, (4, -1))
    torch.testing.assert_close(mixer(x), mixer.out((mixer.norm(o) * gate).flatten(2)), rtol=1e-4, atol=1e-5)


def rwkv7_features(mixer: RWKV7, x: Tensor) -> tuple[Tensor, ...]:
    """r, w, k, v, κ, η and the gate's output frame by frame, (B, T, H, K) each but the gate (B, T, H·K)."""
    frames, before = [], torch.zeros_like(x[:, 0])
    for t in range(x.shape[1]):
        r, w, k, v, a, g = (x[:, t] * (1 - mu) + before * mu for mu in mixer.shift)
        before = x[:, t]
        eta = torch.sigmoid(mixer.rate(a))
        key = mixer.key(k)
        w = torch.exp(-(torch.e**-0.5) * torch.sigmoid(mixer.decay(w)))
        kept = key * (1 - mixer.replacement + eta * mixer.replacement)
        values = [mixer.receptance(r), w, kept, mixer.value(v), key * mixer.removal, eta]
        r, w, kept, v, kappa, eta = (value.unflatten(-1, (mixer.num_heads, -1)) for value in values)
        kappa = kappa / (kappa.square().sum(-1, keepdim=True) + 1e-6).sqrt()
        frames.append((r, w, kept, v, kappa, eta, mixer.gate(g)))
    return tuple(torch.stack(parts, 1) for parts in zip(*frames, strict=True))


def rwkv7_loop(*features: Tensor, own: bool = True) -> Tensor:
    """o_t = S_tᵀ r_t of section 4.1; own=False: S_{t−1} faded by w_t, without frame t's removal and write."""
    r, w, k, v, kappa, eta = features
    state = r.new_zeros(r.shape[0], r.shape[2], r.shape[3], v.shape[3])
    out = []
    for t in range(r.shape[1]):
        faded = w[:, t, ..., None] * state
        removed = (eta * kappa)[:, t, ..., None] * (kappa[:, t, :, None, :] @ state)
        state = faded - removed + k[:, t, ..., None] * v[:, t, :, None, :]
        out.append((r[:, t, :, None, :] @ (state if own else faded)).squeeze(-2))
    return torch.stack(out, 1)


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_rwkv7_equals_its_recurrence(direction):
    torch.manual_seed(0)
    mixer, x = RWKV7(32, 4, direction).double(), noise(2, T, 32)
    *features, gate = rwkv7_features(mixer, x)
    o = rwkv7_loop(*features)
    if direction == "bidirectional":
        *reversed_features, _ = rwkv7_features(mixer, x.flip(1))
        o = o + rwkv7_loop(*reversed_features, own=False).flip(1)
    r, _, k, v, _, _ = features
    o = group_norm(o.flatten(0, 1).flatten(1), 4, mixer.norm.weight, mixer.norm.bias, 1e-5 * mixer.key_dim)
    bonus = (r * mixer.bonus.unflatten(0, (4, -1)) * k).sum(-1, keepdim=True) * v
    torch.testing.assert_close(mixer(x), mixer.out((o.view(2, T, -1) + bonus.flatten(2)) * gate))


def test_rwkv7_never_grows_what_it_holds():
    """The paper's bound on a transition diag(w) − (η ∘ κ) κᵀ with w in (e^−e^−½, 1): no eigenvalue over 1."""
    mixer, x = RWKV7(32, 4).double(), 100 * noise(1, T, 32)
    _, w, _, _, kappa, eta, _ = rwkv7_features(mixer, x)
    transition = torch.diag_embed(w) - (eta * kappa).unsqueeze(-1) * kappa.unsqueeze(-2)
    assert w.min() >= 0.545
    assert torch.linalg.eigvals(transition).abs().max() <= 1 + 1e-9


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_the_window_mixer_is_softmax_attention_within_its_band(direction):
    torch.manual_seed(0)
    mixer, x = Window(32, 4, direction, reach=6).double(), noise(2, T, 32)
    o = dense(*mixer.qkv(x), band(T, 6, direction == "causal"))
    torch.testing.assert_close(mixer(x), mixer.out(o.flatten(2)))


def test_a_window_wider_than_the_utterance_is_softmax_attention():
    x, softmax, wide = noise(2, T, 32), mixers.build("softmax", 32).double(), Window(32, reach=T).double()
    wide.load_state_dict(softmax.state_dict())
    torch.testing.assert_close(wide(x), softmax(x))


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_the_convolution_weighs_frames_by_their_distance(direction):
    torch.manual_seed(0)
    mixer, x = Convolution(32, 4, direction, reach=6).double(), noise(2, T, 32)
    u, z = mixer.project(x).chunk(2, -1)
    apart = (torch.arange(T)[:, None] - torch.arange(T)).abs()
    weights = mixer.convolution.weight.flip(1)[:, apart.clamp(max=6)]  # (C, T, T)
    c = torch.einsum("cij,bjc->bic", weights * band(T, 6, direction == "causal"), u)
    torch.testing.assert_close(mixer(x), mixer.out(c * silu(z)))


# Sizes, streams and where they stand in the suite


@pytest.mark.parametrize("name", MORE)
def test_each_is_as_large_as_softmax_attention(name):
    parameters = sum(p.numel() for p in mixers.build(name, 512).parameters())
    assert parameters == pytest.approx(4 * 512**2, rel=0.02)


@pytest.mark.parametrize("name", MORE)
def test_each_waits_to_be_named(name):
    assert mixers.info(name).extra


@pytest.mark.parametrize("name", MORE)
def test_what_sets_a_gate_decay_norm_or_mix_is_exempt_from_weight_decay(name):
    mixer = mixers.build(name, 32)
    matrices = {id(part.weight) for part in mixer.modules() if isinstance(part, torch.nn.Linear)}
    matrices |= {id(part.weight) for part in mixer.modules() if type(part).__name__ == "ShortConvolution"}
    for parameter_name, parameter in mixer.named_parameters():
        exempt = getattr(parameter, "_no_weight_decay", False)
        assert exempt == (id(parameter) not in matrices), parameter_name


def tensors(state: Tensor | tuple) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else [x for part in state for x in tensors(part)]


@pytest.mark.parametrize("name", MORE)
def test_a_stream_gives_the_forward_pass_and_holds_what_is_said(name):
    torch.manual_seed(0)
    mixer, x = mixers.build(name, 32, 4, "causal").double(), noise(1, 150, 32)
    state, parts = mixer.init_state(1), []
    for start, end in pairwise((0, 1, 2, 50, 83, 150)):
        out, state = mixer.extend(x[:, start:end], state)
        parts.append(out)
        held = sum(held.numel() * held.element_size() for held in tensors(state))
        assert held == mixer.state_bytes(end, torch.float64)
    torch.testing.assert_close(torch.cat(parts, 1), mixer(x))


# The template


@pytest.fixture
def from_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The template under another name, as the guide says; forgotten after the test."""
    text = (Path(mixers.__file__).parent / "_template.py").read_text(encoding="utf-8")
    (tmp_path / "from_template.py").write_text(
        text.replace('"template"', '"from_template"'), encoding="utf-8"
    )
    monkeypatch.setattr(mixers, "__path__", [*mixers.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    yield "from_template"
    sys.modules.pop("mixers.from_template", None)
    vars(mixers).pop("from_template", None)


def test_a_copy_of_the_template_is_a_mixer_and_the_template_is_none(from_template):
    assert "template" not in mixers.available()
    assert from_template in mixers.available()
    for check in checks.CHECKS:
        check(checks.maker(from_template))
