"""Mixers of stock size are the published layers: their sizes, their parameters, their outputs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from math import prod

import mixer_contract_checks as contract
import mixer_streaming_checks as streaming
import pytest
import torch
from mixer_contract_checks import Make, counted_flops
from test_mixers_ops import naive
from torch import Tensor, nn

import mixers
from mixers import TokenMixer, ops, stock

HEADS = 4
PUBLISHED = {  # million parameters of the study's layers at d = 1024; Mamba-2, not in it, as fla builds it
    "softmax": 4.20, "retnet": 8.39, "gsa": 5.24, "fox": 2.39, "kda": 2.50, "lightnet": 3.41, "mamba2": 6.60,
}  # fmt: skip
LAYERS = {  # names and shapes in the state dicts of fla 0.6.0's layers (PyTorch's for softmax) at d = 64
    "softmax": {
        "in_proj_weight": (192, 64), "in_proj_bias": (192,),
        "out_proj.weight": (64, 64), "out_proj.bias": (64,),
    },
    "retnet": {
        "q_proj.weight": (64, 64), "k_proj.weight": (64, 64), "v_proj.weight": (128, 64),
        "g_proj.weight": (128, 64), "o_proj.weight": (64, 128), "g_norm_swish_gate.weight": (32,),
    },
    "gsa": {
        "q_proj.weight": (64, 64), "k_proj.weight": (64, 64), "v_proj.weight": (64, 64),
        "f_proj.weight": (64, 64), "g_norm.weight": (64,), "o_proj.weight": (64, 64),
    },
    "fox": {
        "q_proj.weight": (64, 64), "k_proj.weight": (8, 64), "v_proj.weight": (8, 64),
        "f_proj.weight": (32, 64), "f_proj.bias": (32,), "o_proj.weight": (64, 64),
    },
    "kda": {
        "A_log": (4,), "dt_bias": (512,),
        "q_proj.weight": (512, 64), "k_proj.weight": (512, 64), "v_proj.weight": (512, 64),
        "q_conv1d.weight": (512, 1, 4), "k_conv1d.weight": (512, 1, 4), "v_conv1d.weight": (512, 1, 4),
        "f_proj.0.weight": (128, 64), "f_proj.1.weight": (512, 128), "b_proj.weight": (4, 64),
        "g_proj.0.weight": (128, 64), "g_proj.1.weight": (512, 128), "g_proj.1.bias": (512,),
        "o_norm.weight": (128,), "o_proj.weight": (64, 512),
    },
    "lightnet": {
        "q_proj.weight": (512, 64), "k_proj.weight": (512, 64), "v_proj.weight": (64, 64),
        "g_proj.0.weight": (128, 64), "g_proj.1.weight": (64, 128), "g_norm.weight": (64,),
        "o_proj.weight": (64, 64),
    },
    "mamba2": {
        "dt_bias": (2,), "A_log": (2,), "D": (2,), "conv1d.weight": (384, 1, 4), "conv1d.bias": (384,),
        "in_proj.weight": (514, 64), "norm.weight": (128,), "out_proj.weight": (64, 128),
    },
}  # fmt: skip


def built(name: str, d_model: int, direction: str = "causal") -> TokenMixer:
    options = mixers.info(name).cls.stock_options(d_model, HEADS)
    return mixers.build(name, d_model, HEADS, direction=direction, **options)


def maker(name: str) -> Make:
    def make(direction: str) -> TokenMixer:
        torch.manual_seed(0)
        return built(name, contract.WIDTH, direction)

    return make


def random_state(name: str) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {key: torch.randn(shape, generator=rng) for key, shape in LAYERS[name].items()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_stock_size_is_the_published_one(name):
    with torch.device("meta"):
        parameters = sum(p.numel() for p in built(name, 1024).parameters())
    assert round(parameters / 1e6, 2) == PUBLISHED[name]


@pytest.mark.parametrize("name", LAYERS)
def test_every_parameter_of_the_layer_is_used_once_and_fills_the_mixer(name):
    mixer = built(name, 64)
    used = [part for parts in mixer.stock_names.values() for part in parts]
    assert sorted(used) == sorted(LAYERS[name])
    assert sum(p.numel() for p in mixer.parameters()) == sum(map(prod, LAYERS[name].values()))


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_loaded_is_what_the_layer_held(name):
    mixer, state = built(name, 64), random_state(name)
    stock.load(mixer, state)
    own = dict(mixer.named_parameters())
    for parameter, parts in mixer.stock_names.items():
        pieces = own[parameter].split([LAYERS[name][part][0] for part in parts])
        for part, piece in zip(parts, pieces, strict=True):
            assert torch.equal(piece, state[part].reshape(piece.shape)), part


def test_a_state_dict_of_another_layer_is_refused_by_its_names():
    mixer, state = built("retnet", 64), random_state("retnet")
    state["bias"] = state.pop("k_proj.weight")
    with pytest.raises(ValueError, match=r"missing k_proj\.weight, unknown bias"):
        stock.load(mixer, state)


def test_a_state_dict_of_another_size_is_refused_by_its_shapes_and_changes_nothing():
    mixer, state = built("retnet", 64), random_state("retnet")
    before = [p.clone() for p in mixer.parameters()]
    state["o_proj.weight"] = torch.zeros(32, 128)
    with pytest.raises(
        ValueError, match=r"o_proj\.weight \(32, 128\) do not make up out\.weight \(64, 128\)"
    ):
        stock.load(mixer, state)
    assert all(torch.equal(a, b) for a, b in zip(before, mixer.parameters(), strict=True))


def test_a_mixer_that_is_not_of_stock_kind_is_refused():
    with pytest.raises(ValueError, match="Softmax has no layer to load; build it with its stock_options"):
        stock.load(mixers.build("softmax", 64), random_state("softmax"))


def test_a_mixer_without_a_published_layer_says_so():
    with pytest.raises(NotImplementedError, match="TokenMixer has no stock size"):
        TokenMixer.stock_options(64, 4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("retnet", {"key_dim": 0}, "key_dim=0 is no size"),
        ("retnet", {"key_dim": 3}, "key_dim=3 is odd"),
        ("gsa", {"num_slots": -1}, "num_slots=-1 is no size"),
        ("lightnet", {"gate_rank": 0}, "gate_rank=0 is no size"),
        ("kda", {"key_dim": 0}, "key_dim=0 is no size"),
        ("fox", {"query_heads": 6}, "query_heads=6 is no multiple of num_heads=4 that divides d_model=64"),
        ("fox", {"query_heads": 12}, "query_heads=12 is no multiple of num_heads=4 that divides d_model=64"),
        ("mamba2", {"value_heads": 0}, "value_heads=0 is no size"),
    ],
)
def test_an_option_that_makes_no_layer_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        mixers.build(name, 64, HEADS, **options)


def test_a_width_that_stock_mamba2_cannot_have_is_refused():
    with pytest.raises(ValueError, match="d_model=48: twice of it must make heads of 64"):
        mixers.info("mamba2").cls.stock_options(48, HEADS)


KEPT = (
    contract.check_padding_never_reaches_a_real_frame,
    contract.check_causal_sees_no_later_frame,
    contract.check_bidirectional_sees_both_sides,
    contract.check_gradient_reaches_every_parameter,
    streaming.check_a_stream_cut_anywhere_equals_forward,
    streaming.check_state_bytes_are_those_held,
)


@pytest.mark.parametrize("check", KEPT, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", LAYERS)
def test_a_mixer_of_stock_size_keeps_the_contract(name, check):
    check(maker(name))


@pytest.mark.parametrize("name", LAYERS)
def test_flops_of_stock_size_are_those_that_torch_counts(name):
    mixer = built(name, 64)
    assert mixer.flops(96) == pytest.approx(counted_flops(mixer, torch.randn(1, 96, 64)), rel=0.1)


def test_stock_softmax_is_pytorchs_multihead_attention():
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(64, HEADS, batch_first=True).double()
    nn.init.normal_(layer.in_proj_bias)
    mask = torch.rand(3, 40) < 0.7
    for direction in ("bidirectional", "causal"):
        x = torch.randn(3, 40, 64, dtype=torch.float64)
        hidden = None if direction == "bidirectional" else torch.ones(40, 40, dtype=torch.bool).triu(1)
        for real in (None, mask) if hidden is None else (None,):
            padded = None if real is None else ~real

            def theirs(x: Tensor) -> Tensor:
                return layer(x, x, x, key_padding_mask=padded, attn_mask=hidden)[0]  # noqa: B023

            assert_same_layer("softmax", layer, theirs, x, direction, real, exactly)


def exactly(name: str, ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11, msg=lambda text: f"{name}: {text}")


def assert_same_layer(
    name: str,
    layer: nn.Module,
    theirs: Callable[[Tensor], Tensor],
    x: Tensor,
    direction: str,
    mask: Tensor | None,
    compare: Callable[[str, Tensor, Tensor], None],
) -> None:
    """Same output on real frames, and same gradients of the input and of every parameter."""
    mixer, gradients = (built(name, x.shape[-1], direction).to(x) for _ in range(2))
    stock.load(mixer, layer.state_dict())
    real = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask
    weights = torch.randn_like(x) * real.unsqueeze(-1)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    ours, expected = mixer(inputs[0], mask), theirs(inputs[1])
    layer.zero_grad()
    (ours * weights).sum().backward()
    (expected * weights).sum().backward()
    stock.load(gradients, {key: p.grad for key, p in layer.named_parameters() if p.grad is not None})
    compare("output", ours[real], expected[real])
    compare("input", *(x.grad[real] for x in inputs if x.grad is not None))
    for (key, parameter), gradient in zip(mixer.named_parameters(), gradients.parameters(), strict=True):
        assert parameter.grad is not None
        compare(key, parameter.grad, gradient)


def test_query_heads_that_share_keys_and_values_agree_with_fla():
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 50, 6, 8), torch.randn(2, 50, 2, 8), torch.randn(2, 50, 2, 8)
    g = torch.nn.functional.logsigmoid(torch.randn(2, 50, 6))
    expected = naive("forgetting_attn").naive_forgetting_attn(q, k, v, g)
    torch.testing.assert_close(ops.forgetting_attention(q, k, v, g), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("check", [*contract.CHECKS, *streaming.STREAMING_CHECKS], ids=contract.said)
def test_fox_whose_query_heads_share_keys_and_values_keeps_the_whole_contract(check):
    def make(direction: str) -> TokenMixer:
        torch.manual_seed(0)
        return mixers.build("fox", contract.WIDTH, 2, direction, query_heads=8)

    check(make)


# On a GPU, against the layers themselves


def fla_layer(name: str, d_model: int) -> nn.Module:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    if importlib.util.find_spec("triton") is None or importlib.util.find_spec("fla.layers") is None:
        pytest.skip("needs flash-linear-attention and triton")
    return stock.layer(name, d_model, HEADS).cuda()


def test_a_mixer_without_a_layer_of_fla_says_so():
    with pytest.raises(ValueError, match="mixer 'softmax' stands for no layer of fla; those that do are"):
        stock.layer("softmax", 64)


@pytest.mark.skipif(importlib.util.find_spec("triton") is not None, reason="triton is installed")
def test_a_layer_of_fla_without_triton_is_told_with_the_way_to_install_it():
    with pytest.raises(ValueError, match=r"need flash-linear-attention and triton; install serbench\[gpu\]"):
        stock.layer("retnet", 64)


def closely(name: str, ours: Tensor, theirs: Tensor) -> None:
    """Within the tolerance of fla's own tests, whose kernels multiply in TF32; gates' sums are wider."""
    bound = 0.02 if name in {"A_log", "dt_bias", "fade.0.weight", "fade.1.weight", "forget.bias"} else 0.008
    error = (ours - theirs).square().mean().sqrt() / theirs.square().mean().sqrt()
    assert error < bound, f"{name}: relative error {error:.2g}, at most {bound}"


@pytest.mark.gpu
@pytest.mark.parametrize("frames", [100, 300])
@pytest.mark.parametrize("name", stock.LAYERS)
def test_outputs_and_gradients_agree_with_flas_layer(name, frames):
    torch.manual_seed(0)
    layer = fla_layer(name, 256)
    x = torch.randn(2, frames, 256, device="cuda")
    assert_same_layer(name, layer, lambda x: layer(x)[0], x, "causal", None, closely)
