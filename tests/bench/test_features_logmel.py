"""Log-mel: the numbers that librosa gives."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import chirp

from bench import corpora
from bench.config import Features
from bench.errors import SuiteError
from bench.features.audio import read
from bench.features.logmel import LogMel, mel_filterbank

SETTINGS = [
    Features(),
    Features(num_mels=128, min_hz=0.0),
    Features(sample_rate_hz=8_000, num_mels=40, max_hz=3_800.0, window_ms=32.0, hop_ms=8.0),
]


def librosa_logmel(samples: np.ndarray, features: Features, fft_length: int) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=samples.astype(np.float64),
        sr=features.sample_rate_hz,
        n_fft=fft_length,
        win_length=round(features.window_ms * features.sample_rate_hz / 1000),
        hop_length=round(features.hop_ms * features.sample_rate_hz / 1000),
        n_mels=features.num_mels,
        fmin=features.min_hz,
        fmax=features.max_hz,
    )
    return np.log(np.maximum(power, features.floor)).T


def signal(features: Features) -> np.ndarray:
    """A sweep 80 dB above noise: quiet bins beside loud ones."""
    time = np.arange(2 * features.sample_rate_hz) / features.sample_rate_hz
    noise = 1e-4 * np.random.default_rng(0).standard_normal(len(time))
    return (chirp(time, 50, 2, 0.45 * features.sample_rate_hz) + noise).astype(np.float32)


@pytest.mark.parametrize("features", SETTINGS)
def test_log_mel_is_librosas(features):
    samples = signal(features)
    logmel = LogMel(features)
    frames = logmel(torch.from_numpy(samples))
    assert frames.dtype == torch.float32
    expected = librosa_logmel(samples, features, logmel.fft_length)
    assert frames.shape == expected.shape
    assert np.abs(frames.numpy() - expected).max() < 1e-4


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["emodb", "ravdess"])
def test_log_mel_of_real_speech_is_librosas(data_root, name):
    manifest, logmel = corpora.load(name, data_root), LogMel(Features())
    for path in manifest.table["path"][::100]:
        samples = read(manifest.root / path, 16_000)
        expected = librosa_logmel(samples, Features(), logmel.fft_length)
        assert np.abs(logmel(torch.from_numpy(samples)).numpy() - expected).max() < 1e-4


@pytest.mark.parametrize("features", SETTINGS)
def test_filterbank_is_librosas(features):
    size = (features.sample_rate_hz, 512, features.num_mels, features.min_hz, features.max_hz)
    expected = librosa.filters.mel(
        sr=size[0], n_fft=512, n_mels=features.num_mels, fmin=features.min_hz, fmax=features.max_hz
    )
    np.testing.assert_allclose(mel_filterbank(*size), expected, atol=1e-7)


def test_stereo_48_khz_gives_the_log_mel_of_mono_16_khz(tmp_path):
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(48_000))
    spectrum[7_000:] = 0  # nothing over 7 kHz, so that both rates hold the same sound
    wide = np.fft.irfft(spectrum)
    wide *= 0.1 / wide.std()
    soundfile.write(tmp_path / "wide.wav", np.stack([wide, wide], axis=1), 48_000)
    soundfile.write(tmp_path / "narrow.wav", wide[::3], 16_000)
    logmel = LogMel(Features(max_hz=6_500.0))
    one, other = (
        logmel(torch.from_numpy(read(tmp_path / f"{name}.wav", 16_000))) for name in ("wide", "narrow")
    )
    assert one.shape == other.shape
    assert (one - other)[2:-2].abs().max() < 0.05  # nepers; the spread over frames is about 2


@pytest.mark.parametrize("length", [1, 319, 320, 321, 16_000])
def test_a_frame_starts_every_hop_however_short_the_recording(length):
    frames = LogMel(Features())(torch.ones(length))
    assert frames.shape == (1 + length // 320, 64)
    assert torch.isfinite(frames).all()


def test_silence_is_the_logarithm_of_the_floor():
    frames = LogMel(Features(floor=1e-8))(torch.zeros(1600))
    assert torch.equal(frames, torch.full_like(frames, np.log(1e-8)))


@pytest.mark.parametrize("change", [{"max_hz": 8_001.0}, {"min_hz": 5000.0, "max_hz": 4000.0}])
def test_a_mel_range_that_does_not_fit_is_refused(change):
    with pytest.raises(SuiteError, match=r"mel range .* does not fit a sampling rate of 16000 Hz"):
        LogMel(Features(**change))
