"""A causal recogniser that is fed as the speech comes in, and says at any time what it has heard so far.

    stream = StreamingRecogniser(model)             # a `Recogniser` of causal mixers, in evaluation mode
    state = stream.init_state(1)
    for chunk in frames.split(8, dim=1):            # (1, n, M): any number of frames at a time
        logits, state = stream(chunk, state)        # (1, num_outputs) of all frames so far

Equal to `model` on the frames so far, however they are cut. A state is tensors alone: the frames that each
convolution still looks back on, what the mixers keep, and the pooled statistics. Pooling needs no frame
again: with W = Σ_{j ≤ t} exp s_j, mean and variance move on as those of two samples put together
(Chan et al. 1979), the frames so far being one sample of weight W, kept as log W.

No frame ahead is waited for; with `subsampling` r an encoder frame comes out at frames 0, r, 2r, …
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import SuiteError
from bench.model.encoder import Block, Positions, Subsampling
from bench.model.model import Model
from bench.model.pooling import AttentivePooling, statistics
from bench.model.recogniser import Recogniser
from mixers.contract import TokenMixer
from mixers.parts import wide


class Pooled(NamedTuple):
    """Attention-weighted statistics of the frames so far."""

    log_weight: Tensor  # log Σ exp s_j, (B, 1); −∞ before the first frame
    mean: Tensor  # (B, D)
    variance: Tensor  # (B, D)


class StreamState(NamedTuple):
    """All that a stream keeps between two chunks."""

    convolutions: tuple[Tensor, ...]  # of the front: frames not yet done with, (B, C, 1 or 2, M)
    positions: Tensor  # the last encoder frames before their positions, (B, kernel − 1, D)
    mixers: tuple[Any, ...]  # one a layer; see `TokenMixer.init_state`
    pooled: Pooled


class StreamingRecogniser(nn.Module):
    """The same parameters as the recogniser given; `forward` takes a chunk and the state before it."""

    def __init__(self, model: Model) -> None:
        """SuiteError with the reason where the model cannot stream."""
        super().__init__()
        reason = _obstacle(model)
        if reason:
            raise SuiteError(f"this model cannot stream: {reason}")
        assert isinstance(model, Recogniser)
        assert isinstance(model.encoder.front, Subsampling)
        self.model = model
        self.front = model.encoder.front

    def init_state(self, batch: int) -> StreamState:
        """The state before the first frame, for so many streams side by side."""
        encoder = self.model.encoder
        like = next(self.parameters())
        d = encoder.norm.normalized_shape[0]
        return StreamState(
            convolutions=tuple(like.new_zeros(batch, *shape) for shape in _looked_back_on(self.front)),
            positions=like.new_zeros(batch, encoder.positions.edges[0], d),
            mixers=tuple(_mixer(block).init_state(batch) for block in encoder.blocks),
            pooled=Pooled(
                log_weight=wide(like).new_full((batch, 1), -torch.inf),
                mean=like.new_zeros(batch, d),
                variance=like.new_zeros(batch, d),
            ),
        )

    def forward(self, frames: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:
        """The next frames (B, n, M), n ≥ 1 → outputs (B, num_outputs) of all so far, and the state after."""
        x, convolutions = _subsampled(self.front, frames, state.convolutions)
        state = state._replace(convolutions=convolutions)
        if x.shape[1]:  # not where the chunk ends before the next encoder frame
            x, state = self._encoded(x, state)
            state = state._replace(pooled=_pooled(self.model.pooling, x, state.pooled))
        return self.model.head(statistics(state.pooled.mean, state.pooled.variance)), state

    def _encoded(self, x: Tensor, state: StreamState) -> tuple[Tensor, StreamState]:
        """Subsampled frames (B, n, D) → frames that leave the encoder."""
        encoder = self.model.encoder
        x, positions = _positioned(encoder.positions, x, state.positions)
        mixers = []
        for block, before in zip(encoder.blocks, state.mixers, strict=True):
            assert isinstance(block, Block)
            mixed, after = _mixer(block).extend(block.mixer_norm(x), before)
            mixers.append(after)
            x = x + mixed
            x = x + block.feedforward(x)
        return encoder.norm(x), state._replace(positions=positions, mixers=tuple(mixers))


def _obstacle(model: Model) -> str:
    """Why a model cannot stream; empty where it can."""
    if not isinstance(model, Recogniser):
        return f"{type(model).__name__} is no encoder of mixers"
    if not isinstance(model.encoder.front, Subsampling):
        return "the speech encoder in front of it hears whole utterances; train one from log-mels"
    for block in model.encoder.blocks:
        try:
            _mixer(block).init_state(1)
        except ValueError:
            return "its mixers look ahead; train it with --directions causal"
        except NotImplementedError as error:
            return str(error)
    return ""


def _mixer(block: nn.Module) -> TokenMixer:
    mixer = block.mixer
    assert isinstance(mixer, TokenMixer)
    return mixer


def _looked_back_on(front: Subsampling) -> list[tuple[int, int, int]]:
    """Channels, frames and mels of the zeros that stand before the first frame of each convolution."""
    mels = front.num_mels
    shapes = []
    for convolution in front.convolutions:
        assert isinstance(convolution, nn.Conv2d)
        shapes.append((convolution.in_channels, convolution.kernel_size[0] - 1, mels))
        mels = -(-mels // 2)
    return shapes


def _subsampled(
    front: Subsampling, x: Tensor, before: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What `front` makes of frames (B, n, M): those of its outputs that are complete now, perhaps none."""
    x, left = x.unsqueeze(1), []
    for convolution, norm, kept in zip(front.convolutions, front.norms, before, strict=True):
        assert isinstance(convolution, nn.Conv2d)
        convolved, rest = _convolved(convolution, torch.cat([kept, x], 2))
        x = F.gelu(norm(convolved, None)) if convolved.shape[2] else convolved
        left.append(rest)
    return front.out(x.transpose(1, 2).flatten(2)), tuple(left)


def _convolved(convolution: nn.Conv2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C, L, M) → the outputs for which L suffices, and the frames from which the next output starts."""
    length, stride = convolution.kernel_size[0], convolution.stride[0]
    count = max(0, (x.shape[2] - length) // stride + 1)
    rest = x[:, :, count * stride :].clone()
    if not count:
        return x.new_zeros(x.shape[0], convolution.out_channels, 0, -(-x.shape[3] // 2)), rest
    return convolution(F.pad(x, (1, 1))), rest


def _positioned(positions: Positions, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Frames (B, n, D) with their positions added, and the last frames without, for those that follow."""
    seen = torch.cat([before, x], 1)
    return x + positions.convolution(seen.mT).mT, seen[:, x.shape[1] :].clone()


def _pooled(pooling: AttentivePooling, x: Tensor, before: Pooled) -> Pooled:
    """The statistics of the frames so far and of x (B, n, D) together."""
    log_weights = torch.cat([before.log_weight, wide(pooling.score(x).squeeze(-1))], 1)
    log_weight = log_weights.logsumexp(1, keepdim=True)
    shares = (log_weights - log_weight).exp().to(x.dtype).unsqueeze(1)
    points = torch.cat([before.mean.unsqueeze(1), x], 1)
    mean = shares @ points
    variance = shares @ (points - mean).square() + shares[..., :1] * before.variance.unsqueeze(1)
    return Pooled(log_weight, mean.squeeze(1), variance.squeeze(1))
