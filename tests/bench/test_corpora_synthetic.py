"""The synthetic corpus: one seed, one corpus; cues are what they claim; emotion is learnable, not solved."""

from __future__ import annotations

import errno
import filecmp
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from scipy.signal import butter, correlate, find_peaks, sosfiltfilt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench import corpora
from bench.corpora import synthetic
from bench.corpora.synthesis import SAMPLE_RATE_HZ, Delivery, speak
from bench.errors import SuiteError

SMALL = {"speakers": 3, "per_speaker": 5}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    options = {"speakers": 18, "per_speaker": 10, "seed": 3}
    return corpora.load("synthetic", None, options, tmp_path_factory.mktemp("cache"))


def test_one_seed_gives_the_same_bytes(tmp_path):
    one, other = (synthetic.load(tmp_path / name, **SMALL, seed=7) for name in ("one", "other"))
    assert one.table.equals(other.table)
    paths = one.table["path"].tolist()
    assert filecmp.cmpfiles(one.root, other.root, paths, shallow=False) == (paths, [], [])


def test_another_seed_gives_other_speech(tmp_path):
    one, other = (synthetic.load(tmp_path, **SMALL, seed=seed) for seed in (0, 1))
    assert one.root != other.root
    assert filecmp.cmpfiles(one.root, other.root, one.table["path"], shallow=False)[0] == []


def test_a_speaker_is_the_same_however_many_there_are(tmp_path):
    few, many = (synthetic.load(tmp_path, speakers=count, per_speaker=5) for count in (3, 4))
    path = few.table["path"].iloc[0]
    assert filecmp.cmp(few.root / path, many.root / path, shallow=False)


def test_recordings_are_16_khz_16_bit_mono_of_speech_length(corpus):
    for path in corpus.table["path"][:20]:
        info = soundfile.info(corpus.root / path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert 1.5 <= info.duration <= 5.0


def test_the_corpus_is_balanced_and_marked_synthetic(corpus):
    assert corpus.synthetic
    assert len(corpus) == 180
    assert set(corpus.table.groupby(["speaker", "emotion"]).size()) == {2}


def test_a_generated_corpus_is_made_once(tmp_path):
    first = synthetic.load(tmp_path, **SMALL)
    stamps = [(first.root / path).stat().st_mtime_ns for path in first.table["path"]]
    again = synthetic.load(tmp_path, **SMALL)
    assert stamps == [(again.root / path).stat().st_mtime_ns for path in again.table["path"]]


def test_a_corpus_with_a_file_missing_is_made_again(tmp_path):
    manifest = synthetic.load(tmp_path, **SMALL)
    (manifest.root / manifest.table["path"].iloc[0]).unlink()
    assert len(synthetic.load(tmp_path, **SMALL)) == 15


def test_a_full_disk_leaves_no_half_corpus(tmp_path, monkeypatch):
    written, real = [], Path.write_bytes

    def write_bytes(path, content):
        written.append(path)
        if len(written) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(SuiteError, match=r"cannot write .*speakers3.*No space left on device; free space"):
        synthetic.load(tmp_path, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_the_system_refuses_leaves_no_half_corpus(tmp_path, largest_file):
    with largest_file(20_000), pytest.raises(SuiteError, match=r"cannot write .*speakers3.*: File too large"):
        synthetic.load(tmp_path, **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"speakers": 2}, {"per_speaker": 4}, {"seed": -1}])
def test_options_that_give_no_corpus_are_refused(tmp_path, options):
    with pytest.raises(SuiteError, match="cannot be made; take at least 3 speakers, 5 utterances of each"):
        synthetic.load(tmp_path, **options)


def heard_pitch_hz(samples: np.ndarray) -> float:
    """Median over loud frames of the shortest period that the frame's autocorrelation nearly repeats with."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 1024)[::256]
    lags = np.arange(SAMPLE_RATE_HZ // 500, SAMPLE_RATE_HZ // 60)
    pitches = []
    for frame in frames[frames.std(axis=1) > 0.5 * frames.std(axis=1).max()]:
        likeness = correlate(frame, frame)[1023 + lags] * 1024 / (1024 - lags)
        peaks = find_peaks(likeness, height=0.85 * likeness.max())[0]
        pitches += [SAMPLE_RATE_HZ / lags[peaks[0]]] if len(peaks) else []
    return float(np.median(pitches))


@pytest.mark.parametrize("pitch_hz", [90.0, 150.0, 260.0])
def test_pitch_is_the_pitch_that_autocorrelation_hears(pitch_hz):
    delivery = Delivery(pitch_hz=pitch_hz, range_semitones=0.5, jitter=0.005, snr_db=40)
    heard = heard_pitch_hz(speak(delivery, 1.0, 4.0, np.random.default_rng(0)))
    assert abs(12 * np.log2(heard / pitch_hz)) < 0.7  # semitones


def test_level_and_noise_are_what_was_asked_for():
    rng = np.random.default_rng(1)
    loud = speak(Delivery(level_db=-20, snr_db=60), 1.0, 3.0, rng)
    assert 20 * np.log10(np.sqrt(np.mean(loud**2))) == pytest.approx(-20, abs=0.1)
    noisy = speak(Delivery(level_db=-20, snr_db=0), 1.0, 3.0, rng)
    assert 20 * np.log10(np.sqrt(np.mean(noisy**2))) == pytest.approx(-20 + 3.01, abs=0.3)


@pytest.mark.parametrize("rate_hz", [2.5, 4.0, 6.0])
def test_as_many_syllables_are_heard_as_asked_for(rate_hz):
    delivery = Delivery(rate_hz=rate_hz, snr_db=60)
    samples = speak(delivery, 1.0, 8.0, np.random.default_rng(2))
    voice = sosfiltfilt(butter(4, [100, 1500], "bandpass", fs=SAMPLE_RATE_HZ, output="sos"), samples)
    envelope = sosfiltfilt(butter(2, 12, fs=SAMPLE_RATE_HZ, output="sos"), np.abs(voice))
    peaks, _ = find_peaks(envelope, prominence=0.2 * envelope.max())
    assert len(peaks) / 8.0 == pytest.approx(rate_hz, rel=0.25)


def test_unseen_speakers_are_recognised_above_chance_and_below_certainty(corpus):
    def statistics(path: str) -> np.ndarray:
        samples, rate = soundfile.read(corpus.root / path)
        mel = librosa.feature.melspectrogram(y=samples, sr=rate, n_mels=40, hop_length=320)
        cepstra = librosa.feature.mfcc(S=np.log(mel + 1e-10), n_mfcc=20)
        return np.concatenate([cepstra.mean(1), cepstra.std(1), np.abs(np.diff(cepstra)).mean(1)])

    x = np.stack([statistics(path) for path in corpus.table["path"]])
    y = corpus.table["emotion"].to_numpy()
    predicted = np.empty_like(y)
    for fold in range(3):
        split = corpus.assign("speakers", fold).to_numpy()
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        model.fit(x[split != "test"], y[split != "test"])
        predicted[split == "test"] = model.predict(x[split == "test"])
    assert 0.4 < balanced_accuracy_score(y, predicted) < 0.9  # chance is 0.2
