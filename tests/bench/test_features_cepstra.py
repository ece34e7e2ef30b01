"""Cepstra: the numbers that librosa gives."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from scipy.signal import chirp

from bench import corpora
from bench.config import Cepstra
from bench.errors import SuiteError
from bench.features import cache
from bench.features.audio import read
from bench.features.cepstra import Cepstral, chroma_filterbank, cosines
from bench.features.transform import transform

SETTINGS = [
    Cepstra(),
    Cepstra(sample_rate_hz=48_000),
    Cepstra(sample_rate_hz=8_000, num_mfcc=20, num_chroma=24, num_mels=40, window_ms=64.0, hop_ms=16.0),
]


def librosa_cepstra(samples: np.ndarray, features: Cepstra, fft_length: int, hop: int) -> np.ndarray:
    common = {"y": samples.astype(np.float64), "sr": features.sample_rate_hz}
    common |= {"n_fft": fft_length, "hop_length": hop}
    mfcc = librosa.feature.mfcc(**common, n_mfcc=features.num_mfcc, n_mels=features.num_mels)
    chroma = librosa.feature.chroma_stft(**common, n_chroma=features.num_chroma, tuning=0.0)
    return np.concatenate([mfcc, chroma]).T


def assert_librosas(samples: np.ndarray, features: Cepstra) -> None:
    cepstral = Cepstral(features)
    frames = cepstral(torch.from_numpy(samples))
    assert frames.dtype == torch.float32
    expected = librosa_cepstra(samples, features, cepstral.fft_length, cepstral.hop)
    assert frames.shape == expected.shape == (len(expected), features.width)
    np.testing.assert_allclose(frames, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("features", SETTINGS)
def test_cepstra_are_librosas(features):
    """On a sweep 80 dB above noise, and silence before it."""
    time = np.arange(2 * features.sample_rate_hz) / features.sample_rate_hz
    noise = 1e-4 * np.random.default_rng(0).standard_normal(len(time))
    sound = chirp(time, 50, 2, 0.45 * features.sample_rate_hz) + noise
    samples = np.concatenate([np.zeros(features.sample_rate_hz), sound])
    assert_librosas(samples.astype(np.float32), features)


@pytest.mark.corpus
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_cepstra_of_real_speech_are_librosas(data_root, rate):
    manifest = corpora.load("ravdess", data_root)
    for path in manifest.table["path"][::300]:
        assert_librosas(read(manifest.root / path, rate), Cepstra(sample_rate_hz=rate))


@pytest.mark.parametrize(
    ("rate", "length", "count"), [(16_000, 1365, 12), (48_000, 4096, 12), (8_000, 512, 24)]
)
def test_chroma_filters_are_librosas(rate, length, count):
    expected = librosa.filters.chroma(sr=rate, n_fft=length, n_chroma=count, tuning=0.0)
    np.testing.assert_allclose(chroma_filterbank(rate, length, count), expected, atol=1e-7)


def test_the_cosines_are_scipys_orthonormal_dct():
    from scipy.fft import dct

    np.testing.assert_allclose(cosines(34, 128), dct(np.eye(128), axis=0, norm="ortho")[:34], atol=1e-12)


@pytest.mark.parametrize(("rate", "window", "hop"), [(48_000, 4096, 2048), (16_000, 1365, 683)])
def test_window_and_hop_are_the_published_durations_in_whole_samples(rate, window, hop):
    cepstral = Cepstral(Cepstra(sample_rate_hz=rate))
    assert (cepstral.fft_length, cepstral.hop) == (window, hop)


def test_the_octave_of_a_tone_does_not_change_its_pitch_class():
    time = np.arange(16_000) / 16_000
    for octave in (220.0, 440.0, 880.0):
        tone = np.sin(2 * np.pi * octave * time).astype(np.float32)
        chroma = Cepstral(Cepstra())(torch.from_numpy(tone))[3:-3, 34:]
        assert (chroma.argmax(1) == 9).all()  # A, counted from C
        assert (chroma.amax(1) == 1).all()


@pytest.mark.parametrize("length", [1, 682, 683, 684, 16_000])
def test_a_frame_starts_every_hop_however_short_the_recording(length):
    frames = Cepstral(Cepstra())(torch.ones(length))
    assert frames.shape == (1 + (length - 1) // 683, 46)
    assert torch.isfinite(frames).all()


def test_silence_has_no_chroma_and_the_cepstrum_of_the_quietest_level():
    frames = Cepstral(Cepstra())(torch.zeros(4096))
    assert not frames[:, 34:].any()
    torch.testing.assert_close(frames[:, 0], torch.full_like(frames[:, 0], -100 * 128**0.5))
    assert frames[:, 1:34].abs().max() < 1e-4


def test_more_coefficients_than_bands_are_refused():
    with pytest.raises(SuiteError, match="34 MFCCs cannot be taken from 20 mel bands"):
        transform(Cepstra(num_mels=20))


def test_the_cache_holds_them(make_corpus, tmp_path):
    root = make_corpus("ravdess", ["03-01-05-02-01-01-12.wav"], seconds=0.5)
    manifest = corpora.load("ravdess", root)
    store = cache.prepare(manifest, Cepstra(), tmp_path / "cache")
    samples = read(root / "03-01-05-02-01-01-12.wav", 16_000)
    expected = Cepstral(Cepstra())(torch.from_numpy(samples)).numpy()
    np.testing.assert_array_equal(store["03-01-05-02-01-01-12"], expected)
