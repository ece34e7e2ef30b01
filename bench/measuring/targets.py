"""What is timed: a shape becomes a callable, and the callable becomes a measurement.

    measurement = measure(Job(shape, Effort(relative_interval=0.03, time_limit_s=2.0)))

Runs in a fresh process (`bench.measuring.isolation`). Of this room only what is timed imports torch:
this file, and for the ops alone `op_targets` and `loops`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import mixers
from bench.config import Pretrained, Recurrent
from bench.evidence.records import Shape
from bench.measuring.latency import Latency, sample_latency
from bench.measuring.memory import peak_bytes
from bench.model import mixer
from bench.model.model import build as build_model

NUM_EMOTIONS = 8  # the head of a timed encoder: the widest corpus, 0.1 % of the time
TOKENS_PER_S = 3  # of text, where there is text: 150 words a minute, 1.2 tokens a word


@dataclass(frozen=True)
class Target:
    """One forward pass, ready to run, and what is known of it without running it."""

    run: Callable[[], object]
    state_bytes: int | None
    flops: int | None
    parameters: int


@dataclass(frozen=True)
class Effort:
    """How long to sample one shape, and how narrow its median should get (see `Profiling`)."""

    relative_interval: float
    time_limit_s: float


@dataclass(frozen=True)
class Job:
    """One shape to measure, by the function that builds its target."""

    shape: Shape
    effort: Effort
    build: Callable[[Shape], Target]


@dataclass(frozen=True)
class Measurement:
    """What one shape costs; the fields are those of `ProfileRecord`."""

    latency: Latency
    peak_bytes: int | None
    state_bytes: int | None
    flops: int | None
    parameters: int


def input_frames(shape: Shape) -> int:
    """Frames of features in an utterance of this length."""
    return max(1, round(shape.seconds * 1000 / shape.features.hop_ms))


def text_tokens(shape: Shape) -> int:
    """Tokens of text beside an utterance of this length; 0 where the model reads none."""
    if not isinstance(shape.features, Pretrained) or shape.features.text is None:
        return 0
    return max(1, round(shape.seconds * TOKENS_PER_S))


def encoder_frames(shape: Shape) -> int:
    """Frames that reach the mixers, text after speech; hence T of a mixer that is timed alone."""
    return math.ceil(input_frames(shape) / shape.encoder.subsampling) + text_tokens(shape)


def build(shape: Shape) -> Target:
    """The target of a shape on the CPU, with inputs and weights drawn from a fixed seed."""
    torch.manual_seed(0)
    return _mixer(shape) if shape.target == "mixer" else _encoder(shape)


def measure(job: Job) -> Measurement:
    """Latency in one pass over the shape, memory in another."""
    fix_threads(job.shape.threads)
    target = job.build(job.shape)
    latency = sample_latency(
        target.run, relative_interval=job.effort.relative_interval, time_limit_s=job.effort.time_limit_s
    )
    return Measurement(latency, peak_bytes(target.run), target.state_bytes, target.flops, target.parameters)


def _mixer(shape: Shape) -> Target:
    """The mixer as its encoder would build it, over the frames that would reach it."""
    assert not isinstance(shape.encoder, Recurrent)  # `profile.curves` plans no mixer for it
    layer = mixer.build(shape.system.layout, shape.encoder, shape.system.direction)
    length = encoder_frames(shape)
    x = torch.randn(shape.batch, length, shape.encoder.d_model)
    return _target(layer, (x,), _told(layer, "flops", length), shape)


def _encoder(shape: Shape) -> Target:
    """The whole model, from features on: the extractor of hidden states is no part of it."""
    model = build_model(shape.features, shape.encoder, shape.system, NUM_EMOTIONS)
    return _target(model, _features(shape), None, shape)


def _features(shape: Shape) -> tuple[Tensor | None, ...]:
    """Random arguments of `Model.forward`: frames without padding, and text where the model reads it."""
    settings, length = shape.features, input_frames(shape)
    if not isinstance(settings, Pretrained):
        return (torch.randn(shape.batch, length, settings.width),)
    states = torch.randn(shape.batch, length, settings.num_states, settings.width)
    if settings.text is None:
        return (states,)
    return states, None, torch.randn(shape.batch, text_tokens(shape), settings.text.width)


def _target(model: nn.Module, inputs: tuple[Tensor | None, ...], flops: int | None, shape: Shape) -> Target:
    """Forward pass of `model` over one whole utterance; its state is that of the mixers in it."""
    dtype = getattr(torch, shape.dtype)
    model = model.to(dtype).eval()
    arguments = [value if value is None else value.to(dtype) for value in inputs]
    inside = [module for module in model.modules() if isinstance(module, mixers.TokenMixer)]
    states = [_told(module, "state_bytes", encoder_frames(shape), dtype) for module in inside]

    @torch.inference_mode()
    def run() -> Tensor:
        return model(*arguments)

    return Target(
        run=run,
        state_bytes=None if None in states or not states else sum(filter(None, states)),
        flops=flops,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _told(model: nn.Module, cost: str, *arguments: object) -> int | None:
    """What a cost method of the model answers; None where the model does not provide it."""
    method = getattr(model, cost, None)
    if method is None:
        return None
    try:
        return method(*arguments)
    except NotImplementedError:
        return None


def fix_threads(threads: int) -> None:
    """Threads inside an operator as asked, one operator at a time."""
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:  # may be set once only
        torch.set_num_interop_threads(1)
