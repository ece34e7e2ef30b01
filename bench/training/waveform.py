"""Augmentation of waveforms, clip by clip, as they are read: each effect with a probability of its own.

    samples = altered(samples, recipe.waveform, seed, batch, position)        # (N,) → (M,) float32 at 16 kHz

    speed           resampled: tempo and pitch together, M = N / rate        Ko et al. 2015, Interspeech
    pitch           a phase vocoder lengthens, resampling shortens again     Laroche and Dolson 1999
    reverberation   a room's response: Gaussian noise under exp(−6.9 t/T60)  Polack 1988; DRR 0 to 12 dB
    noise           Gaussian, white to pink, at a signal-to-noise ratio over the clip
    gain            all samples by one factor
    time mask       a span becomes silence                                   DropChunk of SpeechBrain
    band mask       a band of the spectrum becomes silence                   DropFreq of SpeechBrain

What a clip becomes depends on the seed, its place and the effect's name alone: not on who reads it, nor on
which other effects are on. Arrays of NumPy, so that the threads that read ahead of training do the work
(`bench.training.reading`); most of it is in FFTs and resampling, which leave Python's lock alone.

The system of arXiv 2512.23435 augments "stochastically" and does not say how: the list and the ranges are
ours. Loudness and pitch carry emotion, so their ranges are small.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import fft, signal

from bench.config import WaveformAugmentation
from bench.features.backbones import SAMPLE_RATE_HZ
from bench.training import streams

Samples = NDArray[np.float32]  # (N,)

SHORTEST_S = 0.1  # T60
DIRECT_DB = (0.0, 12.0)  # direct sound over reverberation, energy
LOWEST_HZ = 80.0  # of a band mask
FRAME, HOP = 1024, 256  # of the phase vocoder


def altered(samples: Samples, settings: WaveformAugmentation, *place: str | int) -> Samples:
    """Samples (N,) at 16 kHz with the effects that they have at this place, (M,) float32."""
    for name in settings.chosen:
        rng = streams.generator("waveform", *place, name)
        if rng.random() < getattr(settings, name):
            samples = EFFECTS[name](samples, settings, rng)
    return samples


def faster(samples: Samples, rate: float) -> Samples:
    """Samples (N,) at `rate` times the speed and pitch, (N / rate,)."""
    return soxr.resample(samples, rate, 1.0, quality="HQ")


def stretched(samples: Samples, rate: float) -> Samples:
    """Samples (N,) at `rate` times the tempo and the same pitch, (N / rate,): a phase vocoder."""
    window = np.hanning(FRAME + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, FRAME // 2), FRAME)[::HOP]
    spectra = fft.rfft(frames * window)
    sizes, angles = (np.pad(part, ((0, 2), (0, 0))) for part in (np.abs(spectra), np.angle(spectra)))
    at = np.arange(0, len(spectra), rate)
    below, share = at.astype(int), (at % 1)[:, None].astype(np.float32)
    expected = 2 * math.pi * HOP * np.arange(FRAME // 2 + 1) / FRAME
    turns = np.diff(angles, axis=0)[below[:-1]] - expected
    turns += expected - 2 * math.pi * np.round(turns / (2 * math.pi))
    phases = angles[0] + np.concatenate([np.zeros((1, len(expected))), turns.cumsum(0)])
    size = (1 - share) * sizes[below] + share * sizes[below + 1]
    rotated = fft.irfft(size * np.exp(1j * (phases % (2 * math.pi)).astype(np.float32)))
    return _overlapped(rotated * window, window, round(len(samples) / rate))


def shifted(samples: Samples, semitones: float) -> Samples:
    """Samples (N,) with their pitch moved by `semitones` at the same tempo, (N,)."""
    rate = 2 ** (semitones / 12)
    moved = faster(stretched(samples, 1 / rate), rate)[: len(samples)]
    return np.pad(moved, (0, len(samples) - len(moved)))


def response(seconds: float, direct_db: float, rng: np.random.Generator) -> Samples:
    """Impulse response of a room, (T60 · 16,000,): 1, then noise that falls by 60 dB in `seconds`."""
    t = np.arange(1, max(2, round(seconds * SAMPLE_RATE_HZ))) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(len(t)) * np.exp(-3 * math.log(10) * t / seconds)
    tail *= math.sqrt(10 ** (-direct_db / 10) / np.square(tail).sum())
    return np.concatenate([[1.0], tail]).astype(np.float32)


def reverberated(samples: Samples, room: Samples) -> Samples:
    """Samples (N,) heard in a room, as loud as they were, (N,)."""
    wet = signal.fftconvolve(samples, room)[: len(samples)]
    return (wet * _ratio(samples, wet)).astype(np.float32)


def noisy(samples: Samples, snr_db: float, slope: float, rng: np.random.Generator) -> Samples:
    """Samples (N,) and noise whose power falls as f^−slope (0 white, 1 pink), at `snr_db` over the clip."""
    length = fft.next_fast_len(len(samples))
    spectrum = fft.rfft(rng.standard_normal(length, np.float32))
    spectrum *= np.maximum(np.arange(len(spectrum), dtype=np.float32), 1) ** np.float32(-slope / 2)
    noise = fft.irfft(spectrum, length)[: len(samples)]
    level = 10 ** (-snr_db / 20) * _ratio(samples, noise)
    return (samples + level * noise).astype(np.float32)


def without_band(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    """Samples (N,) without what lies between two frequencies, (N,)."""
    length = fft.next_fast_len(len(samples))
    spectrum = fft.rfft(samples, length)
    hz = fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ)
    spectrum[(hz >= low_hz) & (hz < high_hz)] = 0
    return fft.irfft(spectrum, length)[: len(samples)]


def _overlapped(frames: NDArray[np.floating], window: Samples, length: int) -> Samples:
    """Frames (F, n) added `HOP` apart over the windows' energy, less the first half frame: (length,)."""
    total, energy = np.zeros((2, max(HOP * (len(frames) - 1) + FRAME, FRAME // 2 + length)))
    for number, frame in enumerate(frames):
        total[number * HOP :][:FRAME] += frame
        energy[number * HOP :][:FRAME] += window**2
    kept = slice(FRAME // 2, FRAME // 2 + length)
    return (total[kept] / np.maximum(energy[kept], 1e-3)).astype(np.float32)


def _ratio(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """How many times louder (RMS) one is than the other; 1 where the other is silent."""
    energy, reference = (np.square(samples, dtype=np.float64).sum() for samples in (one, other))
    return math.sqrt(energy / reference) if reference else 1.0


def _speed(samples: Samples, settings: WaveformAugmentation, rng: np.random.Generator) -> Samples:
    return faster(samples, 1 + rng.uniform(-settings.speed_change, settings.speed_change))


def _pitch(samples: Samples, settings: WaveformAugmentation, rng: np.random.Generator) -> Samples:
    return shifted(samples, rng.uniform(-settings.pitch_semitones, settings.pitch_semitones))


def _reverberation(samples: Samples, settings: WaveformAugmentation, rng: np.random.Generator) -> Samples:
    seconds, direct_db = rng.uniform(SHORTEST_S, settings.reverberation_s), rng.uniform(*DIRECT_DB)
    return reverberated(samples, response(seconds, direct_db, rng))


def _noise(samples: Samples, settings: WaveformAugmentation, rng: np.random.Generator) -> Samples:
    return noisy(samples, rng.uniform(*settings.noise_snr_db), rng.uniform(0, 1), rng)


def _gain(samples: Samples, settings: WaveformAugmentation, rng: np.random.Generator) -> Samples:
    return samples * np.float32(10 ** (rng.uniform(-settings.gain_db, settings.gain_db) / 20))


def _time_mask(samples: Samples, settings: WaveformAugmentation, rng: np.random.Generator) -> Samples:
    """At most half of the clip."""
    longest = min(settings.time_mask_s * SAMPLE_RATE_HZ, len(samples) / 2)
    width = round(rng.uniform(0, longest))
    start = rng.integers(len(samples) - width + 1)
    masked = samples.copy()
    masked[start : start + width] = 0
    return masked


def _band_mask(samples: Samples, settings: WaveformAugmentation, rng: np.random.Generator) -> Samples:
    """Drawn in octaves, so that low and high bands are as likely as they are heard."""
    octaves = math.log2(SAMPLE_RATE_HZ / 2 / LOWEST_HZ)
    width = rng.uniform(0, min(settings.band_mask_octaves, octaves))
    low_hz = LOWEST_HZ * 2 ** rng.uniform(0, octaves - width)
    return without_band(samples, low_hz, low_hz * 2**width)


EFFECTS: dict[str, Callable[[Samples, WaveformAugmentation, np.random.Generator], Samples]] = {
    "speed": _speed,
    "pitch": _pitch,
    "reverberation": _reverberation,
    "noise": _noise,
    "gain": _gain,
    "time_mask": _time_mask,
    "band_mask": _band_mask,
}
