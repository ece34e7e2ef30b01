"""The chunkwise ops equal the frame-by-frame recurrences, and fla's naive references; gradients included."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mixer_oracles import forgetting_loop, linear_loop, slot_loop
from torch import Tensor
from torch.autograd import gradcheck

from mixers import ops
from mixers.ops import forgetting
from mixers.ops.flex import flex_forgetting

sizes = st.integers(1, 9)
seeds = st.integers(0, 2**31)
frames = st.one_of(st.integers(1, 20), st.integers(30, 70))
strongest = st.sampled_from([0.0, 0.01, 1.0, 30.0, 1e4])  # the largest decay of a frame, in nats
quickly = settings(max_examples=25, deadline=None)


class Draw:
    """Random float64 tensors (2, T, H, ·) of one seed."""

    def __init__(self, seed: int, T: int, H: int) -> None:
        self.rng, self.shape = torch.Generator().manual_seed(seed), (2, T, H)

    def normal(self, *width: int) -> Tensor:
        return torch.randn(*self.shape, *width, generator=self.rng, dtype=torch.float64).requires_grad_()

    def unit(self, width: int) -> Tensor:
        return torch.nn.functional.normalize(self.normal(width).detach(), dim=-1).requires_grad_()

    def uniform(self, *width: int) -> Tensor:
        return torch.rand(*self.shape, *width, generator=self.rng, dtype=torch.float64).requires_grad_()

    def gate(self, strength: float, *width: int) -> Tensor:
        """Log decays, most of them weak and some as strong as `strength`: both must survive."""
        weak, strong = self.uniform(*width).detach(), self.uniform(*width).detach()
        return torch.where(strong < 0.2, -strength * weak, -0.1 * weak).requires_grad_()


def assert_same(ours: Tensor, expected: Tensor, inputs: list[Tensor]) -> None:
    """Equal outputs, and equal gradients of a random projection."""
    torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-9)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(5), dtype=ours.dtype)
    gradients = [torch.autograd.grad((out * weights).sum(), inputs) for out in (ours, expected)]
    for ours_grad, grad in zip(*gradients, strict=True):
        torch.testing.assert_close(ours_grad, grad, rtol=1e-7, atol=1e-8)


@quickly
@given(seeds, frames, sizes, sizes, strongest, st.booleans())
def test_gated_linear_attention_equals_the_loop(seed, T, K, V, strength, gate_a_channel):
    draw = Draw(seed, T, 2)
    q, k, v = draw.normal(K), draw.normal(K), draw.normal(V)
    g = draw.gate(strength, K) if gate_a_channel else draw.gate(strength)
    ours = ops.gated_linear_attention(q, k, v, g)
    assert_same(ours, linear_loop(q, k, v, g, K**-0.5), [q, k, v, g])


@quickly
@given(seeds, frames, sizes, sizes, strongest, st.booleans())
def test_delta_rule_equals_the_loop(seed, T, K, V, strength, gate_a_channel):
    draw = Draw(seed, T, 2)
    q, k, v, beta = draw.normal(K), draw.unit(K), draw.normal(V), draw.uniform()
    g = draw.gate(strength, K) if gate_a_channel else draw.gate(strength)
    ours = ops.delta_rule(q, k, v, g, beta)
    assert_same(ours, linear_loop(q, k, v, g, K**-0.5, beta), [q, k, v, g, beta])


@quickly
@given(seeds, frames, sizes, sizes, sizes, strongest)
def test_gated_slot_attention_equals_the_loop(seed, T, K, V, M, strength):
    draw = Draw(seed, T, 2)
    q, k, v, s, g = draw.normal(K), draw.normal(K), draw.normal(V), draw.uniform(M), draw.gate(strength, M)
    ours = ops.gated_slot_attention(q, k, v, s, g)
    assert_same(ours, slot_loop(q, k, v, s, g, K**-0.5), [q, k, v, s, g])


@quickly
@given(seeds, st.integers(1, 20), sizes, sizes, strongest, st.booleans())
def test_forgetting_attention_equals_the_loop(seed, T, K, V, strength, causal):
    draw = Draw(seed, T, 2)
    q, k, v, g = draw.normal(K), draw.normal(K), draw.normal(V), draw.gate(strength)
    ours = ops.forgetting_attention(q, k, v, g, causal=causal)
    assert_same(ours, forgetting_loop(q, k, v, g, K**-0.5, causal), [q, k, v, g])


@quickly
@given(seeds, frames, strongest, st.booleans(), st.booleans())
def test_forgetting_attention_by_blocks_is_the_whole(seed, T, strength, causal, padded):
    draw = Draw(seed, T, 2)
    inputs = [draw.normal(4), draw.normal(4), draw.normal(3), draw.gate(strength)]
    mask = (torch.rand(2, T, generator=draw.rng) < 0.6) if padded else None
    whole = ops.forgetting_attention(*inputs, causal=causal, mask=mask)
    with mock.patch.object(forgetting, "BLOCK", 16):
        blocks = ops.forgetting_attention(*inputs, causal=causal, mask=mask)
    read = slice(None) if mask is None else mask
    some_real = mask is None or mask.any(1).all()
    if some_real:
        assert_same(blocks[read], whole[read], inputs)
    assert blocks.isfinite().all()


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("shared", [1, 2])
def test_flex_attention_computes_the_symmetric_bias_with_padding_and_strong_gates(shared):
    draw = Draw(3, 70, 4)
    q, k, v, g = (
        x.detach().float() for x in (draw.normal(16), draw.normal(16), draw.normal(16), draw.gate(1e4))
    )
    k, v = k[:, :, ::shared], v[:, :, ::shared]
    mask = torch.ones(2, 70, dtype=torch.bool)
    mask[0, 50:] = mask[1, :7] = False
    g = g.masked_fill(~mask[..., None], 0)
    expected = ops.forgetting_attention(q, k, v, g, causal=False, mask=mask)
    torch.testing.assert_close(flex_forgetting(q, k, v, g, 0.25, mask), expected, rtol=1e-5, atol=1e-5)


def test_heads_may_share_queries_and_keys_where_the_gate_is_a_heads():
    draw = Draw(0, 40, 3)
    q, k = (draw.normal(4).detach()[:, :, :1].requires_grad_() for _ in range(2))
    v, g = draw.normal(5), draw.gate(1.0)
    ours = ops.gated_linear_attention(q, k, v, g, scale=1.0)
    shared = [x.expand(-1, -1, 3, -1) for x in (q, k)]
    assert_same(ours, linear_loop(*shared, v, g, 1.0), [q, k, v, g])


@pytest.mark.parametrize("T", [1, 5, 18])
def test_gradients_pass_gradcheck(T):
    draw = Draw(1, T, 1)
    q, k, v, s = draw.normal(2), draw.unit(2), draw.normal(3), draw.uniform(2)
    g, beta = draw.gate(1.0, 2), draw.uniform()
    assert gradcheck(ops.gated_linear_attention, (q, k, v, g))
    assert gradcheck(ops.delta_rule, (q, k, v, g, beta))
    assert gradcheck(ops.gated_slot_attention, (q, k, v, s, g))


@pytest.mark.parametrize("strength", [1e-3, 1.0, 1e4])
def test_float32_is_as_exact_as_float32_can_be(strength):
    """Gates of −10⁴ beside gates of −10⁻³ cost no digits: no difference of cumulative sums is taken."""
    draw = Draw(2, 200, 2)
    q, k, v, beta = draw.normal(8), draw.unit(8), draw.normal(8), draw.uniform()
    for g in (draw.gate(strength, 8), draw.gate(strength)):
        for op, rest in ((ops.gated_linear_attention, ()), (ops.delta_rule, (beta,))):
            exact = linear_loop(q, k, v, g, 8**-0.5, *rest)
            single = op(*(x.detach().float() for x in (q, k, v, g, *rest)))
            assert (single - exact).abs().max() < 2e-6 * exact.abs().max()


def test_the_chunks_carry_a_memory_that_never_fades():
    T = 300
    q = k = torch.ones(1, T, 1, 1)
    v = torch.arange(T, dtype=torch.float32).reshape(1, T, 1, 1)
    out = ops.gated_linear_attention(q, k, v, torch.zeros(1, T, 1), scale=1.0)
    assert torch.equal(out, v.cumsum(1))


def test_bfloat16_keeps_its_state_in_float32():
    T = 2000
    ones = torch.ones(1, T, 1, 1, dtype=torch.bfloat16)
    out = ops.gated_linear_attention(ones, ones, ones, torch.zeros(1, T, 1), scale=1.0)
    assert out.dtype == torch.bfloat16
    assert out[0, -1].item() == pytest.approx(T, rel=2**-8)  # a bfloat16 state would stop at 256


# fla's naive references, loaded by path: they import no Triton


def naive(package: str) -> ModuleType:
    spec = importlib.util.find_spec("fla")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("fla-core is not installed")
    path = Path(spec.submodule_search_locations[0]) / "ops" / package / "naive.py"
    module_spec = importlib.util.spec_from_file_location(f"fla_naive_{package}", path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


@pytest.fixture
def inputs() -> dict[str, Tensor]:
    draw = Draw(3, 75, 3)
    tensors = {
        "q": draw.normal(6), "k": draw.unit(6), "v": draw.normal(10), "s": draw.uniform(5),
        "beta": draw.uniform(),
        "head": draw.gate(3.0), "channel": draw.gate(3.0, 6), "slot": draw.gate(3.0, 5),
    }  # fmt: skip
    return {name: tensor.detach().float() for name, tensor in tensors.items()}


def test_agrees_with_fla_simple_gla(inputs):
    q, k, v, g = (inputs[name] for name in ("q", "k", "v", "head"))
    expected, _ = naive("simple_gla").naive_recurrent_simple_gla(q, k, v, g)
    torch.testing.assert_close(ops.gated_linear_attention(q, k, v, g), expected, rtol=1e-5, atol=1e-5)


def test_agrees_with_fla_gla(inputs):
    q, k, v, g = (inputs[name] for name in ("q", "k", "v", "channel"))
    expected, _ = naive("gla").naive_recurrent_gla(q, k, v, g)
    torch.testing.assert_close(ops.gated_linear_attention(q, k, v, g), expected, rtol=1e-5, atol=1e-5)


def test_agrees_with_fla_kda(inputs):
    q, k, v, g, beta = (inputs[name] for name in ("q", "k", "v", "channel", "beta"))
    expected, _ = naive("kda").naive_recurrent_kda(q, k, v, g, beta)
    torch.testing.assert_close(ops.delta_rule(q, k, v, g, beta), expected, rtol=1e-5, atol=1e-5)


def test_agrees_with_fla_gsa(inputs):
    q, k, v, s, g = (inputs[name] for name in ("q", "k", "v", "s", "slot"))
    expected, _ = naive("gsa").naive_recurrent_gsa(q, k, v, s, g)
    torch.testing.assert_close(ops.gated_slot_attention(q, k, v, s, g), expected, rtol=1e-5, atol=1e-5)


def test_agrees_with_fla_forgetting_attention(inputs):
    q, k, v, g = (inputs[name] for name in ("q", "k", "v", "head"))
    expected = naive("forgetting_attn").naive_forgetting_attn(q, k, v, g)
    torch.testing.assert_close(ops.forgetting_attention(q, k, v, g), expected, rtol=1e-5, atol=1e-5)


# Which implementation runs


def test_the_kernels_refuse_cpu_tensors_by_name(inputs):
    q, k, v, g = (inputs[name] for name in ("q", "k", "v", "head"))
    for op in (ops.gated_linear_attention, ops.forgetting_attention):
        with pytest.raises(ValueError, match="backend='fla' needs CUDA tensors and got cpu"):
            op(q, k, v, g, backend="fla")


def test_an_unknown_backend_is_refused(inputs):
    q, k, v, g = (inputs[name] for name in ("q", "k", "v", "head"))
    with pytest.raises(ValueError, match="backend='tpu' is none of auto, torch, fla"):
        ops.gated_linear_attention(q, k, v, g, backend="tpu")


def test_softmax_and_its_unfused_twin_agree(inputs):
    q, k, v = (inputs[name] for name in ("q", "k", "v"))
    mask = torch.rand(2, 75, generator=torch.Generator().manual_seed(0)) < 0.7
    for causal in (True, False):
        for hidden in (None, mask):
            fused = ops.softmax_attention(q, k, v, causal=causal, mask=hidden)
            unfused = ops.unfused_softmax_attention(q, k, v, causal=causal, mask=hidden)
            torch.testing.assert_close(fused, unfused, rtol=1e-5, atol=1e-5)
