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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.config import Cepstra
from bench.errors import SuiteError
from bench.features.filterbanks import chroma_filterbank, cosines, mel_filterbank
from bench.features.logmel import power_spectrum
from bench.features.spectra import QUIETEST, RANGE_DB


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
