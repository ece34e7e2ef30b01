"""Speech-like sound from a source and a filter: what the synthetic corpus is made of.

    samples = speak(Delivery(pitch_hz=120, rate_hz=4.5), tract_scale=1.0, duration_s=3.0, rng=rng)

Syllables of an optional fricative and a vowel, with pauses. The voice source is the KLGLOTT88 pulse
(Klatt & Klatt 1990, JASA 87) with jitter and shimmer, followed by one low-pass pole for its spectral
tilt; a vowel is a cascade of four resonators (Klatt 1980, JASA 67) at the formants of Peterson & Barney
(1952, JASA 24); a fricative is noise through one resonator. Each filter runs over the whole utterance
and is faded in where its sound is spoken, so that nothing loops over samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its subpackages are loaded when they are used: signal takes a second
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000

Signal = NDArray[np.float64]

VOWELS_HZ = (  # i, ɛ, ɑ, ɔ, u of men; the fourth formant is not in the paper
    (270, 2290, 3010, 3600),
    (530, 1840, 2480, 3500),
    (730, 1090, 2440, 3400),
    (570, 840, 2410, 3300),
    (300, 870, 2240, 3300),
)
FORMANT_WIDTHS_HZ = (60, 90, 150, 250)
FRICATIVES_HZ = (2800, 4200, 6000)
FRICATIVE_WIDTH_HZ = 1200
OPEN_QUOTIENT = 0.6
SHIMMER_PER_JITTER = 3.0
VOWEL_FADE = np.array([0.0, 0.15, 0.75, 1.0])  # of its length: silent, full, easing, silent


@dataclass(frozen=True)
class Delivery:
    """How one utterance is spoken."""

    pitch_hz: float = 120.0  # geometric mean
    range_semitones: float = 2.0  # standard deviation of the syllables' pitch
    glide_semitones: float = 0.0  # within a vowel, rising where positive
    rate_hz: float = 4.5  # syllables a second
    jitter: float = 0.01  # relative standard deviation of the period
    brightness_hz: float = 1500.0  # the source falls by 6 dB an octave more above it
    level_db: float = -30.0  # RMS re full scale
    snr_db: float = 20.0


@dataclass(frozen=True)
class _Syllables:
    """Arrays, one entry a syllable; times in seconds."""

    onset: Signal  # where the fricative starts, if there is one
    vowel: Signal
    end: Signal
    stress: Signal  # amplitude, 1 on average
    fricative: NDArray[np.bool_]


def speak(delivery: Delivery, tract_scale: float, duration_s: float, rng: np.random.Generator) -> Signal:
    """Samples (N,) in ±1 at 16 kHz. `tract_scale` multiplies the formants: 1 for men, 1.17 for women."""
    time = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    syllables = _syllables(delivery.rate_hz, duration_s, rng)
    source = _voice_source(_pitch(delivery, syllables, time, rng), delivery, rng)
    vowels = [_cascade([tract_scale * f for f in formants], FORMANT_WIDTHS_HZ) for formants in VOWELS_HZ]
    fricatives = [_cascade([centre], [FRICATIVE_WIDTH_HZ]) for centre in FRICATIVES_HZ]
    voiced = _spoken(source, vowels, syllables, time, rng) * _vowel_envelope(syllables, time)
    hissed = _spoken(rng.standard_normal(len(time)), fricatives, syllables, time, rng)
    speech = _scaled(voiced, 1.0) + 0.3 * _scaled(hissed, 1.0) * _fricative_envelope(syllables, time)
    speech = _scaled(speech, 10 ** (delivery.level_db / 20))
    noise = scipy.signal.lfilter([1.0], [1.0, -rng.uniform(0.3, 0.95)], rng.standard_normal(len(time)))
    return np.clip(speech + _scaled(noise, 10 ** ((delivery.level_db - delivery.snr_db) / 20)), -1, 1)


def _syllables(rate_hz: float, duration_s: float, rng: np.random.Generator) -> _Syllables:
    count = max(2, round(duration_s * rate_hz))
    fricative = rng.random(count) < 0.6
    hiss = np.where(fricative, rng.uniform(0.2, 0.6, count), 0.05)
    vowel = rng.uniform(0.6, 1.2, count)
    pause = np.where(rng.random(count) < 0.12, rng.uniform(0.5, 1.5, count), 0.05)
    lengths = np.stack([hiss, vowel, pause], axis=1)
    ends = np.cumsum(lengths.ravel() * duration_s / lengths.sum()).reshape(count, 3)
    onset = np.concatenate([[0.0], ends[:-1, 2]])
    return _Syllables(onset, ends[:, 0], ends[:, 1], rng.uniform(0.6, 1.4, count), fricative)


def _pitch(delivery: Delivery, syllables: _Syllables, time: Signal, rng: np.random.Generator) -> Signal:
    """Pitch in Hz: a target a syllable on a line that falls by three semitones, and a glide in each vowel."""
    count = len(syllables.vowel)
    target = delivery.range_semitones * rng.standard_normal(count) + np.linspace(1.5, -1.5, count)
    edges = target[:, None] + delivery.glide_semitones * np.array([-0.5, 0.5])
    times = np.stack([syllables.vowel, syllables.end], axis=1)
    semitones = np.interp(time, times.ravel(), edges.ravel())
    return np.clip(delivery.pitch_hz * 2 ** (semitones / 12), 50, 600)


def _voice_source(pitch_hz: Signal, delivery: Delivery, rng: np.random.Generator) -> Signal:
    """Derivative of the glottal flow u²(q − u), u the phase within the cycle, q the open quotient."""
    steady = np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    each_cycle = rng.standard_normal((2, int(2 * steady[-1]) + 2))
    phase = np.cumsum(pitch_hz * (1 + delivery.jitter * each_cycle[0, steady.astype(int)])) / SAMPLE_RATE_HZ
    cycle = np.clip(phase.astype(int), 0, each_cycle.shape[1] - 1)
    u = phase % 1
    pulse = np.where(u < OPEN_QUOTIENT, 2 * OPEN_QUOTIENT * u - 3 * u**2, 0) / OPEN_QUOTIENT**2
    pulse *= 1 + SHIMMER_PER_JITTER * delivery.jitter * each_cycle[1, cycle]
    pole = np.exp(-2 * np.pi * delivery.brightness_hz / SAMPLE_RATE_HZ)
    return scipy.signal.lfilter([1 - pole], [1, -pole], pulse + 0.01 * rng.standard_normal(len(pulse)))


def _cascade(centres_hz: list[float], widths_hz: tuple[int, ...] | list[int]) -> Signal:
    """Second-order sections (n, 6) of Klatt's digital resonators, unit gain at 0 Hz."""
    radius = np.exp(-np.pi * np.asarray(widths_hz) / SAMPLE_RATE_HZ)
    first = 2 * radius * np.cos(2 * np.pi * np.asarray(centres_hz) / SAMPLE_RATE_HZ)
    second = -(radius**2)
    zero, one = np.zeros_like(first), np.ones_like(first)
    return np.stack([1 - first - second, zero, zero, one, -first, -second], axis=1)


