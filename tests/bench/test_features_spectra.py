"""Log-mel and cepstra in numpy: librosa's numbers, and those of torch that models are trained on."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from scipy.signal import chirp

from bench import corpora
from bench.config import AnyFeatures, Cepstra, Extractor, Features, Pretrained
from bench.errors import SuiteError
from bench.features.audio import read
from bench.features.spectra import BLOCK, frames_of
from bench.features.transform import transform

SETTINGS: list[AnyFeatures] = [
    Features(),
    Features(num_mels=40, sample_rate_hz=8_000, max_hz=3_800.0, window_ms=32.0, hop_ms=8.0),
    Cepstra(),
    Cepstra(sample_rate_hz=48_000),
]


def sweep(features: AnyFeatures, seconds: float = 2.0) -> np.ndarray:
    """Half a second of silence, then a sweep 80 dB above noise."""
    rate = features.sample_rate_hz
    time = np.arange(round(seconds * rate)) / rate
    sound = chirp(time, 50, seconds, 0.45 * rate) + 1e-4 * np.random.default_rng(0).standard_normal(len(time))
    return np.concatenate([np.zeros(rate // 2), sound]).astype(np.float32)


def in_torch(features: AnyFeatures, samples: np.ndarray) -> np.ndarray:
    return transform(features)(torch.from_numpy(samples)).numpy()


def test_log_mel_is_librosas():
    features = Features()
    samples = sweep(features)
    power = librosa.feature.melspectrogram(
        y=samples.astype(np.float64), sr=16_000, n_fft=1024, win_length=640, hop_length=320, n_mels=64,
        fmin=20.0, fmax=8_000.0,
    )  # fmt: skip
    expected = np.log(np.maximum(power, features.floor)).T
    np.testing.assert_allclose(frames_of(features, samples), expected, atol=1e-4)


def test_cepstra_are_librosas():
    samples = sweep(Cepstra())
    common = {"y": samples.astype(np.float64), "sr": 16_000, "n_fft": 1365, "hop_length": 683}
    mfcc = librosa.feature.mfcc(**common, n_mfcc=34, n_mels=128)
    chroma = librosa.feature.chroma_stft(**common, n_chroma=12, tuning=0.0)
    expected = np.concatenate([mfcc, chroma]).T
    np.testing.assert_allclose(frames_of(Cepstra(), samples), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("features", SETTINGS)
@pytest.mark.parametrize("length", [1, 2, 700, 1365, 40_001])
def test_frames_are_those_of_torch_however_short_the_recording(features, length):
    samples = sweep(features, 3.0)[-length:]
    found, expected = frames_of(features, samples), in_torch(features, samples)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_recording_of_many_blocks_is_that_of_torch():
    samples = sweep(Features(), (2.5 * BLOCK) * 0.02)
    found = frames_of(Features(), samples)
    assert len(found) > 2 * BLOCK
    np.testing.assert_allclose(found, in_torch(Features(), samples), atol=2e-5)


def test_silence_stays_finite():
    for features in SETTINGS:
        assert np.isfinite(frames_of(features, np.zeros(5_000, np.float32))).all()


@pytest.mark.corpus
@pytest.mark.parametrize("features", SETTINGS)
def test_frames_of_real_speech_are_those_of_torch(data_root, features):
    manifest = corpora.load("ravdess", data_root)
    for path in manifest.table["path"][::300]:
        samples = read(manifest.root / path, features.sample_rate_hz)
        np.testing.assert_allclose(frames_of(features, samples), in_torch(features, samples), atol=2e-5)


def test_hidden_states_are_refused():
    with pytest.raises(SuiteError, match="need torch"):
        frames_of(Pretrained(speech=Extractor(name="x")), np.zeros(10, np.float32))
