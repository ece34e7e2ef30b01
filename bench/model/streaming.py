"""A causal model on a stream: a chunk of frames and a state in, the outputs so far and the next state out.

    stream = StreamingRecogniser(model)         # of causal mixers, or an LSTM baseline; in evaluation mode
    state = stream.init_state(1)
    for chunk in frames.split(12 * stream.rate, dim=1):      # (1, n, M)
        outputs, state = stream(chunk, state)   # (1, num_outputs) of all frames so far

Equal to `model` on the frames so far. Every chunk but the last holds a multiple of `rate` frames, those that
become one encoder frame; the last holds any number. No frame ahead is waited for: a causal encoder's
convolutions look back only, and a state holds what they look back on.

Attentive pooling goes on as a running sum. With scores s_j, m the highest so far and w = Σ exp(s_j − m), a
state keeps m, w, the weighted mean μ and the weighted scatter S = Σ exp(s_j − m) (x_j − μ)²; two stretches a
and b of a stream, brought to the same m, make one (Chan, Golub and LeVeque 1983, eq. 2.1):

    δ = μ_b − μ_a      w = w_a + w_b      μ = μ_a + (w_b/w) δ      S = S_a + S_b + (w_a w_b/w) δ²
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import SuiteError
from bench.model.encoder import Positions, Subsampling
from bench.model.model import Model
from bench.model.recogniser import Recogniser
from bench.model.recurrent import LSTMSA
from mixers import TokenMixer
from mixers.contract import widened
from mixers.parts import wide

NEVER = -1e30  # the highest score of no frame at all: finite, so that differences of scores stay numbers
Heard = tuple[Tensor, Tensor, Any]  # encoder frames (B, n, D), their scores (B, n), and the state after them


class Moments(NamedTuple):
    """Attention-weighted statistics of the frames so far: (B, 1), (B, 1), (B, D) and (B, D)."""

    highest: Tensor
    weight: Tensor
    mean: Tensor
    scatter: Tensor

    @property
    def variance(self) -> Tensor:
        """(B, D)."""
        return self.scatter / self.weight


class StreamingRecogniser(nn.Module):
    """The model given, with its own parameters, on a stream; `rate` frames become one encoder frame."""

    def __init__(self, model: Model) -> None:
        """SuiteError with the reason where the model cannot be run as a stream."""
        super().__init__()
        self.body = _body(model)
        self.rate = self.body.rate
        self.eval()

    def init_state(self, batch: int) -> tuple[Any, Moments]:
        """The state before the first frame: tensors in nested tuples."""
        none = next(self.parameters()).new_zeros(batch, 1)
        none = none.to(widened(none.dtype))
        empty = none.expand(-1, self.body.width)
        return self.body.init_state(batch), Moments(none + NEVER, none, empty.clone(), empty.clone())

    def forward(self, frames: Tensor, state: tuple[Any, Moments]) -> tuple[Tensor, tuple[Any, Moments]]:
        """A chunk (B, n, M) → outputs (B, num_outputs) of all frames so far, and the state after it."""
        kept, moments = state
        x, scores, kept = self.body(frames, kept)
        moments = joined(moments, moments_of(x, scores))
        return self.body.read(moments, frames.dtype), (kept, moments)


def moments_of(x: Tensor, scores: Tensor) -> Moments:
    """The statistics of frames (B, n, D) with scores (B, n), at least in float32."""
    x, scores = wide(x), wide(scores)
    highest = scores.amax(1, keepdim=True)
    weights = (scores - highest).exp()
    weight = weights.sum(1, keepdim=True)
    mean = (weights.unsqueeze(1) @ x).squeeze(1) / weight
    scatter = weights.unsqueeze(1) @ (x - mean.unsqueeze(1)).square()
    return Moments(highest, weight, mean, scatter.squeeze(1))


def joined(first: Moments, then: Moments) -> Moments:
    """The statistics of two stretches together: see the module's docstring."""
    highest = torch.maximum(first.highest, then.highest)
    fade, fade_then = (first.highest - highest).exp(), (then.highest - highest).exp()
    before, after = first.weight * fade, then.weight * fade_then
    weight = before + after
    apart = then.mean - first.mean
    mean = first.mean + after / weight * apart
    scatter = first.scatter * fade + then.scatter * fade_then + before * after / weight * apart.square()
    return Moments(highest, weight, mean, scatter)


class _Body(nn.Module):
    """A model up to its pooling, and from there on; `width` is that of what is pooled."""

    rate: int
    width: int

    def init_state(self, batch: int) -> Any:
        """What convolutions, mixers or LSTMs keep, before the first frame."""
        raise NotImplementedError

    def forward(self, frames: Tensor, state: Any) -> Heard:
        """A chunk (B, n, M), as `Heard`."""
        raise NotImplementedError

    def read(self, moments: Moments, dtype: torch.dtype) -> Tensor:
        """Outputs of the pooled statistics."""
        raise NotImplementedError


