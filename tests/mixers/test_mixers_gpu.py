"""On a CUDA device: fla's kernels against the torch ops, and whole mixers as a user runs them.

Errors are those of fla's own tests: RMSE over the RMS of the reference under 0.005, for the delta rule 0.008
for the gradients of q and k and 0.02 for those of its gates. In float32 the kernels multiply in TF32, so the
bound is the same. The reference sees the same rounded inputs, in float32.

What the kernels of fla 0.6.0 refuse, or would get wrong, and the ops see to: head sizes that are odd in
16 bits (`chunk_bwd_dv`), several types in one product, shared heads in `chunk_simple_gla`'s state, its gated
backward on Hopper with triton 3.4 to 3.7.0, and very strong gates beside weak ones. Keys wider than 256 are
refused by `chunk_kda` and `parallel_forgetting_attn`, and remain so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from mixer_contract_checks import HEADS, masks, noise
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

import mixers
from mixers import ops
from mixers.ops import backend

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
needs_kernels = pytest.mark.skipif(not backend.installed(), reason="needs fla and triton: serbench[gpu]")

DEVICE = "cuda"
DTYPES = (torch.float32, torch.bfloat16)
LENGTHS = (
    1,
    2,
    15,
    16,
    17,
    31,
    33,
    63,
    64,
    65,
    100,
    130,
)  # 64 frames: where fla's layers change their kernel
SIZES = ((16, 16), (32, 64), (128, 128), (13, 13), (19, 27), (51, 51), (43, 64), (85, 128), (64, 148))
WIDTHS = (128, 256)  # of whole mixers; matched head sizes of 25, 43, 51 and 74 among them

# op, its arguments in order, and the bounds of gradients other than 0.005
KERNELS: dict[str, tuple[Callable[..., Tensor], tuple[str, ...], dict[str, float]]] = {
    "gate a head": (ops.gated_linear_attention, ("q", "k", "v", "head"), {}),
    "gate a channel": (ops.gated_linear_attention, ("q", "k", "v", "channel"), {}),
    "slots": (ops.gated_slot_attention, ("q", "k", "v", "s", "slot"), {}),
    "forgetting": (ops.forgetting_attention, ("q", "k", "v", "head"), {}),
    "forgetting, both ways": (
        partial(ops.forgetting_attention, causal=False),
        ("q", "k", "v", "head"),
        {},
    ),
    "delta rule": (
        ops.delta_rule,
        ("unit_q", "unit_k", "v", "channel", "beta"),
        {"unit_q": 0.008, "unit_k": 0.008, "channel": 0.02, "beta": 0.02},
    ),
}


def drawn(names: tuple[str, ...], T: int, K: int, V: int, dtype: torch.dtype, B: int = 2) -> list[Tensor]:
    """Random arguments (B, T, HEADS, ·): gates and rates in float32, the rest in `dtype`."""
    M = K
    q, k, v, s = (noise(B, T, HEADS, width, seed=n) for n, width in enumerate((K, K, V, M)))
    f = logsigmoid(noise(B, T, HEADS, K, seed=5)) / 4
    made = {
        "q": q, "k": k, "v": v, "s": s.sigmoid(),
        "unit_q": normalize(q, dim=-1), "unit_k": normalize(k, dim=-1),
        "head": f[..., 0], "channel": f, "slot": f, "beta": noise(B, T, HEADS, seed=6).sigmoid(),
    }  # fmt: skip
    gates = {"head", "channel", "slot", "beta"}
    return [made[n].to(DEVICE, torch.float32 if n in gates else dtype) for n in names]


def error(reference: Tensor, ours: Tensor) -> float:
    """RMSE over the reference's RMS; the plain RMSE where the reference is all zeros."""
    reference, ours = reference.float(), ours.float()
    size = reference.square().mean().sqrt()
    wrong = (reference - ours).square().mean().sqrt()
    return (wrong / size if size > 1e-6 else wrong).item()


def outcome(op: Callable[..., Tensor], tensors: list[Tensor], **options: object) -> list[Tensor]:
    """The output of an op and the gradients of a random projection of it."""
    tensors = [x.detach().clone().requires_grad_() for x in tensors]
    out = op(*tensors, **options)
    weights = noise(*out.shape, seed=9).to(out.device)
    return [out.detach(), *torch.autograd.grad((out.float() * weights).sum(), tensors)]


def compare(case: str, tensors: list[Tensor]) -> None:
    op, names, bounds = KERNELS[case]
    kernel = outcome(op, tensors, backend="fla")
    reference = outcome(op, [x.float() for x in tensors], backend="torch")
    for name, expected, ours in zip(("output", *names), reference, kernel, strict=True):
        assert ours.isfinite().all(), name
        assert error(expected, ours) < bounds.get(name, 0.005), f"{name}: {error(expected, ours):.4f}"


@needs_kernels
@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", KERNELS)
def test_a_kernel_equals_the_torch_op_at_every_length(case, dtype, T):
    compare(case, drawn(KERNELS[case][1], T, 64, 64, dtype))


