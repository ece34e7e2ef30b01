"""Bad input ends with one ValueError that names the argument and says what it should be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import mixers
from mixers import ops
from mixers.ops import backend
from mixers.ops.checks import check_shapes

B, T, H, K, V, M = 2, 9, 3, 4, 5, 6
SHAPES = {
    "q": (B, T, H, K), "k": (B, T, H, K), "v": (B, T, H, V), "s": (B, T, H, M),
    "g": (B, T, H), "slot_g": (B, T, H, M), "beta": (B, T, H),
}  # fmt: skip
OPS: dict[str, tuple[Callable[..., Tensor], tuple[str, ...]]] = {
    "gated_linear_attention": (ops.gated_linear_attention, ("q", "k", "v", "g")),
    "delta_rule": (ops.delta_rule, ("q", "k", "v", "g", "beta")),
    "gated_slot_attention": (ops.gated_slot_attention, ("q", "k", "v", "s", "slot_g")),
    "forgetting_attention": (ops.forgetting_attention, ("q", "k", "v", "g")),
    "softmax_attention": (ops.softmax_attention, ("q", "k", "v")),
    "unfused_softmax_attention": (ops.unfused_softmax_attention, ("q", "k", "v")),
}
GATED = [name for name, (_, arguments) in OPS.items() if {"g", "slot_g"} & set(arguments)]


def good(name: str) -> dict[str, Tensor]:
    """Arguments that the op of that name takes."""
    rng = torch.Generator().manual_seed(0)
    drawn = {key: torch.rand(SHAPES[key], generator=rng) for key in OPS[name][1]}
    return {key.removeprefix("slot_"): -x if "g" in key else x for key, x in drawn.items()}


@pytest.mark.parametrize("name", OPS)
def test_good_arguments_are_taken(name):
    assert OPS[name][0](**good(name)).shape == (B, T, H, V)


@pytest.mark.parametrize(
    ("argument", "spoil", "got"),
    [
        ("q", lambda x: x[0], r"\(9, 3, 4\)"),
        ("k", lambda x: x[:, 1:], r"\(2, 8, 3, 4\)"),
        ("k", lambda x: x[..., 1:], r"\(2, 9, 3, 3\)"),
        ("v", lambda x: x[..., None], r"\(2, 9, 3, 5, 1\)"),
    ],
)
@pytest.mark.parametrize("name", OPS)
def test_an_argument_of_another_shape_is_named_with_the_shape_it_should_have(name, argument, spoil, got):
    arguments = good(name)
    arguments[argument] = spoil(arguments[argument])
    with pytest.raises(ValueError, match=rf"^{argument} is \(B, T, H, [KV]\).* and got shape {got}$"):
        OPS[name][0](**arguments)


@pytest.mark.parametrize("name", GATED)
def test_a_gate_of_another_shape_is_named(name):
    arguments = good(name)
    arguments["g"] = arguments["g"][:, :, :2]
    with pytest.raises(
        ValueError, match=r"g is \(B, T, H.* with B = 2, T = 9, H = 3.* and got shape \(2, 9, 2"
    ):
        OPS[name][0](**arguments)


@pytest.mark.parametrize("argument", ["k", "v"])
@pytest.mark.parametrize("name", OPS)
def test_whole_numbers_and_mixed_double_precision_are_named(name, argument):
    arguments = good(name)
    for dtype, message in (
        (torch.int64, f"{argument} is a floating-point tensor and got torch.int64"),
        (torch.float64, "float64 and . torch.float32; make all|float32 and . torch.float64; make all"),
    ):
        with pytest.raises(ValueError, match=message):
            OPS[name][0](**(arguments | {argument: arguments[argument].to(dtype)}))


@pytest.mark.parametrize("name", GATED)
def test_the_backend_is_named_where_it_is_unknown_or_cannot_run(name):
    with pytest.raises(ValueError, match="backend='tpu' is none of auto, torch, fla"):
        OPS[name][0](**good(name), backend="tpu")
    with pytest.raises(ValueError, match="backend='fla' needs CUDA tensors and got cpu; use backend='auto'"):
        OPS[name][0](**good(name), backend="fla")


def on_a_gpu(dtype: torch.dtype) -> Tensor:
    """A stand-in for a CUDA tensor: `choose` asks where it is and of what type."""

    class Stub:
        is_cuda, device = True, torch.device("cuda")

    stub = Stub()
    stub.dtype = dtype
    return stub


def test_a_kernel_that_is_not_installed_is_told_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setattr(backend, "installed", lambda: False)
    with pytest.raises(ValueError, match=r"needs flash-linear-attention and triton; install serbench\[gpu\]"):
        backend.choose("fla", on_a_gpu(torch.float32), "slots")


def test_kernels_refuse_double_precision(monkeypatch):
    monkeypatch.setattr(backend, "installed", lambda: True)
    assert backend.choose("fla", on_a_gpu(torch.bfloat16), "slots") == "fla"
    with pytest.raises(ValueError, match=r"backend='fla' needs 16 or 32 bits and got torch\.float64"):
        backend.choose("fla", on_a_gpu(torch.float64), "slots")


def test_heads_that_do_not_divide_the_width_are_named_for_every_mixer():
    for name in mixers.available():
        with pytest.raises(ValueError, match="d_model=30 is no multiple of num_heads=4; change one of them"):
            mixers.build(name, 30, 4)


def test_autocast_takes_frames_of_any_floating_point_type():
    mixer = mixers.build("softmax", 32)
    x = torch.zeros(1, 3, 32, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match=r"x is torch.bfloat16 and the mixer's parameters torch.float32"):
        mixer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert mixer(x).shape == x.shape


def test_a_mixer_whose_gates_stay_in_float32_takes_the_type_of_its_other_parameters():
    mixer = mixers.build("mamba2", 32).to(torch.bfloat16)
    mixer.A_log.data = mixer.A_log.data.float()
    assert mixer(torch.zeros(1, 3, 32, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_a_layout_binds_its_letters_in_the_order_given():
    v, shared = torch.zeros(2, 9, 3, 5), torch.zeros(2, 9, 1, 4)
    check_shapes(v=(v, "BTHV"), q=(shared, "BTHK", "BT1K"))
    with pytest.raises(
        ValueError, match=r"^q is \(B, T, H, K\) with B = 2, T = 9, H = 3 and got shape \(2, 9, 1, 4\)$"
    ):
        check_shapes(v=(v, "BTHV"), q=(shared, "BTHK"))


# What the kernels need beyond the torch ops


def test_zeros_up_to_a_multiple_of_sixteen_change_no_output():
    arguments = good("gated_linear_attention") | {"g": -torch.rand(B, T, H, K)}
    wide = {name: backend.padded(x) for name, x in arguments.items()}
    assert {x.shape[-1] for x in wide.values()} == {16}
    ours = ops.gated_linear_attention(**wide, scale=K**-0.5)[..., :V]
    torch.testing.assert_close(ours, ops.gated_linear_attention(**arguments))
    assert backend.padded(torch.zeros(1, 32)).shape == (1, 32)


def test_kernels_multiply_one_type_the_narrowest_given():
    q, v = torch.zeros(1), torch.zeros(1, dtype=torch.bfloat16)
    assert [x.dtype for x in backend.alike(q, v)] == [torch.bfloat16] * 2


def test_the_strongest_gate_of_a_kernel_is_nothing_in_float32_and_keeps_its_neighbours():
    g = torch.tensor([-0.01, -1e30, -0.01])
    bounded = backend.kernel_gate(g)
    assert bounded[0] == g[0]
    assert bounded[1].exp() < torch.finfo(torch.float32).eps ** 2
    kept = bounded.cumsum(0)
    torch.testing.assert_close((kept[2] - kept[1]).exp(), g[2].exp(), rtol=1e-4, atol=0)
