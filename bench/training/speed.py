"""Features of recordings as if they were played faster or slower: another pitch, vocal tract and rate.

    player = Player(Cepstra(), spread=0.15)
    frames, mask = player(frames, mask, rng)             # each utterance at its own speed

At speed a, what sounded at f Hz sounds at a·f Hz and lasts 1/a as long. Of the log-mel L that is, with f_m
the centre of mel band m, and of MFCCs c, with D the first rows of the DCT,

    L'_m = L at f_m / a, between bands linearly, beyond the last as the last        c' = D (Dᵀ c)'

chroma turns by 12 log₂ a semitones, and a frames become one. It stands for the speed perturbation of
Ko et al. 2015 ("Audio augmentation for speech recognition") without reading the recordings again: a model of
few speakers hears more of them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bench.config import Cepstra, Features
from bench.features.filterbanks import cosines, hz_to_mel, mel_to_hz
from bench.training.augmentation import resampled, uniform


class Player(nn.Module):
    """Plays a batch of log-mels, or of cepstra, at random speeds."""

    cosines: Tensor | None  # D; None of log-mels

    def __init__(self, features: Features | Cepstra, spread: float) -> None:
        """The logarithm of the speed is uniform in ± `spread`."""
        super().__init__()
        self.features, self.spread = features, spread
        if isinstance(features, Cepstra):
            low, high = 0.0, features.sample_rate_hz / 2
            matrix = torch.from_numpy(cosines(features.num_mfcc, features.num_mels)).float()
        else:
            low, high, matrix = features.min_hz, features.max_hz, None
        edges = np.linspace(hz_to_mel(low), hz_to_mel(high), features.num_mels + 2)
        self.bands_hz = mel_to_hz(edges)[1:-1]
        self.register_buffer("cosines", matrix, persistent=False)

    def forward(self, frames: Tensor, mask: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Features (B, T, M) float, mask (B, T) bool → (B, T', M), (B, T'); `rng` is a CPU generator."""
        return self.played(frames, mask, uniform(frames, rng, -self.spread, self.spread).exp())

    def played(self, frames: Tensor, mask: Tensor, speeds: Tensor) -> tuple[Tensor, Tensor]:
        """Each utterance at its speed (B,)."""
        if not isinstance(self.features, Cepstra):
            return resampled(self._warped(frames, speeds), mask, speeds)
        assert self.cosines is not None
        cepstra, chroma = frames.split([self.features.num_mfcc, self.features.num_chroma], dim=2)
        warped = self._warped(cepstra @ self.cosines, speeds) @ self.cosines.T
        return resampled(torch.cat([warped, _turned(chroma, speeds)], dim=2), mask, speeds)

    def _warped(self, log_mel: Tensor, speeds: Tensor) -> Tensor:
        """A log-mel (B, T, M) with its bands taken from where they were."""
        sources_hz = self.bands_hz / speeds.double().cpu().numpy()[:, None]
        place = np.interp(sources_hz, self.bands_hz, np.arange(len(self.bands_hz)))
        return _between(log_mel, torch.from_numpy(place).to(log_mel))


def _turned(chroma: Tensor, speeds: Tensor) -> Tensor:
    """Chroma (B, T, K), each pitch class taken from where it was."""
    count = chroma.shape[2]
    classes = torch.arange(count, device=chroma.device)
    place = (classes - count * speeds.log2()[:, None]).remainder(count)
    return _between(torch.cat([chroma, chroma[..., :1]], dim=2), place)


def _between(rows: Tensor, place: Tensor) -> Tensor:
    """rows (B, T, K) at the places (B, M) in 0 … K − 1, between neighbours linearly: (B, T, M)."""
    below = place.long().clamp(max=rows.shape[2] - 2)
    share = (place - below).unsqueeze(1)
    below = below.unsqueeze(1).expand(-1, rows.shape[1], -1)
    return torch.lerp(rows.gather(2, below), rows.gather(2, below + 1), share)
