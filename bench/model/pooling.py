"""Pooling: from frames to one vector an utterance, over real frames alone.

    AttentivePooling   a_t = softmax_t(wᵀ tanh(W x_t)); μ = Σ a_t x_t; σ = sqrt(Σ a_t (x_t − μ)²); [μ; σ]
    QueryPooling       a_t = softmax_t(qᵀ x_t); Σ a_t x_t
    MeanPooling        the mean of x_t

The first is statistics pooling, Okabe et al. 2018, eq. 5 and 6 (arXiv 1803.10963); the second is that of
arXiv 2603.15120, whose product is unscaled.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mixers.contract import silence
from mixers.parts import wide


class AttentivePooling(nn.Module):
    """(B, T, D) and mask (B, T) → (B, 2·D)."""

    def __init__(self, d_model: int, hidden: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(d_model, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def weights(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention over frames, (B, T), summing to 1 over real frames; 0 on padding."""
        return masked_softmax(self.score(x).squeeze(-1), mask)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Weighted mean and standard deviation of the real frames."""
        weights = self.weights(x, mask).to(x.dtype).unsqueeze(1)
        mean = weights @ x
        variance = weights @ (x - mean).square()
        return statistics(mean, variance).squeeze(1)


def statistics(mean: Tensor, variance: Tensor) -> Tensor:
    """Mean and standard deviation (…, D) as one vector (…, 2·D)."""
    return torch.cat([mean, (variance + 1e-5).sqrt()], -1)


class QueryPooling(nn.Module):
    """(B, T, D) and mask (B, T) → (B, D)."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.query = nn.Linear(d_model, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Weighted mean of the real frames."""
        weights = masked_softmax(self.query(x).squeeze(-1), mask).to(x.dtype)
        return (weights.unsqueeze(1) @ x).squeeze(1)


class MeanPooling(nn.Module):
    """(B, T, D) and mask (B, T) → (B, D)."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean of the real frames; zeros of none."""
        if mask is None:
            return x.mean(1)
        return silence(x, mask).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over time of scores (B, T), at least in float32: 0 on padding."""
    scores = wide(scores)
    if mask is None:
        return scores.softmax(-1)
    # A finite floor keeps an all-padding row finite.
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1) * mask
