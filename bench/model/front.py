"""From the hidden states of frozen encoders to frames: layers summed, and text put after the speech.

    front = HiddenStates(features, d_model=64, rate=2)
    x, mask = front(states, mask)                             # (B, T, L, M) → (B, ⌈T/2⌉, 64)
    x, mask = joined(x, mask, projection(N, 64)(text), text_mask)  # U = [speech; text]

The learned sum over layers is that of ELMo (Peters et al. 2018, eq. 1) and SUPERB; concatenation in time
that of arXiv 2603.15120. A causal encoder reads the text with all of the speech behind it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench import config
from mixers.contract import silence
from mixers.ops.packing import packed, places


class LayerSum(nn.Module):
    """Hidden states (B, T, L, D) → (B, T, D): Σ_l w_l h_l, every w_l = 1/L at the start.

    "free": the weights are trained as they are; "softmax": as a softmax. A single layer is taken as it is
    and has no weight.
    """

    def __init__(self, features: config.Pretrained) -> None:
        super().__init__()
        layers = features.num_states
        self.softmax = features.layers == "softmax"
        start = torch.full((layers,), 0.0 if self.softmax else 1 / layers)
        self.weights = nn.Parameter(start) if layers > 1 else None

    def forward(self, states: Tensor) -> Tensor:
        if self.weights is None:
            return states.squeeze(2)
        return (self.weights.softmax(0) if self.softmax else self.weights) @ states


class HiddenStates(nn.Module):
    """Hidden states (B, T, L, M), mask (B, T) → frames (B, ⌈T/rate⌉, d_model) and their mask."""

    def __init__(self, features: config.Pretrained, d_model: int, rate: int) -> None:
        super().__init__()
        self.layers = LayerSum(features)
        self.rate = rate
        self.project = projection(features.speech.width, d_model)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x, mask = averaged(self.layers(x), mask, self.rate)
        return self.project(x), mask


def projection(width: int, d_model: int) -> nn.Sequential:
    """LayerNorm of hidden states (…, width), and their map to (…, d_model)."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, d_model))


def averaged(x: Tensor, mask: Tensor | None, rate: int) -> tuple[Tensor, Tensor | None]:
    """Means of `rate` frames at a time, the real ones of each: (B, T, D) → (B, ⌈T/rate⌉, D) and their mask.

    Padding stands on the right, so that an utterance is cut where it would be alone.
    """
    if rate == 1:
        return x, mask
    real = x.new_ones(x.shape[:2]) if mask is None else mask.to(x.dtype)
    missing = -x.shape[1] % rate
    sums = F.pad(silence(x, mask), (0, 0, 0, missing)).unflatten(1, (-1, rate)).sum(2)
    counts = F.pad(real, (0, missing)).unflatten(1, (-1, rate)).sum(2)
    return sums / counts.clamp(min=1).unsqueeze(-1), None if mask is None else counts > 0


def joined(
    speech: Tensor, mask: Tensor | None, text: Tensor, text_mask: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Speech (B, T, D) and then text (B, W, D) → (B, T + W, D) and its mask, all padding at the end.

    An utterance's text follows its last real frame at once, so that what a convolution sees across the seam
    does not depend on the batch.
    """
    x = torch.cat([speech, text], 1)
    if mask is None and text_mask is None:
        return x, None
    real = torch.cat([_stated(mask, speech), _stated(text_mask, text)], 1)
    place = places(real)
    return packed(x, place), packed(real, place)


def _stated(mask: Tensor | None, x: Tensor) -> Tensor:
    """The mask (B, T) of x (B, T, D), in which all frames are real where none was given."""
    return x.new_ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
