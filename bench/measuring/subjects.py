"""What is timed: a shape becomes a module with its inputs, drawn from a fixed seed.

    subject = build(shape)
    subject.module(*subject.inputs)

A mixer is built as its encoder would build it, over the frames that would reach it; beside it stands the
layer of fla of the same name, at its published size, which needs CUDA and says so; an encoder goes from
features to logits (the extractor of hidden states is no part of it); a model from the waveform, log-mel and
normalisation included, to logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

import mixers
from bench.config import Features, Pooled, Pretrained, Recurrent
from bench.errors import SuiteError
from bench.evidence import speech
from bench.evidence.records import Shape
from bench.features.logmel import LogMel
from bench.measuring import sizes
from bench.model import mixer
from bench.model.model import build as build_model
from mixers import stock

NUM_EMOTIONS = 8  # the head of a timed encoder: the widest corpus, 0.1 % of the time
NUMBERS = {"tf32": torch.float32}  # precisions that are not their own dtype


@dataclass(frozen=True)
class Subject:
    """A module and the arguments of its forward pass, on the shape's device and in its precision.

    `flops` and `state_bytes` are None where they are not known.
    """

    module: nn.Module
    inputs: tuple[Tensor | None, ...]
    flops: int | None
    state_bytes: int | None

    @property
    def parameters(self) -> int:
        """Numbers that are trained."""
        return sum(parameter.numel() for parameter in self.module.parameters())


class FromWaveform(nn.Module):
    """Waveforms (N,) of any lengths → log-mel, normalised → logits (B, C), as `serbench predict` does.

    The log-mel keeps its own precision.
    """

    def __init__(self, features: Features, model: nn.Module) -> None:
        super().__init__()
        self.logmel = LogMel(features)
        self.model = model
        self.register_buffer("mean", torch.zeros(features.num_mels))
        self.register_buffer("std", torch.ones(features.num_mels))

    def forward(self, *waveforms: Tensor) -> Tensor:
        rows = [(self.logmel(waveform) - self.mean) / self.std for waveform in waveforms]
        dtype = next(self.model.parameters()).dtype
        if len({len(row) for row in rows}) == 1:
            return self.model(torch.stack(rows).to(dtype))
        mask = real_frames([len(row) for row in rows]).to(rows[0].device)
        return self.model(pad_sequence(rows, batch_first=True).to(dtype), mask)


class LayerOutput(nn.Module):
    """A layer of fla as a map of frames (B, T, D): its output alone."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


def build(shape: Shape) -> Subject:
    """The subject of a shape whose batch is a number; SuiteError where there is none (see `cells`)."""
    torch.manual_seed(0)
    if shape.target == "mixer":
        return _mixer(shape)
    if shape.target == "fla_layer":
        return _fla_layer(shape)
    model = build_model(shape.features, shape.encoder, shape.system, NUM_EMOTIONS)
    if shape.target == "encoder":
        return _placed(shape, model, model, _features(shape), None)
    if not isinstance(shape.features, Features):
        raise SuiteError("target model needs log-mel features: no other computation from a waveform is known")
    waveforms = tuple(0.1 * torch.randn(sizes.samples(shape, seconds)) for seconds in _utterances_s(shape))
    return _placed(shape, FromWaveform(shape.features, model), model, waveforms, None)


def layer(shape: Shape) -> mixers.TokenMixer:
    """The mixer of a shape, in its precision and on its device; weights from the global random stream."""
    assert not isinstance(shape.encoder, Recurrent | Pooled)  # `cells` plans no mixer for it
    built = mixer.build(shape.system.layout, shape.encoder, shape.system.direction)
    return built.to(shape.device_kind, number(shape))


def number(shape: Shape) -> torch.dtype:
    """The dtype in which a precision is stored."""
    return NUMBERS.get(shape.dtype) or getattr(torch, shape.dtype)


