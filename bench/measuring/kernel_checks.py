"""One comparison of a kernel with what it should compute: forward and all gradients, in a process of its own.

    finding = check(case, "cuda")

On a GPU the kernel meets the torch op in float32 on the same rounded inputs; a mixer on its kernels meets the
same mixer on torch ops in float32, which hears each utterance alone, without padding. On a CPU, where no
kernel runs, the torch op meets a frame loop in float64 and the mixer itself in float64: that says that the
comparison works, and nothing about kernels.

Bounds are those of fla's tests: RMSE over the RMS of the reference under 0.005, for the delta rules 0.008 for
the gradients of queries and keys and 0.02 for those of gates. A mixer's gradients gather many such, and have
0.02. To a mixer's bounds is added what the precision alone costs: the error of the torch ops in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

import mixers
from bench.config import DeviceKind
from bench.evidence.kernels import KernelCase, KernelFinding, Padding
from bench.measuring.engines import fix_threads
from bench.measuring.kernel_cases import HEADS
from bench.measuring.loops import (
    delta_loop,
    dplr_loop,
    forgetting_both_ways,
    forgetting_loop,
    linear_loop,
    slot_loop,
)
from mixers import ops
from mixers.ops import backend
from mixers.ops.backend import Kernel

BOUND = 0.005
MIXER_GRADIENT_BOUND = 0.02
SEVERAL = 1000  # frames up to which a batch has more than one utterance
REFUSALS = (NotImplementedError, ValueError, AssertionError)  # what a kernel says before it computes
TINY = 1e-6  # RMS of a reference that is nothing but rounding: its error is taken as it is

Outcome = dict[str, Tensor]  # the output and the gradients, by what they are of


@dataclass(frozen=True)
class Op:
    """An op that a kernel computes: its arguments in order, its frame loop, bounds other than BOUND."""

    run: Callable[..., Tensor]
    loop: Callable[..., Tensor]
    arguments: tuple[str, ...]
    bounds: dict[str, float]


DELTA_BOUNDS = {"q": 0.008, "k": 0.008, "gate": 0.02, "beta": 0.02, "a": 0.02, "b": 0.02}
OPS: dict[Kernel, Op] = {
    "head_gate": Op(ops.gated_linear_attention, linear_loop, ("q", "k", "v", "head_gate"), {}),
    "channel_gate": Op(ops.gated_linear_attention, linear_loop, ("q", "k", "v", "gate"), {}),
    "slots": Op(ops.gated_slot_attention, slot_loop, ("q", "k", "v", "slots", "gate"), {}),
    "delta_rule": Op(ops.delta_rule, delta_loop, ("unit_q", "unit_k", "v", "gate", "beta"), DELTA_BOUNDS),
    "dplr": Op(ops.dplr_delta_rule, dplr_loop, ("q", "k", "v", "gate", "a", "b"), DELTA_BOUNDS),
    "fox": Op(ops.forgetting_attention, forgetting_loop, ("q", "k", "v", "head_gate"), {}),
    "fox_both_ways": Op(
        partial(ops.forgetting_attention, causal=False),
        forgetting_both_ways,
        ("q", "k", "v", "head_gate"),
        {},
    ),
}
PRECISE = ("gate", "head_gate", "beta")  # float32 whatever the rest is, as mixers make them


def check(case: KernelCase, device: DeviceKind) -> KernelFinding:
    """Compare; what the kernel itself refuses is "unsupported", with its words."""
    started = time.perf_counter()
    fix_threads(1)
    torch.set_float32_matmul_precision("highest")
    compare = _check_op if case.of == "op" else _check_mixer
    try:
        errors, bounds = compare(case, device)
    except REFUSALS as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return KernelFinding(case=case, status="unsupported", reason=text, wall_s=_since(started))
    beyond = [name for name in errors if not errors[name] <= bounds[name]]  # not a number is beyond, too
    reason = ", ".join(f"{name} {errors[name]:.2g} > {bounds[name]:.2g}" for name in beyond)
    return KernelFinding(
        case=case,
        status="failed" if beyond else "ok",
        reason=reason,
        errors={name: _rounded(value) for name, value in errors.items()},
        bounds={name: _rounded(value) for name, value in bounds.items()},
        wall_s=_since(started),
    )


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 2)


def _rounded(value: float) -> float:
    """Three digits; what is no number counts as wholly wrong, so that it can be written."""
    return float(f"{value:.3g}") if value < 1e30 else 1e30


# Ops


def _check_op(case: KernelCase, device: DeviceKind) -> tuple[dict[str, float], dict[str, float]]:
    op: Op = OPS[case.name]  # type: ignore[index]
    given = _arguments(case, op, device)
    names = [name.removeprefix("unit_").removeprefix("head_") for name in op.arguments]
    if device == "cuda":
        ours = _with_gradients(partial(op.run, backend="fla"), given, names)
        expected = _with_gradients(partial(op.run, backend="torch"), [x.float() for x in given], names)
    else:
        ours = _with_gradients(op.run, given, names)
        expected = _with_gradients(op.loop, [x.double() for x in given], names)
    errors = _errors(expected, ours)
    return errors, {name: op.bounds.get(name, BOUND) for name in errors}


def _arguments(case: KernelCase, op: Op, device: DeviceKind) -> list[Tensor]:
    """Random arguments (B, T, H, ·): unit keys of delta rules, log gates that forget within some frames."""
    random = torch.Generator().manual_seed(0)
    K, V, rows = case.key_dim, case.value_dim, (2 if case.frames <= SEVERAL else 1)

    def noise(*size: int) -> Tensor:
        return torch.randn(rows, case.frames, HEADS, *size, generator=random)

    q, k, v, slots, direction = noise(K), noise(K), noise(V), noise(K), normalize(noise(K), dim=-1)
    rate = noise(K).sigmoid()
    made = {
        "q": q,
        "k": k,
        "v": v,
        "unit_q": normalize(q, dim=-1),
        "unit_k": normalize(k, dim=-1),
        "slots": slots.sigmoid(),
        "gate": logsigmoid(noise(K)) / 4,
        "head_gate": logsigmoid(noise()) / 4,
        "beta": noise().sigmoid(),
        "a": -direction,  # as RWKV-7's −κ and η ∘ κ, from which the state cannot grow
        "b": rate * direction,
    }
    narrow = getattr(torch, case.dtype)
    return [made[name].to(device, torch.float32 if name in PRECISE else narrow) for name in op.arguments]


def _with_gradients(run: Callable[..., Tensor], given: Sequence[Tensor], names: Sequence[str]) -> Outcome:
    """The output, and the gradient of a random projection of it for every argument."""
    leaves = [x.detach().clone().requires_grad_() for x in given]
    out = run(*leaves)
    gradients = torch.autograd.grad((out.double() * _weights(out)).sum(), leaves)
    return {"output": out.detach()} | dict(zip(names, gradients, strict=True))


def _weights(out: Tensor) -> Tensor:
    drawn = torch.randn(out.shape, generator=torch.Generator().manual_seed(9))
    return drawn.to(out.device, torch.float64)


def _errors(expected: Outcome, ours: Outcome) -> dict[str, float]:
    """RMSE over the RMS of what is expected, by name."""
    return {name: _error(expected[name], ours[name]) for name in expected}


def _error(expected: Tensor, ours: Tensor) -> float:
    expected, ours = expected.double(), ours.double()
    size = expected.square().mean().sqrt()
    wrong = (expected - ours).square().mean().sqrt()
    return (wrong / size if size > TINY else wrong).nan_to_num(torch.inf).item()


# Mixers


def _check_mixer(case: KernelCase, device: DeviceKind) -> tuple[dict[str, float], dict[str, float]]:
    if device == "cuda" and not backend.installed():  # "auto" would quietly run torch
        raise ValueError("fla or triton is not installed; install serbench[gpu]")
    x, mask = _batch(case)
    narrow = getattr(torch, case.dtype)
    x, mask = x.to(device, narrow), mask.to(device)
    built = _built(case).to(device, narrow)
    wide = torch.float32 if device == "cuda" else torch.float64
    precise = _built(case).to(device, wide)
    precise.load_state_dict(built.state_dict())
    expected = _alone(precise, x.to(wide), mask)
    floor = _errors(expected, _in_a_batch(built, x, mask)) if device == "cuda" else {}
    backend.trust(case.kernels)  # type: ignore[arg-type]
    try:
        errors = _errors(expected, _in_a_batch(built, x, mask))
    finally:
        backend.trust(())
    bounds = {name: BOUND if name == "output" else MIXER_GRADIENT_BOUND for name in errors}
    return errors, {name: bound + floor.get(name, 0.0) for name, bound in bounds.items()}


def _built(case: KernelCase) -> mixers.TokenMixer:
    """The mixer of a case, the same every time."""
    assert case.direction is not None
    options = mixers.info(case.name).cls.stock_options(case.width, HEADS) if case.stock else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return mixers.build(case.name, case.width, HEADS, case.direction, **options)


def _batch(case: KernelCase) -> tuple[Tensor, Tensor]:
    """Frames (B, T, D), and which are real (B, T): rows of the length, of parts of it and of one frame."""
    T = case.frames
    if case.padding == "none":
        real = torch.full((2 if T <= SEVERAL else 1,), T)
    else:
        real = torch.tensor([T, -(-T // 2), -(-T // 5), 1])
    random = torch.Generator().manual_seed(1)
    x = torch.randn(len(real), T, case.width, generator=random)
    return x, padded(torch.arange(T) < real[:, None], case.padding, random)


def padded(right: Tensor, padding: Padding, random: torch.Generator) -> Tensor:
    """A mask that is padded on the right (B, T), padded elsewhere."""
    if padding == "left":
        return right.flip(1)
    if padding == "scattered":
        return right.gather(1, torch.rand(right.shape, generator=random).argsort(1))
    return right


def _in_a_batch(mixer: mixers.TokenMixer, x: Tensor, mask: Tensor) -> Outcome:
    """Real frames of the output (N, D), and the gradients of the input's and of all parameters."""
    x = x.detach().clone().requires_grad_()
    whole = bool(mask.all())
    y = mixer(x, None if whole else mask)[mask]
    return _mixer_outcome(mixer, x, y, mask)


def _alone(mixer: mixers.TokenMixer, x: Tensor, mask: Tensor) -> Outcome:
    """The same, one utterance at a time and without its padding."""
    x = x.detach().clone().requires_grad_()
    y = torch.cat([mixer(row[real][None])[0] for row, real in zip(x, mask, strict=True)])
    return _mixer_outcome(mixer, x, y, mask)


def _mixer_outcome(mixer: mixers.TokenMixer, x: Tensor, y: Tensor, mask: Tensor) -> Outcome:
    parameters = dict(mixer.named_parameters())
    total = (y.double() * _weights(y)).sum()
    of_x, *gradients = torch.autograd.grad(total, [x, *parameters.values()])
    return {"output": y.detach(), "x": of_x[mask]} | dict(zip(parameters, gradients, strict=True))