@needs_kernels
@pytest.mark.parametrize(("K", "V"), SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", KERNELS)
def test_a_kernel_equals_the_torch_op_at_every_head_size(case, dtype, K, V):
    compare(case, drawn(KERNELS[case][1], 100, K, V, dtype))


@needs_kernels
@pytest.mark.parametrize("strongest", [-1e2, -1e4, -1e30])
@pytest.mark.parametrize("case", ["gate a head", "gate a channel", "delta rule"])
def test_one_very_strong_gate_spoils_no_other(case, strongest):
    """A mixer that starts over (LightNet's first real frame after padding) has a gate of −10³⁰."""
    op, names, _ = KERNELS[case]
    tensors = drawn(names, 130, 64, 64, torch.float32)
    tensors[3][:, [20, 70]] = strongest
    kernel, reference = (op(*tensors, backend=name) for name in ("fla", "torch"))
    assert error(reference, kernel) < 0.005


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
def test_heads_that_share_queries_and_keys_get_their_own_states(dtype):
    q, k, v, g = drawn(("q", "k", "v", "head"), 130, 64, 64, dtype)
    compare("gate a head", [q[:, :, :1].contiguous(), k[:, :, :1].contiguous(), v, g])


@needs_kernels
@pytest.mark.parametrize("case", KERNELS)
def test_a_kernel_takes_the_several_types_that_autocast_leaves(case):
    op, names, _ = KERNELS[case]
    tensors = drawn(names, 100, 64, 64, torch.bfloat16)
    reference = op(*(x.float() for x in tensors), backend="torch")
    for one in range(3):
        mixed = [x.float() if n == one else x for n, x in enumerate(tensors)]
        kernel = op(*mixed, backend="fla")
        assert kernel.dtype == mixed[2].dtype
        assert error(reference, kernel) < 0.005


# Whole mixers, as `backend="auto"` runs them


def built(name: str, direction: str, width: int = 128) -> mixers.TokenMixer:
    torch.manual_seed(0)
    return mixers.build(name, width, HEADS, direction)


def padded_batch(width: int, side: str) -> tuple[Tensor, Tensor]:
    mask = masks()[side]
    return noise(*mask.shape, width), mask


@pytest.mark.parametrize("side", ["right", "left", "scattered"])
@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("name", mixers.available())
def test_a_mixer_gives_the_numbers_of_the_cpu_in_a_padded_batch(name, direction, side):
    for width in WIDTHS:
        x, mask = padded_batch(width, side)
        outcomes = []
        for device in ("cpu", DEVICE):
            mixer, inputs = built(name, direction, width).to(device), x.to(device).requires_grad_()
            real = mask.to(device)
            y = mixer(inputs, real)[real]
            weights = noise(*y.shape, seed=3).to(device)
            gradients = torch.autograd.grad((y * weights).sum(), [inputs, *mixer.parameters()])
            outcomes.append([y.detach().cpu(), *(each.cpu() for each in gradients)])
        names = ["output", "x", *(each for each, _ in mixer.named_parameters())]
        for what, expected, ours in zip(names, *outcomes, strict=True):
            assert error(expected, ours) < 0.02, f"{what} at width {width}: {error(expected, ours):.4f}"


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("name", mixers.available())
def test_a_mixer_trains_under_autocast(name, direction):
    x, mask = (each.to(DEVICE) for each in padded_batch(128, "right"))
    mixer = built(name, direction).to(DEVICE)
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        y = mixer(x, mask)
    assert error(mixer(x, mask)[mask], y[mask]) < 0.05
    y[mask].float().square().sum().backward()
    for parameter_name, parameter in mixer.named_parameters():
        assert parameter.grad.isfinite().all(), parameter_name


@contextmanager
def no_synchronisation() -> Iterator[None]:
    """An error wherever the host would wait for the device."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("name", mixers.available())
def test_the_forward_of_a_padded_batch_never_waits_for_the_device(name, direction):
    x, mask = (each.to(DEVICE) for each in padded_batch(128, "scattered"))
    mixer = built(name, direction).to(DEVICE)
    mixer(x, mask)  # compiles and tunes, which may wait
    torch.cuda.synchronize()
    with no_synchronisation():
        mixer(x, mask)


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("name", mixers.available())
def test_one_cuda_graph_serves_batches_of_other_lengths(name, direction):
    """No shape and no launch depends on the mask: captured with one, it is right with another."""
    x, mask = (each.to(DEVICE) for each in padded_batch(128, "right"))
    mixer = built(name, direction).to(DEVICE).eval()
    with torch.no_grad():
        graph, y = captured(lambda: mixer(x, mask))
        x.copy_(noise(*x.shape, seed=7))
        mask.copy_(masks()["scattered"].flip(0))
        graph.replay()
        torch.testing.assert_close(y[mask], mixer(x, mask)[mask], rtol=1e-4, atol=1e-4)


def captured(run: Callable[[], Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """The graph of a call and the tensor that each replay fills; warmed up first on a stream of its own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = run()
    return graph, y
