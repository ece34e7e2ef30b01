"""Log-mel and cepstra in numpy: what `serbench predict --model` computes where torch is not installed.

    frames = frames_of(features, samples)       # Features or Cepstra, (N,) → (T, M) float32

The equations are those of `logmel` and `cepstra`, which train and are timed on any device; the numbers agree
to rounding, and a test holds both to librosa's.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.config import AnyFeatures, Cepstra, Features
from bench.errors import SuiteError
from bench.features.filterbanks import chroma_filterbank, cosines, mel_filterbank

QUIETEST = 1e-10  # mel power is clamped here before the logarithm of cepstra
RANGE_DB = 80.0  # below a clip's loudest cell
BLOCK = 1024  # frames transformed at once

Spectrum = NDArray[np.float64]


def frames_of(features: AnyFeatures, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Frames (T, M) of samples (N,) at the features' rate; SuiteError for hidden states, which need torch."""
    if isinstance(features, Features):
        return log_mel(features, samples)
    if isinstance(features, Cepstra):
        return cepstra(features, samples)
    raise SuiteError("features: hidden states of frozen encoders need torch; predict with --checkpoint")


def log_mel(features: Features, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """As `bench.features.logmel.LogMel`."""
    rate = features.sample_rate_hz
    length, hop = (round(rate * each / 1000) for each in (features.window_ms, features.hop_ms))
    fft_length = 2 ** math.ceil(math.log2(length))
    power = power_spectrum(samples, length, fft_length, hop).astype(np.float32)
    weights = mel_filterbank(rate, fft_length, features.num_mels, features.min_hz, features.max_hz)
    return np.log(np.maximum(power @ weights.T, np.float32(features.floor)))


def cepstra(features: Cepstra, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """As `bench.features.cepstra.Cepstral`."""
    rate = features.sample_rate_hz
    length, hop = (round(rate * each / 1000) for each in (features.window_ms, features.hop_ms))
    power = power_spectrum(samples, length, length, hop)
    bands = mel_filterbank(rate, length, features.num_mels, 0.0, rate / 2).astype(np.float64)
    decibels = 10 * np.log10(np.maximum(power @ bands.T, QUIETEST))
    mfcc = np.maximum(decibels, decibels.max() - RANGE_DB) @ cosines(features.num_mfcc, features.num_mels).T
    raw = power @ chroma_filterbank(rate, length, features.num_chroma).T.astype(np.float64)
    largest = raw.max(axis=1, keepdims=True)
    chroma = raw / np.where(largest > 0, largest, 1.0)
    return np.concatenate([mfcc, chroma], axis=1).astype(np.float32)


def power_spectrum(samples: NDArray[np.float32], length: int, fft_length: int, hop: int) -> Spectrum:
    """|X|² of frames centred every hop, (T, fft_length // 2 + 1), under a periodic Hann window of `length`.

    Zeros stand beyond both ends, and around the window where the FFT is longer.
    """
    before = (fft_length - length) // 2
    window = np.zeros(fft_length)
    window[before : before + length] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    padded = np.pad(samples.astype(np.float64), fft_length // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_length)[::hop]
    blocks = (frames[start : start + BLOCK] for start in range(0, len(frames), BLOCK))
    spectra = (np.fft.rfft(block * window) for block in blocks)
    return np.concatenate([each.real**2 + each.imag**2 for each in spectra])