def _spoken(
    source: Signal, filters: list[Signal], syllables: _Syllables, time: Signal, rng: np.random.Generator
) -> Signal:
    """`source` through one of the `filters` in each syllable, at random, fading from one to the next."""
    choice = rng.integers(len(filters), size=len(syllables.vowel))
    times = np.stack([syllables.onset, syllables.end], axis=1).ravel()
    total = np.zeros_like(source)
    for each in np.unique(choice):
        weight = np.interp(time, times, np.repeat(choice == each, 2).astype(float))
        total += weight * scipy.signal.sosfilt(filters[each], source)
    return total


def _vowel_envelope(syllables: _Syllables, time: Signal) -> Signal:
    times = syllables.vowel[:, None] + (syllables.end - syllables.vowel)[:, None] * VOWEL_FADE
    heights = syllables.stress[:, None] * np.array([0.0, 1.0, 0.7, 0.0])
    return np.interp(time, times.ravel(), heights.ravel())


def _fricative_envelope(syllables: _Syllables, time: Signal) -> Signal:
    middle = (syllables.onset + syllables.vowel) / 2
    times = np.stack([syllables.onset, middle, syllables.vowel], axis=1)
    heights = syllables.fricative[:, None] * np.array([0.0, 1.0, 0.0])
    return np.interp(time, times.ravel(), heights.ravel())


def _scaled(signal: Signal, rms: float) -> Signal:
    return signal * (rms / np.sqrt(np.mean(signal**2) + 1e-20))
