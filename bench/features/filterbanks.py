"""Weights from the bins of a spectrum to mel bands and pitch classes, and from bands to cepstra: numpy alone.

    mel_filterbank(16_000, 1024, 64, 20.0, 8_000.0)       # (64, 513) float32
    chroma_filterbank(16_000, 1365, 12)                   # (12, 683) float32
    cosines(34, 128)                                      # (34, 128) float64

Equal to librosa's with its defaults (Slaney's mel scale and norm, chroma of tuning 0). Shared by the features
in torch (`logmel`, `cepstra`) and those in numpy (`spectra`).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

BREAK_HZ = 1_000.0  # Slaney 1998, Auditory Toolbox: linear below (3 mel per 200 Hz), logarithmic above
HZ_PER_MEL = 200.0 / 3.0
LOG_STEP = math.log(6.4) / 27.0
A0_HZ = 27.5
CENTRE_OCTAVE, OCTAVE_WIDTH = 5.0, 2.0  # of the weights that octaves have in chroma: Gaussian, from A0
SEMITONES_TO_A = 3  # pitch classes are counted from C


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
