"""What the op benchmark times: each recurrence, its baselines, and how one comparison is measured.

    latencies = compare(Task(job, shape, Effort(relative_interval=0.03, time_limit_s=1.0)))
    peak = weigh(Task(job, shape, effort))

Both run in a fresh process (`bench.measuring.isolation`). Inputs are drawn from a fixed seed; log decays
are uniform in [−0.1, 0], as trained gates that remember tens of frames.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from bench.config import OpName, OpShape
from bench.evidence.records import Comparison, OpRun
from bench.measuring.allocator import keep_freed_memory
from bench.measuring.latency import Latency, sample_in_turns
from bench.measuring.loops import delta_loop, forgetting_loop, in_place, linear_loop, slot_loop
from bench.measuring.memory import peak_bytes
from bench.measuring.targets import Effort, fix_threads
from mixers import ops

MAX_ROUNDS = 300  # all samples are kept in the record
PEAKS = 3  # readings of the peak, of which the median counts

Run = Callable[[], object]


@dataclass(frozen=True)
class Op:
    """One recurrence: the chunkwise op, its loop, fla's naive reference, and what it takes beside q, k, v."""

    run: Callable[..., Tensor]
    loop: Callable[..., Tensor]
    reference: tuple[str, str]  # folder of fla/ops and function in its naive.py
    gates: tuple[str, ...]
    linear: bool = True  # O(T), with a state that the loop may overwrite


OPS: dict[OpName, Op] = {
    "scalar_gate": Op(
        ops.gated_linear_attention, linear_loop, ("simple_gla", "naive_recurrent_simple_gla"), ("head_decay",)
    ),
    "channel_gate": Op(
        ops.gated_linear_attention, linear_loop, ("gla", "naive_recurrent_gla"), ("channel_decay",)
    ),
    "kda": Op(ops.delta_rule, delta_loop, ("kda", "naive_recurrent_kda"), ("channel_decay", "rate")),
    "gsa": Op(
        ops.gated_slot_attention, slot_loop, ("gsa", "naive_recurrent_gsa"), ("slots", "channel_decay")
    ),
    "fox": Op(
        ops.forgetting_attention,
        forgetting_loop,
        ("forgetting_attn", "naive_forgetting_attn"),
        ("head_decay",),
        linear=False,
    ),
}


@dataclass(frozen=True)
class Job:
    """One question: calls of an op and of what it is compared with, as (what runs, frames)."""

    op: OpName
    against: Comparison
    calls: tuple[tuple[OpRun, int], ...]

    @property
    def frames(self) -> int:
        """The longest length."""
        return max(frames for _, frames in self.calls)


@dataclass(frozen=True)
class Task:
    """A job with the sizes and the effort that it is measured with."""

    job: Job
    shape: OpShape
    effort: Effort


def compare(task: Task) -> list[Latency]:
    """Latency of each call of a job, sampled in turns."""
    keep_freed_memory()
    fix_threads(task.shape.threads)
    return sample_in_turns(
        [call(task.job.op, run, frames, task.shape) for run, frames in task.job.calls],
        relative_interval=task.effort.relative_interval,
        time_limit_s=task.effort.time_limit_s,
        max_samples=MAX_ROUNDS,
    )


def weigh(task: Task) -> int | None:
    """Peak bytes of the job's first call above its inputs and output; None without Linux's /proc."""
    fix_threads(task.shape.threads)
    run = call(task.job.op, *task.job.calls[0], task.shape)
    output = run()
    assert isinstance(output, Tensor)
    output_bytes = output.nbytes
    del output
    peaks = [peak for _ in range(PEAKS) if (peak := peak_bytes(run)) is not None]
    return max(0, round(median(peaks)) - output_bytes) if peaks else None


def call(name: OpName, run: OpRun, frames: int, shape: OpShape) -> Run:
    """One run of an op at a length, ready to be called; ValueError where fla has no reference here."""
    op = OPS[name]
    inputs = draw(op, frames, shape)
    if run == "training":
        return _forward_and_backward(op.run, inputs)
    return partial(_inference, _forward(name, run), inputs)


def _forward(name: OpName, run: OpRun) -> Callable[..., Tensor]:
    op = OPS[name]
    if run == "loop_in_place":
        return partial(op.loop, update=in_place)
    if run == "reference":
        return reference(name)
    return {"op": op.run, "loop": op.loop, "softmax": _softmax}[run]


def draw(op: Op, frames: int, shape: OpShape, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """The op's inputs, (1, frames, H, ·): q, k, v and its gates; keys are unit vectors."""
    random = torch.Generator().manual_seed(0)
    heads, wide = (1, frames, shape.num_heads), (1, frames, shape.num_heads, shape.head_dim)
    q, k, v, slots = (torch.randn(wide, generator=random, dtype=dtype) for _ in range(4))
    gates = {
        "head_decay": -0.1 * torch.rand(heads, generator=random, dtype=dtype),
        "channel_decay": -0.1 * torch.rand(wide, generator=random, dtype=dtype),
        "rate": torch.rand(heads, generator=random, dtype=dtype),
        "slots": slots.sigmoid(),
    }
    return [q, torch.nn.functional.normalize(k, dim=-1), v, *(gates[gate] for gate in op.gates)]


def reference(name: OpName) -> Callable[..., Tensor]:
    """fla's naive reference of an op, loaded from its file: importing fla itself would need Triton."""
    package, function = OPS[name].reference
    path = reference_path(name)
    if path is None:
        raise ValueError("fla's naive references need fla-core; install serbench[dev] or serbench[gpu]")
    spec = importlib.util.spec_from_file_location(f"fla_naive_{package}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function)


def reference_path(name: OpName) -> Path | None:
    """The file of fla's naive reference; None where it is not installed."""
    spec = importlib.util.find_spec("fla")
    folders = () if spec is None else spec.submodule_search_locations or ()
    paths = (Path(folder) / "ops" / OPS[name].reference[0] / "naive.py" for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def _inference(function: Callable[..., object], inputs: Sequence[Tensor]) -> object:
    with torch.inference_mode():
        return function(*inputs)


def _softmax(q: Tensor, k: Tensor, v: Tensor, *gates: Tensor) -> Tensor:
    """Fused softmax attention, bidirectional, on the same queries, keys and values."""
    return ops.softmax_attention(q, k, v)


def _forward_and_backward(op: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Run:
    """Gradients of every input, for a fixed gradient of the output."""
    leaves = [x.requires_grad_() for x in inputs]
    gradient = torch.randn(inputs[2].shape, generator=torch.Generator().manual_seed(1))
    return lambda: torch.autograd.grad(op(*leaves), leaves, gradient)
