"""Augmentation of log-mels on the batch: rate, mel shift, gain, then masks (SpecAugment).

    frames, mask = augment(frames, mask, settings, hop_ms=20, fill=normaliser.mean, rng=generator)

Park et al. 2019, "SpecAugment" (arXiv 1904.08779) for the masks; a shift along the mel axis stands for
another pitch and vocal tract, an interpolation along time for another speaking rate. All students of a
cohort see the same augmented batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.config import Augmentation


def augment(
    frames: Tensor, mask: Tensor, settings: Augmentation, hop_ms: float, fill: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Log-mels (B, T, M) and mask (B, T) → augmented ones (B, T', M), (B, T').

    `fill` (M,) is what a masked cell becomes: the training mean. `rng` is a CPU generator.
    """
    if settings.time_stretch:
        frames, mask = _stretch(frames, mask, settings.time_stretch, rng)
    if settings.mel_shift_bins:
        frames = _shift_mels(frames, settings.mel_shift_bins, rng)
    if settings.gain_db:
        decibels = uniform(frames, rng, -settings.gain_db, settings.gain_db)
        frames = frames + decibels[:, None, None] * (math.log(10) / 10)
    for _ in range(settings.time_masks):
        frames = _mask_span(frames, 1, mask.sum(1), settings.time_mask_s * 1000 / hop_ms, fill, rng)
    for _ in range(settings.mel_masks):
        mels = torch.full((len(frames),), frames.shape[2], device=frames.device)
        frames = _mask_span(frames, 2, mels, settings.mel_mask_bins, fill, rng)
    return frames, mask


def uniform(like: Tensor, rng: torch.Generator, low: float, high: float) -> Tensor:
    """One number an utterance, (B,)."""
    return (torch.rand(len(like), generator=rng) * (high - low) + low).to(like.device)


def _stretch(frames: Tensor, mask: Tensor, amount: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Resample each utterance in time by its own rate."""
    return resampled(frames, mask, uniform(frames, rng, 1 - amount, 1 + amount))


def resampled(frames: Tensor, mask: Tensor, rate: Tensor) -> tuple[Tensor, Tensor]:
    """Each utterance `rate` (B,) times as fast, linearly between neighbours: (B, T', M), (B, T')."""
    lengths = (mask.sum(1) / rate).floor().clamp(min=1).long()
    steps = torch.arange(int(lengths.max()), device=frames.device)
    last = (mask.sum(1, keepdim=True) - 1).clamp(min=0)
    position = torch.minimum(steps * rate[:, None], last.float())
    below = position.floor().long()
    above = torch.minimum(below + 1, last)
    share = (position - below).unsqueeze(-1)
    rows = torch.arange(len(frames), device=frames.device)[:, None]
    return torch.lerp(frames[rows, below], frames[rows, above], share), steps < lengths[:, None]


def _shift_mels(frames: Tensor, most: int, rng: torch.Generator) -> Tensor:
    """Move each utterance up or down the mel axis by up to `most` bins; the edge bin repeats."""
    shift = torch.randint(-most, most + 1, (len(frames), 1), generator=rng).to(frames.device)
    source = (torch.arange(frames.shape[2], device=frames.device) - shift).clamp(0, frames.shape[2] - 1)
    return frames.gather(2, source[:, None, :].expand_as(frames))


def _mask_span(
    frames: Tensor, axis: int, extent: Tensor, most: float, fill: Tensor, rng: torch.Generator
) -> Tensor:
    """Replace one random span of up to `most` cells along `axis` (1 time, 2 mel) with `fill`."""
    width = uniform(frames, rng, 0, 1) * torch.minimum(
        extent.float() / 2, torch.full_like(extent, most, dtype=torch.float32)
    )
    start = uniform(frames, rng, 0, 1) * (extent - width)
    cells = torch.arange(frames.shape[axis], device=frames.device)
    hit = (cells >= start[:, None]) & (cells < (start + width)[:, None])
    return torch.where(hit.unsqueeze(3 - axis), fill.to(frames), frames)
