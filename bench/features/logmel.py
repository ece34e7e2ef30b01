"""Log-mel frames in torch: the natural logarithm of Slaney mel power, as librosa computes it.

    logmel = LogMel(Features())
    frames = logmel(torch.from_numpy(samples))      # (N,) → (T, M) float32

    X[t, f] = Σ_n w[n] x[t·hop + n − n_fft/2] e^(−2πifn/n_fft)      w: periodic Hann window
    y[t, m] = ln max(floor, Σ_f W[m, f] |X[t, f]|²)

Equal to `log(librosa.feature.melspectrogram(…, power=2, htk=False, norm="slaney"))` with librosa's
defaults elsewhere: frames centred, zeros beyond both ends. The FFT is the next power of two over the
window, and runs in float64 as librosa's does: in float32 quiet bins beside loud ones are off by up to
7e-4 on real recordings.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.config import Features
from bench.errors import SuiteError

BREAK_HZ = 1_000.0  # Slaney 1998, Auditory Toolbox: linear below (3 mel per 200 Hz), logarithmic above
HZ_PER_MEL = 200.0 / 3.0
LOG_STEP = math.log(6.4) / 27.0


class LogMel(nn.Module):
    """Waveform (N,) to natural-log mel power (T, M), T = 1 + N // hop."""

    window: Tensor
    weights: Tensor

    def __init__(self, features: Features) -> None:
        """SuiteError where the mel range does not fit under half the sampling rate."""
        super().__init__()
        if not 0 <= features.min_hz < features.max_hz <= features.sample_rate_hz / 2:
            raise SuiteError(
                f"features: mel range {features.min_hz}–{features.max_hz} Hz does not fit a sampling rate of "
                f"{features.sample_rate_hz} Hz; keep them within 0–{features.sample_rate_hz / 2} Hz"
            )
        self.hop = round(features.sample_rate_hz * features.hop_ms / 1000)
        window_length = round(features.sample_rate_hz * features.window_ms / 1000)
        self.fft_length = 2 ** math.ceil(math.log2(window_length))
        self.floor = features.floor
        self.register_buffer(
            "window", torch.hann_window(window_length, dtype=torch.float64), persistent=False
        )
        weights = mel_filterbank(
            features.sample_rate_hz, self.fft_length, features.num_mels, features.min_hz, features.max_hz
        )
        self.register_buffer("weights", torch.from_numpy(weights), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(N,) float32 samples to (T, M) float32."""
        power = power_spectrum(waveform, self.window, self.fft_length, self.hop).float()
        return (self.weights @ power).clamp_min(self.floor).log().T.contiguous()


def power_spectrum(waveform: Tensor, window: Tensor, fft_length: int, hop: int) -> Tensor:
    """|X|² of the STFT above: samples (N,) to (fft_length // 2 + 1, T) float64, T = frames centred every hop.

    `window` is float64, and padded with zeros on both sides to `fft_length`.
    """
    spectrum = torch.stft(
        waveform.double(),
        fft_length,
        hop_length=hop,
        win_length=len(window),
        window=window,
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    return torch.view_as_real(spectrum).square().sum(-1)


@cache
def mel_filterbank(
    sample_rate_hz: int, fft_length: int, num_mels: int, min_hz: float, max_hz: float
) -> NDArray[np.float32]:
    """Triangular filters W (M, fft_length // 2 + 1), each of unit area in Hz (Slaney 1998)."""
    edges_hz = mel_to_hz(np.linspace(hz_to_mel(min_hz), hz_to_mel(max_hz), num_mels + 2))
    bins_hz = np.fft.rfftfreq(fft_length, 1 / sample_rate_hz)
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    triangles = np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre))
    return (np.maximum(triangles, 0) * 2 / (high - low)).astype(np.float32)


def hz_to_mel(hz: float) -> float:
    """Slaney's mel scale."""
    if hz < BREAK_HZ:
        return hz / HZ_PER_MEL
    return BREAK_HZ / HZ_PER_MEL + math.log(hz / BREAK_HZ) / LOG_STEP


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of `hz_to_mel`."""
    break_mel = BREAK_HZ / HZ_PER_MEL
    return np.where(mel < break_mel, mel * HZ_PER_MEL, BREAK_HZ * np.exp(LOG_STEP * (mel - break_mel)))
