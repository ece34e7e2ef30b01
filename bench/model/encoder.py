"""The encoder that every mixer shares: only the mixer differs between two systems.

    log-mel → subsampling convolutions → + depthwise-convolution positions
            → L × [x + mixer(norm x) ; x + feed-forward(norm x)] → norm

The position encoding is a convolution (Conformer, wav2vec 2.0), so no mixer is position-blind. With
`direction="causal"` every convolution looks back only, so the encoder as a whole is causal.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

import mixers
from bench import config


class TimeConvolution(nn.Module):
    """1-D convolution over frames that padding never enters: (B, T, C) → (B, ⌈T/stride⌉, C')."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        direction: config.Direction,
        *,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(channels_in, channels_out, kernel, stride, groups=groups)
        ahead = 0 if direction == "causal" else (kernel - 1) // 2
        self.edges = (kernel - 1 - ahead, ahead)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Convolve; masked frames count as the zeros beyond the ends."""
        if mask is not None:
            x = x * mask.unsqueeze(-1)
        return self.convolution(F.pad(x.transpose(1, 2), self.edges)).transpose(1, 2)


class Subsampling(nn.Module):
    """Log-mel (B, T, M) → (B, ⌈T/rate⌉, D): one stride-2 convolution for every halving."""

    def __init__(self, num_mels: int, d_model: int, rate: int, direction: config.Direction) -> None:
        super().__init__()
        strides = {1: [1], 2: [2], 4: [2, 2]}[rate]
        widths = [num_mels] + [d_model] * (len(strides) - 1)
        self.layers = nn.ModuleList(
            TimeConvolution(width, d_model, 5, direction, stride=stride)
            for width, stride in zip(widths, strides, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in strides)
        self.strides = strides

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Subsampled frames and their mask."""
        for layer, norm, stride in zip(self.layers, self.norms, self.strides, strict=True):
            x = F.gelu(norm(layer(x, mask)))
            mask = None if mask is None else mask[:, ::stride]
        return x, mask


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
    """Log-mel (B, T, M), mask (B, T) → frames (B, ⌈T/subsampling⌉, D) and their mask."""

    def __init__(
        self,
        settings: config.Encoder,
        num_mels: int,
        names: tuple[str, ...],
        direction: config.Direction,
        feedforward: int,
    ) -> None:
        """`names` holds one mixer name a layer; `feedforward` is the hidden width of every block."""
        super().__init__()
        d = settings.d_model
        self.subsampling = Subsampling(num_mels, d, settings.subsampling, direction)
        self.positions = TimeConvolution(d, d, settings.position_kernel, direction, groups=d)
        self.dropout = nn.Dropout(settings.dropout)
        self.norm = nn.LayerNorm(d)
        self.blocks = nn.ModuleList(
            Block(mixers.build(name, d, settings.num_heads, direction), d, feedforward, settings.dropout)
            for name in names
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Encoded frames and their mask (None where none was given)."""
        x, mask = self.subsampling(x, mask)
        x = self.dropout(x + self.positions(x, mask))
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x), mask
