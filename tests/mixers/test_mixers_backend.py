"""What `backend="auto"` runs: torch, but for kernels that were named as trusted, where they can run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from test_mixers_bad_input import on_a_gpu

from mixers import ops
from mixers.ops import backend
from mixers.ops.backend import asking, choose, trust


@pytest.fixture(autouse=True)
def installed_and_undecided(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(backend, "installed", lambda: True)
    yield
    trust(())


def queries(width: int = 64, dtype: torch.dtype = torch.float32):
    stub = on_a_gpu(dtype)
    stub.shape = torch.Size((1, 5, 2, width))
    return stub


def test_no_kernel_is_chosen_before_one_is_trusted():
    assert {choose("auto", queries(), kernel) for kernel in backend.KERNELS} == {"torch"}


def test_a_trusted_kernel_is_chosen_and_no_other():
    trust({"slots"})
    assert [choose("auto", queries(), kernel) for kernel in ("slots", "delta_rule")] == ["fla", "torch"]
    trust(())
    assert choose("auto", queries(), "slots") == "torch"


def test_a_trusted_kernel_is_left_alone_where_it_cannot_run(monkeypatch):
    trust({"delta_rule", "slots"})
    assert choose("auto", torch.zeros(1, 5, 2, 64), "slots") == "torch"
    assert choose("auto", queries(dtype=torch.float64), "slots") == "torch"
    assert [choose("auto", queries(width), "delta_rule") for width in (256, 257)] == ["fla", "torch"]
    monkeypatch.setattr(backend, "installed", lambda: False)
    assert choose("auto", queries(), "slots") == "torch"


def test_torch_can_be_asked_for_whatever_is_trusted():
    trust(backend.KERNELS)
    assert choose("torch", queries(), "slots") == "torch"


def test_a_kernel_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="no kernel 'gla'; there is head_gate, channel_gate"):
        trust({"gla"})


def test_ops_say_for_which_kernel_they_ask():
    q, g = torch.zeros(1, 5, 2, 4), torch.zeros(1, 5, 2)
    with asking() as asked:
        ops.gated_linear_attention(q, q, q, g)
        ops.forgetting_attention(q, q, q, g, causal=False)
    ops.delta_rule(q, q, q, q, g)
    assert asked == {"head_gate", "fox_both_ways"}
