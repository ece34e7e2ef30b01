"""Every registered mixer keeps the contract, a mixer added as a file too; broken mixers are caught."""

from __future__ import annotations

import sys
from pathlib import Path

import mixer_contract_checks as checks
import pytest
import torch
from mixer_contract_checks import CHECKS, HEADS, WIDTH, maker, noise, run, said
from torch import Tensor, nn

import mixers
from mixers import TokenMixer, registry
from mixers.contract import silence

MEAN = '''"""Running mean of the frames so far (or of all), a floor that every mixer should beat."""

import torch
from mixers import TokenMixer, register


@register("mean_in_a_file", label="Running mean")
class RunningMean(TokenMixer):
    """o_t = mean of v_1 … v_t, or of all frames where bidirectional."""

    def __init__(self, d_model, num_heads=4, direction="bidirectional"):
        super().__init__(d_model, num_heads, direction)
        self.value = torch.nn.Linear(d_model, d_model)

    def forward(self, x, mask=None):
        real = torch.ones_like(x[..., :1]) if mask is None else mask.unsqueeze(-1).to(x.dtype)
        v = self.value(x) * real
        if self.direction == "bidirectional":
            return (v.sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp(min=1)).expand_as(v)
        return v.cumsum(1) / real.cumsum(1).clamp(min=1)
'''


@pytest.mark.parametrize("check", CHECKS, ids=said)
@pytest.mark.parametrize("name", mixers.available())
def test_every_mixer_keeps_the_contract(name, check):
    run(check, name)


@pytest.mark.parametrize("name", ["softmax", "retnet", "lightnet", "gsa", "fox", "kda", "mamba2"])
def test_padding_may_hold_even_nan_in_the_published_mixers(name):
    """More than the contract asks, which a mask that multiplies does not give."""
    mask = checks.masks()["scattered"]
    x = noise(4, checks.FRAMES, WIDTH)
    mixer = maker(name)("bidirectional")
    y = mixer(x.masked_fill(~mask[..., None], torch.nan), mask)
    assert torch.allclose(y[mask], mixer(x, mask)[mask], atol=1e-6)
    y[mask].sum().backward()
    assert all(p.grad.isfinite().all() for p in mixer.parameters() if p.grad is not None)


@pytest.fixture
def added_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A mixer file put beside the package's own; forgotten after the test."""
    (tmp_path / "mean_in_a_file.py").write_text(MEAN, encoding="utf-8")
    monkeypatch.setattr(mixers, "__path__", [*mixers.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    yield "mean_in_a_file"
    sys.modules.pop("mixers.mean_in_a_file", None)
    vars(mixers).pop("mean_in_a_file", None)


def test_a_mixer_of_one_short_file_appears_and_is_checked_like_the_others(added_file):
    assert len(MEAN.splitlines()) < 40
    assert added_file in mixers.available()
    assert mixers.info(added_file).label == "Running mean"
    for check in CHECKS:
        check(maker(added_file))


class LeaksTheFuture(TokenMixer):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return silence(x, mask) + silence(x, mask).sum(1, keepdim=True)


class LeaksPadding(TokenMixer):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x + x.sum(1, keepdim=True) if self.bidirectional else x.cumsum(1)


class HasADeadParameter(TokenMixer):
    def __init__(self, d_model: int, num_heads: int = 4, direction: str = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        self.used, self.unused = nn.Linear(d_model, d_model), nn.Parameter(torch.ones(d_model))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.used(x) + 0 * self.unused


class LooksOneWay(TokenMixer):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return silence(x, mask).cumsum(1)


class SeesItsBatch(TokenMixer):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x - x.mean(0)


class Overflows(TokenMixer):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x.exp()


class DecaysItsGates(HasADeadParameter):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.used(x) * self.unused.sigmoid()


class BreaksTheGraph(TokenMixer):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        torch._dynamo.graph_break()
        return x * x


class CountsWrongly(TokenMixer):
    def __init__(self, d_model: int, num_heads: int = 4, direction: str = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.out(x)

    def flops(self, T: int) -> int:
        return self.projection_flops(T) // 2


class TakesAnything(TokenMixer):
    def __call__(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x


BROKEN = {
    "leaks_the_future": (LeaksTheFuture, checks.check_causal_sees_no_later_frame),
    "leaks_padding": (LeaksPadding, checks.check_padding_never_reaches_a_real_frame),
    "leaks_to_padding": (LeaksPadding, checks.check_gradient_never_reaches_a_padded_frame),
    "has_a_dead_parameter": (HasADeadParameter, checks.check_gradient_reaches_every_parameter),
    "looks_one_way": (LooksOneWay, checks.check_bidirectional_sees_both_sides),
    "sees_its_batch": (SeesItsBatch, checks.check_an_utterance_does_not_see_its_batch),
    "overflows": (Overflows, checks.check_extreme_inputs_stay_finite),
    "decays_its_gates": (DecaysItsGates, checks.check_gates_and_norms_are_exempt_from_weight_decay),
    "counts_wrongly": (CountsWrongly, checks.check_flops_are_those_that_torch_counts),
    "takes_anything": (TakesAnything, checks.check_bad_input_is_refused_by_name),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_mixer_in_the_registry_is_caught_by_name(name, monkeypatch):
    broken, check = BROKEN[name]
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    mixers.register(name, label="Broken")(broken)
    with pytest.raises(AssertionError, match=f"mixer '{name}': {said(check)}"):
        run(check, name)


def test_a_mixer_that_breaks_the_graph_does_not_compile_whole():
    with pytest.raises(torch._dynamo.exc.Unsupported):
        checks.check_compiled_equals_eager(lambda direction: BreaksTheGraph(WIDTH, HEADS, direction))


@pytest.mark.parametrize("width", [0, -4, 30])
def test_a_width_that_the_heads_do_not_divide_is_refused(width):
    with pytest.raises(ValueError, match=f"d_model={width} is no multiple of num_heads=4"):
        TokenMixer(width, 4)


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="'sideways' is neither 'causal' nor 'bidirectional'"):
        TokenMixer(8, 4, "sideways")


def test_what_a_mixer_does_not_provide_is_said_and_not_guessed():
    mixer = TokenMixer(8, 4, "causal")
    assert mixer.flops(100) is None
    assert mixer.state_bytes(100) is None
    with pytest.raises(NotImplementedError, match="TokenMixer does not provide streaming"):
        mixer.init_state(1)
    with pytest.raises(NotImplementedError, match="TokenMixer does not provide streaming"):
        mixer.step(torch.zeros(1, 8), None)
