"""Waveform augmentation against librosa, SciPy and the equations, one effect at a time, and its draws."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from scipy import signal, stats
from training_fixtures import ToyStore, toy_split

from bench.config import WaveformAugmentation
from bench.training import waveform
from bench.training.reading import Loader
from bench.training.split import Batches
from bench.training.waveform import EFFECTS, altered

RATE = 16_000
EVERY = WaveformAugmentation(**dict.fromkeys(EFFECTS, 1.0))


def glide(seconds: float = 1.2) -> np.ndarray:
    """A tone with four harmonics that rises from 150 to 250 Hz, louder in the middle."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (150 * t + 50 * t**2 / seconds)
    tone = sum(np.sin(k * phase) / k for k in range(1, 5))
    return (0.1 * np.hanning(len(t)) * tone).astype(np.float32)


def alone(name: str, **ranges) -> WaveformAugmentation:
    return WaveformAugmentation(**{name: 1.0}, **ranges)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("rate", [0.8, 1.0, 1.25])
def test_stretching_is_librosas_phase_vocoder(rate):
    found = waveform.stretched(glide(), rate)
    expected = librosa.effects.time_stretch(glide(), rate=rate, n_fft=waveform.FRAME)
    assert len(found) == len(expected)
    inside = slice(waveform.FRAME, -waveform.FRAME)
    np.testing.assert_allclose(found[inside], expected[inside], atol=2e-4)


@pytest.mark.parametrize("semitones", [-2.0, 1.0, 3.0])
def test_pitch_moves_by_semitones_and_the_length_stays(semitones):
    samples = glide()
    moved = waveform.shifted(samples, semitones)
    assert moved.shape == samples.shape
    before, after = (librosa.yin(x, fmin=80, fmax=500, sr=RATE)[8:-8] for x in (samples, moved))
    assert np.median(12 * np.log2(after / before)) == pytest.approx(semitones, abs=0.1)


def test_speed_changes_length_and_pitch_together():
    samples = glide(1.1)
    quicker = waveform.faster(samples, 1.1)
    assert len(quicker) == RATE
    expected = signal.resample(samples, len(quicker))
    np.testing.assert_allclose(quicker[500:-500], expected[500:-500], atol=2e-3)


@pytest.mark.parametrize("snr_db", [-5.0, 10.0, 30.0])
def test_noise_has_the_ratio_that_was_asked_for(snr_db):
    samples = glide()
    noise = waveform.noisy(samples, snr_db, 0.5, rng()).astype(np.float64) - samples
    assert 10 * np.log10(np.square(samples).sum() / np.square(noise).sum()) == pytest.approx(snr_db, abs=0.01)


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_the_power_of_noise_falls_as_its_slope_says(slope):
    loud = np.ones(2**17, np.float32)
    hz, power = signal.welch(waveform.noisy(loud, 0.0, slope, rng()) - loud, RATE, nperseg=1024)
    kept = (hz > 100) & (hz < 7_000)
    fitted = stats.linregress(np.log(hz[kept]), np.log(power[kept])).slope
    assert fitted == pytest.approx(-slope, abs=0.05)


def test_silence_stays_silence():
    silence = np.zeros(8_000, np.float32)
    for name in EFFECTS:
        heard = altered(silence, alone(name), 0)
        assert heard.dtype == np.float32
        np.testing.assert_allclose(heard, 0, atol=1e-12)


@pytest.mark.parametrize("seconds", [0.2, 0.6])
def test_a_room_falls_by_60_db_in_its_reverberation_time(seconds):
    """By backward integration (Schroeder 1965), from −5 to −35 dB."""
    room = waveform.response(seconds, 6.0, rng())
    tail = np.square(room[1:].astype(np.float64))
    assert 10 * np.log10(room[0] ** 2 / tail.sum()) == pytest.approx(6.0, abs=1e-3)
    decay = 10 * np.log10(tail[::-1].cumsum()[::-1] / tail.sum())
    part = (decay < -5) & (decay > -35)
    slope = stats.linregress(np.flatnonzero(part) / RATE, decay[part]).slope
    assert -60 / slope == pytest.approx(seconds, rel=0.05)


