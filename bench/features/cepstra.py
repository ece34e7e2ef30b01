"""MFCCs and chroma in torch, as librosa computes them: what ResLSTM-SA hears (arXiv 2606.03359).

    cepstral = Cepstral(Cepstra())
    frames = cepstral(torch.from_numpy(samples))      # (N,) → (T, 34 + 12) float32

    P[t, f] = |X[t, f]|²                              the STFT of `logmel`, its window as long as the FFT
    L[t, m] = 10 log₁₀ max(1e-10, Σ_f W[m, f] P[t, f]), and no less than the clip's largest less 80
    c[t, i] = Σ_m D[i, m] L[t, m]                     D: orthonormal DCT-II
    h[t, k] = Σ_f C[k, f] P[t, f], over its largest k

c are the numbers of `librosa.feature.mfcc`, h those of `librosa.feature.chroma_stft(tuning=0)`, with its
defaults elsewhere. librosa would estimate a tuning for each clip; speech is not tuned, and an A of 440 Hz
everywhere makes one pitch one chroma in every clip, and is cheaper.

Window and hop are rounded to whole samples: 4096 and 2048 at 48 kHz as published, 1365 and 683 at 16 kHz,
where the bins of the spectrum are as far apart (11.72 Hz) and reach to 8 kHz instead of 24.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.config import Cepstra
from bench.errors import SuiteError
from bench.features.logmel import mel_filterbank, power_spectrum

QUIETEST = 1e-10  # mel power is clamped here before the logarithm
RANGE_DB = 80.0  # below a clip's loudest cell
A0_HZ = 27.5
CENTRE_OCTAVE, OCTAVE_WIDTH = 5.0, 2.0  # of the weights that octaves have in chroma: Gaussian, from A0
SEMITONES_TO_A = 3  # pitch classes are counted from C


class Cepstral(nn.Module):
    """Waveform (N,) to MFCCs and chroma (T, num_mfcc + num_chroma), a frame centred every hop."""

    window: Tensor
    mels: Tensor
    cosines: Tensor
    pitches: Tensor

    def __init__(self, features: Cepstra) -> None:
        """SuiteError where there are more MFCCs than mel bands."""
        super().__init__()
        if features.num_mfcc > features.num_mels:
            raise SuiteError(
                f"features: {features.num_mfcc} MFCCs cannot be taken from {features.num_mels} mel bands; "
                "ask for fewer MFCCs or more bands"
            )
        rate = features.sample_rate_hz
        self.fft_length = round(rate * features.window_ms / 1000)
        self.hop = round(rate * features.hop_ms / 1000)
        weights = {
            "window": torch.hann_window(self.fft_length, dtype=torch.float64),
            "mels": _tensor(mel_filterbank(rate, self.fft_length, features.num_mels, 0.0, rate / 2)),
            "cosines": _tensor(cosines(features.num_mfcc, features.num_mels)),
            "pitches": _tensor(chroma_filterbank(rate, self.fft_length, features.num_chroma)),
        }
        for name, value in weights.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(N,) float32 samples to (T, num_mfcc + num_chroma) float32."""
        power = power_spectrum(waveform, self.window, self.fft_length, self.hop)
        return torch.cat([self._mfcc(power), self._chroma(power)]).T.float().contiguous()

    def _mfcc(self, power: Tensor) -> Tensor:
        decibels = 10 * (self.mels @ power).clamp_min(QUIETEST).log10()
        return self.cosines @ decibels.clamp_min(decibels.max() - RANGE_DB)

    def _chroma(self, power: Tensor) -> Tensor:
        raw = self.pitches @ power
        largest = raw.amax(0)
        return raw / torch.where(largest > 0, largest, 1.0)


def _tensor(weights: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(weights).double()


def cosines(count: int, num_bands: int) -> NDArray[np.float64]:
    """The first `count` rows of the orthonormal DCT-II of `num_bands` numbers, (count, num_bands)."""
    rows, bands = np.arange(count)[:, None], np.arange(num_bands)
    matrix = np.cos(math.pi / num_bands * (bands + 0.5) * rows) * math.sqrt(2 / num_bands)
    matrix[0] /= math.sqrt(2)
    return matrix


@cache
def chroma_filterbank(sample_rate_hz: int, fft_length: int, num_chroma: int) -> NDArray[np.float32]:
    """Weights C (num_chroma, fft_length // 2 + 1) from frequencies to pitch classes (Ellis 2007, chroma).

    A Gaussian around each pitch class, as wide as the bins there are apart, but at least a class; each
    frequency's weights have unit length before octaves far from the centre are weakened.
    """
    octaves = np.log2(np.arange(1, fft_length) * sample_rate_hz / fft_length / A0_HZ)
    octaves = np.concatenate(
        [[octaves[0] - 1.5], octaves]
    )  # frequency 0: one and a half octaves below the first
    place = num_chroma * octaves
    width = np.append(np.maximum(np.diff(place), 1.0), 1.0)
    half = round(num_chroma / 2)
    distance = (place - np.arange(num_chroma)[:, None] + half) % num_chroma - half
    weights = np.exp(-2 * np.square(distance / width))
    weights /= np.linalg.norm(weights, axis=0)
    weights *= np.exp(-0.5 * np.square((octaves - CENTRE_OCTAVE) / OCTAVE_WIDTH))
    weights = np.roll(weights, -SEMITONES_TO_A * (num_chroma // 12), axis=0)
    return weights[:, : fft_length // 2 + 1].astype(np.float32)
