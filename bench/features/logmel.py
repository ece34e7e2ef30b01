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

import torch
from torch import Tensor, nn

from bench.config import Features
from bench.errors import SuiteError
from bench.features.filterbanks import mel_filterbank


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