def test_reverberation_is_a_convolution_as_loud_as_the_clip_was():
    samples, room = glide(), waveform.response(0.3, 3.0, rng())
    wet = waveform.reverberated(samples, room).astype(np.float64)
    direct = np.convolve(samples.astype(np.float64), room)[: len(samples)]
    assert np.square(wet).sum() == pytest.approx(np.square(samples.astype(np.float64)).sum(), rel=1e-5)
    np.testing.assert_allclose(wet / wet.std(), direct / direct.std(), atol=1e-4)


def test_gain_is_one_factor_in_range():
    samples = glide()
    ratio = altered(samples, alone("gain", gain_db=6.0), 3)[1000:-1000] / samples[1000:-1000]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
    assert abs(20 * np.log10(ratio[0])) <= 6


def test_a_time_mask_is_one_bounded_span_of_silence():
    samples = np.ones(RATE, np.float32)
    for place in range(20):
        gone = np.flatnonzero(altered(samples, alone("time_mask", time_mask_s=0.2), place) == 0)
        assert len(gone) <= 0.2 * RATE
        assert not len(gone) or gone[-1] - gone[0] + 1 == len(gone)


def test_a_band_mask_silences_its_band_and_nothing_else():
    t = np.arange(RATE) / RATE
    inside, outside = np.sin(2 * np.pi * 1_000 * t), np.sin(2 * np.pi * 300 * t)
    masked = waveform.without_band((inside + outside).astype(np.float32), 700, 1_500)
    np.testing.assert_allclose(masked, outside, atol=1e-5)


def test_a_clip_has_each_effect_as_often_as_its_probability_says():
    settings = WaveformAugmentation(gain=0.3)
    samples = np.ones(100, np.float32)
    changed = sum(altered(samples, settings, place)[0] != 1 for place in range(2_000))
    assert stats.binomtest(changed, 2_000, 0.3).pvalue > 1e-3


def test_one_effects_draws_do_not_depend_on_the_others():
    samples = np.ones(RATE, np.float32)
    both = altered(samples, WaveformAugmentation(gain=1.0, time_mask=1.0), 5)
    gain, mask = (altered(samples, alone(name), 5) for name in ("gain", "time_mask"))
    np.testing.assert_allclose(both, gain * mask, rtol=1e-6)


@pytest.mark.parametrize("length", [1, 400, 12_345])
def test_a_clip_of_any_length_stays_float32_and_about_as_long(length):
    samples = glide(1.0)[:length]
    heard = altered(samples, EVERY, 1)
    assert heard.dtype == np.float32
    assert np.isfinite(heard).all()
    assert len(heard) == pytest.approx(length, rel=EVERY.speed_change + 0.02, abs=1)


def clips(waveform_settings, readers: int = 0) -> list[np.ndarray]:
    """Training batches of noise, as samples."""
    split = toy_split(12)
    noise = {
        name: rng(n).normal(size=4_000 + 100 * n).astype(np.float32) for n, name in enumerate(split._store)
    }
    split._store = ToyStore(noise)
    split.lengths = np.full(12, 12)
    groups = [np.arange(0, 6), np.arange(6, 12)]
    batches = Batches(split, groups, 20, seed=1, hop=320, field=400, waveform=waveform_settings)
    return [batch.frames.numpy() for batch in Loader(batches, readers)]


def test_batches_are_augmented_alike_whoever_reads_them_and_whenever():
    for once, ahead in zip(clips(EVERY), clips(EVERY, readers=2), strict=True):
        np.testing.assert_array_equal(once, ahead)
    plain, changed = clips(None), clips(EVERY)
    assert not any(np.array_equal(a, b) for a, b in zip(plain, changed, strict=True))


def test_without_effects_a_batch_is_as_it_was_read():
    for a, b in zip(clips(None), clips(WaveformAugmentation()), strict=True):
        np.testing.assert_array_equal(a, b)