def _body(model: Model) -> _Body:
    if isinstance(model, LSTMSA):
        return _Recurrent(model)
    if isinstance(model, Recogniser) and isinstance(model.encoder.front, Subsampling):
        return _Encoded(model, model.encoder.front)
    raise SuiteError(
        "stream: a model of a pretrained speech encoder hears whole utterances; "
        "train one of log-mels or cepstra"
    )


class _Encoded(_Body):
    """The shared encoder with causal mixers."""

    def __init__(self, model: Recogniser, front: Subsampling) -> None:
        super().__init__()
        self.encoder, self.score, self.head = model.encoder, model.pooling.score, model.head
        self.front = front
        self.rate = 2 ** front.strides.count(2)
        self.width = front.out.out_features
        self.mixers = [_streaming(block.get_submodule("mixer")) for block in model.encoder.blocks]

    def init_state(self, batch: int) -> tuple[tuple[Tensor, ...], Tensor, tuple[Any, ...]]:
        """The frames that the front's convolutions and the positions look back on, and the mixers' states."""
        like = self.front.out.weight
        channels = [each.get_parameter("weight").shape[1] for each in self.front.convolutions]
        bins = [self.front.num_mels, -(-self.front.num_mels // 2)]
        fronts = tuple(like.new_zeros(batch, C, 2, M) for C, M in zip(channels, bins, strict=True))
        positions = like.new_zeros(batch, self.encoder.positions.convolution.kernel_size[0] - 1, self.width)
        return fronts, positions, tuple(mixer.init_state(batch) for mixer in self.mixers)

    def forward(self, frames: Tensor, state: Any) -> Heard:
        fronts, past, kept = state
        x, fronts = _subsampled(self.front, frames, fronts)
        placed, past = _placed(self.encoder.positions, x, past)
        x, states = x + placed, []
        for block, mixer, before in zip(self.encoder.blocks, self.mixers, kept, strict=True):
            mixed, after = mixer.extend(block.mixer_norm(x), before)  # type: ignore[operator]
            x = x + mixed
            x = x + block.feedforward(x)  # type: ignore[operator]
            states.append(after)
        x = self.encoder.norm(x)
        return x, self.score(x).squeeze(-1), (fronts, past, tuple(states))

    def read(self, moments: Moments, dtype: torch.dtype) -> Tensor:
        """As `AttentivePooling` and the head behind it."""
        return self.head(torch.cat([moments.mean, (moments.variance + 1e-5).sqrt()], -1).to(dtype))


def _streaming(mixer: nn.Module) -> TokenMixer:
    """The mixer; SuiteError where it cannot be run as a stream."""
    assert isinstance(mixer, TokenMixer)
    if mixer.bidirectional:
        raise SuiteError(
            "stream: a bidirectional model hears the end before it says anything; "
            "train one with --directions causal"
        )
    try:
        mixer.init_state(1)
    except NotImplementedError as error:
        raise SuiteError(
            f"stream: {error}; write its `init_state` and `extend`, or export it whole"
        ) from error
    return mixer


def _subsampled(
    front: Subsampling, frames: Tensor, pasts: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """`Subsampling` of the frames after those that its convolutions keep, and what they keep then."""
    x, kept = frames.unsqueeze(1), []
    for convolution, norm, past in zip(front.convolutions, front.norms, pasts, strict=True):
        x = torch.cat([past, x], 2)
        kept.append(x[:, :, -2:].clone())
        x = F.gelu(norm(convolution(F.pad(x, (1, 1))), None))
    return front.out(x.transpose(1, 2).flatten(2)), tuple(kept)


def _placed(positions: Positions, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
    """`Positions` of the frames after those that it keeps, and what it keeps then."""
    frames = torch.cat([past, x], 1)
    return positions.convolution(frames.transpose(1, 2)).transpose(1, 2), frames[:, x.shape[1] :].clone()


class _Recurrent(_Body):
    """ResLSTM-SA or LSTM-SA."""

    def __init__(self, model: LSTMSA) -> None:
        super().__init__()
        self.model = model
        self.rate, self.width = 1, model.lstm.hidden_size

    def init_state(self, batch: int) -> tuple[tuple[Tensor, Tensor], ...]:
        """Hidden state and cell of each LSTM, (1, B, hidden) each."""
        lstms = (
            [self.model.lstm] if self.model.residual is None else [self.model.residual.lstm, self.model.lstm]
        )
        none = [self.model.query.new_zeros(1, batch, lstm.hidden_size) for lstm in lstms]
        return tuple((zeros, zeros.clone()) for zeros in none)

    def forward(self, frames: Tensor, state: Any) -> Heard:
        first, kept = self.model.residual, []
        if first is not None:
            out, after = first.lstm(frames, state[0])
            frames = first.norm((frames + out).mT.unsqueeze(-1), None).squeeze(-1).mT
            kept.append(after)
        hidden, after = self.model.lstm(frames, state[-1])
        return hidden, (hidden @ self.model.query).squeeze(-1), (*kept, after)

    def read(self, moments: Moments, dtype: torch.dtype) -> Tensor:
        """As the model's own head."""
        return self.model.head(self.model.norm(moments.mean.to(dtype)))
