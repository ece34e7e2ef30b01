"""What the ops hand to fla's kernels, without a GPU: fla's naive references stand in for the kernels.

The stand-ins take the kernels' arguments by name and ask of them what the kernels ask: one type, float32
gates, head sizes that are multiples of 16, a query head for each value head. The kernels themselves are in
`test_mixers_gpu.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from test_mixers_ops import naive
from torch import Tensor
from torch.nn.functional import normalize

from mixers import ops
from mixers.ops import delta, forgetting, linear, slots

T, H, K, V, M = 40, 3, 13, 27, 21
Kernel = Callable[..., tuple[Tensor, None]]


def strict(reference: Callable[..., tuple[Tensor, ...]]) -> Kernel:
    def kernel(*tensors: Tensor, scale: float) -> tuple[Tensor, None]:
        q, k, v, *_, g = tensors if len(tensors) < 5 or tensors[-1].dim() == 4 else tensors[:-1]
        assert q.dtype == k.dtype == v.dtype
        assert g.dtype == torch.float32
        assert q.shape == k.shape
        assert q.shape[2] == v.shape[2]
        assert not q.shape[-1] % 16
        assert not v.shape[-1] % 16
        out = reference(*tensors, scale=scale)
        return (out if isinstance(out, Tensor) else out[0]).to(q.dtype), None

    return kernel


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules named as fla's, with the naive references in them."""

    recurrent = naive("gla").naive_recurrent_gla

    def gla(q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float) -> Tensor:
        return recurrent(q * (scale * q.shape[-1] ** 0.5), k, v, g)[0]

    simple = strict(naive("simple_gla").naive_recurrent_simple_gla)
    fox = strict(naive("forgetting_attn").naive_forgetting_attn)
    modules = {
        "gla": {"chunk_gla": strict(gla)},
        "simple_gla": {"chunk_simple_gla": simple, "fused_chunk_simple_gla": simple},
        "kda": {"chunk_kda": strict(naive("kda").naive_recurrent_kda)},
        "gsa": {"chunk_gsa": strict(naive("gsa").naive_recurrent_gsa)},
        "forgetting_attn": {"parallel_forgetting_attn": lambda *x, scale: fox(*x, scale=scale)[0]},
    }
    for name, functions in modules.items():
        module = ModuleType(f"fla.ops.{name}")
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for package in ("fla", "fla.ops"):
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setattr(linear, "gated_backward_refused", lambda: False)


def drawn(dtype: torch.dtype) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    q, k, v, s = (torch.randn(2, T, H, width, generator=rng).to(dtype) for width in (K, K, V, M))
    return {
        "q": q, "k": normalize(k.float(), dim=-1), "v": v, "s": s.sigmoid(),
        "g": -torch.rand(2, T, H, generator=rng), "channel": -torch.rand(2, T, H, K, generator=rng),
        "slot": -torch.rand(2, T, H, M, generator=rng), "beta": torch.rand(2, T, H, generator=rng).to(dtype),
    }  # fmt: skip


CASES = {
    "gate a head": (linear._kernel, ops.gated_linear_attention, ("q", "k", "v", "g")),
    "gate a channel": (linear._kernel, ops.gated_linear_attention, ("q", "k", "v", "channel")),
    "delta rule": (delta._kernel, ops.delta_rule, ("q", "k", "v", "channel", "beta")),
    "slots": (slots._kernel, ops.gated_slot_attention, ("q", "k", "v", "s", "slot")),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_odd_head_sizes_and_several_types_reach_a_kernel_as_it_needs_them(case, dtype):
    kernel, op, names = CASES[case]
    tensors = [drawn(dtype)[name] for name in names]
    ours, expected = kernel(*tensors, 0.3), op(*tensors, scale=0.3)
    assert ours.shape == expected.shape
    assert ours.dtype == expected.dtype
    bound = 1e-5 if dtype == torch.float32 else 0.02
    torch.testing.assert_close(ours, expected, rtol=bound, atol=bound)


def test_shared_heads_reach_the_kernel_as_one_a_value_head():
    q, k, v, g = (drawn(torch.float32)[name] for name in ("q", "k", "v", "g"))
    q, k = q[:, :, :1], k[:, :, :1]
    ours = linear._kernel(q, k, v, g, 0.3)
    torch.testing.assert_close(ours, ops.gated_linear_attention(q, k, v, g, 0.3), rtol=1e-5, atol=1e-5)


def test_a_gate_that_starts_over_is_bounded_before_it_reaches_a_kernel():
    q, k, v, g = (drawn(torch.float32)[name] for name in ("q", "k", "v", "channel"))
    g[:, 10] = -1e30
    seen = []
    module = sys.modules["fla.ops.gla"]
    inner = module.chunk_gla
    module.chunk_gla = lambda *x, scale: (seen.append(x[3].min()), inner(*x, scale=scale))[1]
    ours = linear._kernel(q, k, v, g, 0.3)
    assert seen[0] >= -100
    torch.testing.assert_close(ours, ops.gated_linear_attention(q, k, v, g, 0.3), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("trains", [True, False])
def test_gated_training_takes_the_fused_kernel_where_the_other_has_no_backward(trains, monkeypatch):
    ran = []
    module = sys.modules["fla.ops.simple_gla"]
    for name in ("chunk_simple_gla", "fused_chunk_simple_gla"):
        inner = getattr(module, name)
        monkeypatch.setattr(
            module,
            name,
            lambda *x, scale, name=name, inner=inner: (ran.append(name), inner(*x, scale=scale))[1],
        )
    monkeypatch.setattr(linear, "gated_backward_refused", lambda: True)
    q, k, v, g = (drawn(torch.float32)[name] for name in ("q", "k", "v", "g"))
    linear._kernel(q.requires_grad_(trains), k, v, g, 0.3)
    assert ran == ["fused_chunk_simple_gla" if trains else "chunk_simple_gla"]


def test_forgetting_attention_packs_a_padded_batch_for_its_kernel_without_mask():
    q, k, v, g = (drawn(torch.float32)[name] for name in ("q", "k", "v", "g"))
    mask = torch.rand(2, T, generator=torch.Generator().manual_seed(1)) < 0.6
    g = g.masked_fill(~mask[..., None], 0)
    ours = forgetting._kernel(q, k, v, g, 0.3, True, mask)
    expected = ops.forgetting_attention(q, k, v, g, 0.3, mask=mask)
    torch.testing.assert_close(ours[mask], expected[mask], rtol=1e-5, atol=1e-5)
