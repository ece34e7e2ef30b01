"""The encoder that every mixer shares: only the mixer differs between two systems.

    log-mel → subsampling convolutions → + depthwise-convolution positions
            → L × [x + mixer(norm x) ; x + feed-forward(norm x)] → norm

Hidden states of frozen encoders come in by `bench.model.front` instead, and text stands after the speech.
Cepstra are convolved as log-mels are.

The position encoding is a convolution (wav2vec 2.0), so no mixer is position-blind. In every convolution
padding counts as the zeros beyond the ends; with `direction="causal"` each looks back only, so the encoder
as a whole is causal.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench import config
from bench.model import mixer
from bench.model.front import HiddenStates, joined, projection


class Subsampling(nn.Module):
    """Log-mel (B, T, M) → (B, ⌈T/rate⌉, D): two 3×3 convolutions, halving mels and, up to `rate`, frames."""

    def __init__(
        self, num_mels: int, channels: int, d_model: int, rate: int, direction: config.Direction
    ) -> None:
        super().__init__()
        self.num_mels = num_mels
        self.strides = {1: (1, 1), 2: (2, 1), 4: (2, 2)}[rate]
        widths = (1, channels, 2 * channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], 3, (stride, 2), bias=False)
            for i, stride in enumerate(self.strides)
        )
        self.norms = nn.ModuleList(MaskedBatchNorm(width) for width in widths[1:])
        self.edges = (1, 1, *_edges(3, direction))
        self.out = nn.Linear(2 * channels * _halved(_halved(num_mels)), d_model)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Subsampled frames and their mask."""
        x = x.unsqueeze(1) if mask is None else x.unsqueeze(1) * mask[:, None, :, None]
        for convolution, norm, stride in zip(self.convolutions, self.norms, self.strides, strict=True):
            mask = None if mask is None else mask[:, ::stride]
            x = F.gelu(norm(convolution(F.pad(x, self.edges)), mask))
        return self.out(x.transpose(1, 2).flatten(2)), mask


class MaskedBatchNorm(nn.Module):
    """Batch normalisation of (B, C, T, M) over real frames alone; padded frames come out as zeros.

    In evaluation it uses running statistics, so an utterance does not depend on its batch.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x (B, C, T, M) with the mask (B, T) of its frames."""
        if mask is None or not self.training:
            normed = self.norm(x.flatten(2)).view_as(x)
            return normed if mask is None else normed * mask[:, None, :, None]
        frames = x.transpose(1, 2)
        normed = torch.zeros_like(frames)
        normed[mask] = self.norm(frames[mask])
        return normed.transpose(1, 2)


class Positions(nn.Module):
    """What a depthwise convolution over frames adds to (B, T, D), so that order can be told."""

    def __init__(self, d_model: int, kernel: int, direction: config.Direction) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(d_model, d_model, kernel, groups=d_model)
        self.edges = _edges(kernel, direction)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        if mask is not None:
            x = x * mask.unsqueeze(-1)
        return self.convolution(F.pad(x.transpose(1, 2), self.edges)).transpose(1, 2)


def _edges(kernel: int, direction: config.Direction) -> tuple[int, int]:
    """Zeros before and after the frames, so that a convolution keeps their number, or sees no later one."""
    ahead = 0 if direction == "causal" else (kernel - 1) // 2
    return kernel - 1 - ahead, ahead


def _halved(bins: int) -> int:
    return -(-bins // 2)


class Block(nn.Module):
    """Pre-norm residual block: a mixer over frames, a feed-forward within each."""

    def __init__(self, mixer: nn.Module, d_model: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.mixer_norm = nn.LayerNorm(d_model)
        self.mixer = mixer
        self.feedforward = nn.Sequential(
            nn.LayerNorm(d_model),
            nn.Linear(d_model, feedforward),
            nn.GELU(),
            nn.Linear(feedforward, d_model),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        x = x + self.dropout(self.mixer(self.mixer_norm(x), mask))
        return x + self.dropout(self.feedforward(x))


class Encoder(nn.Module):
    """Features and their masks, as `Model` has them → frames (B, ⌈T/subsampling⌉ + W, D) and their mask."""

    def __init__(
        self,
        settings: config.Encoder,
        features: config.AnyFeatures,
        names: tuple[str, ...],
        direction: config.Direction,
        feedforward: int,
    ) -> None:
        """`names` holds one mixer name a layer; `feedforward` is the hidden width of every block."""
        super().__init__()
        d = settings.d_model
        self.front = _front(settings, features, direction)
        text = features.text if isinstance(features, config.Pretrained) else None
        self.text = None if text is None else projection(text.width, d)
        self.positions = Positions(d, settings.position_kernel, direction)
        self.dropout = nn.Dropout(settings.dropout)
        self.norm = nn.LayerNorm(d)
        self.blocks = nn.ModuleList(
            Block(mixer.build(name, settings, direction), d, feedforward, settings.dropout) for name in names
        )

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        text: Tensor | None = None,
        text_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Encoded frames, text after speech, and their mask (None where none was given)."""
        x, mask = self.front(x, mask)
        if self.text is not None:
            assert text is not None
            x, mask = joined(x, mask, self.text(text), text_mask)
        x = self.dropout(x + self.positions(x, mask))
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x), mask


def _front(
    settings: config.Encoder, features: config.AnyFeatures, direction: config.Direction
) -> Subsampling | HiddenStates:
    """What brings these features to frames of width d_model."""
    d, rate = settings.d_model, settings.subsampling
    if isinstance(features, config.Pretrained):
        return HiddenStates(features, d, rate)
    return Subsampling(features.width, settings.front_channels, d, rate, direction)