def told(module: nn.Module, cost: str, *arguments: object) -> int | None:
    """What a cost method of the module answers; None where the module does not provide it."""
    method = getattr(module, cost, None)
    if method is None:
        return None
    try:
        return method(*arguments)
    except NotImplementedError:
        return None


def real_frames(lengths: list[int]) -> Tensor:
    """Mask (B, T), True where an utterance of that length is real."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def _mixer(shape: Shape) -> Subject:
    built = layer(shape)
    lengths = [sizes.encoder_frames(shape, seconds) for seconds in _utterances_s(shape)]
    x = torch.randn(len(lengths), max(lengths), built.d_model)
    inputs = (x, real_frames(lengths)) if shape.utterances_s else (x,)
    flops = told(built, "flops", max(lengths))
    known = flops is not None and shape.work == "forward" and not shape.utterances_s
    return _placed(shape, built, built, inputs, flops * len(lengths) if flops is not None and known else None)


def _fla_layer(shape: Shape) -> Subject:
    """The published layer at the width of the encoder; ragged batches would need its own way of packing."""
    assert not isinstance(shape.encoder, Recurrent | Pooled)
    if shape.device_kind != "cuda":
        raise SuiteError("target fla_layer runs fla's kernels, which need device cuda")
    if shape.utterances_s:
        raise SuiteError("target fla_layer takes no ragged batch: fla's layers know no padding inside one")
    if shape.system.layout == "mamba2" and find_spec("mamba_ssm") is None:
        raise SuiteError("fla's Mamba-2 without mamba_ssm is a slow stand-in for it; install mamba-ssm")
    d_model, heads = shape.encoder.d_model, shape.encoder.num_heads
    module = LayerOutput(stock.layer(shape.system.layout, d_model, heads))
    lengths = [sizes.encoder_frames(shape, seconds) for seconds in _utterances_s(shape)]
    x = torch.randn(len(lengths), max(lengths), d_model)
    return _placed(shape, module, module, (x,), None)


def _features(shape: Shape) -> tuple[Tensor | None, ...]:
    """Random arguments of `Model.forward`: frames, a mask where lengths differ, text where it is read."""
    settings, seconds = shape.features, _utterances_s(shape)
    lengths = [sizes.input_frames(shape, each) for each in seconds]
    size = (len(lengths), max(lengths))
    mask = real_frames(lengths) if shape.utterances_s else None
    if not isinstance(settings, Pretrained):
        return (torch.randn(*size, settings.width), mask)
    states = torch.randn(*size, settings.num_states, settings.width)
    if settings.text is None:
        return (states, mask)
    words = [sizes.text_tokens(shape, each) for each in seconds]
    text = torch.randn(len(words), max(words), settings.text.width)
    return (states, mask, text, real_frames(words) if shape.utterances_s else None)


def _utterances_s(shape: Shape) -> tuple[float, ...]:
    assert isinstance(shape.batch, int)  # throughput is settled before anything is built
    return speech.utterances_s(shape, shape.batch)


def _placed(
    shape: Shape, module: nn.Module, body: nn.Module, inputs: tuple[Tensor | None, ...], flops: int | None
) -> Subject:
    """All on the device; `body` and, but for waveforms, the inputs in the precision; trailing Nones off."""
    dtype = number(shape)
    body.to(dtype)
    module.to(shape.device_kind).train(shape.work == "training")
    cast = dtype if module is body else torch.float32
    moved = [
        x if x is None else x.to(shape.device_kind, cast if x.is_floating_point() else None) for x in inputs
    ]
    while moved[-1] is None:
        moved.pop()
    return Subject(module, tuple(moved), flops, _state_bytes(body, sizes.encoder_frames(shape), dtype))


def _state_bytes(body: nn.Module, frames: int, dtype: torch.dtype) -> int | None:
    """What a causal stream of all mixers inside keeps; None where there is none, or one does not say."""
    inside = [module for module in body.modules() if isinstance(module, mixers.TokenMixer)]
    states = [told(module, "state_bytes", frames, dtype) for module in inside]
    return None if None in states or not states else sum(filter(None, states))
