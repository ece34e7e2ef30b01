"""Features at other speeds: those of a recording that is played so, and the equations in float64."""

import librosa
import numpy as np
import pytest
import scipy.fft
import soxr
import torch

from bench import corpora
from bench.config import Augmentation, Cell, Cepstra, Features, Recipe, Recurrent, System, Task
from bench.errors import SuiteError
from bench.features.audio import read
from bench.features.cepstra import Cepstral
from bench.features.normaliser import Normaliser
from bench.features.spectra import log_mel
from bench.training import listening, streams
from bench.training.augmentation import resampled
from bench.training.speed import Player
from bench.training.split import Batch

FEATURES = Cepstra()
OFF = Augmentation(time_masks=0, mel_masks=0, mel_shift_bins=0, time_stretch=0.0, gain_db=0.0)
SPEEDS = (0.86, 0.95, 1.15)


def played(frames: np.ndarray, speed: float) -> np.ndarray:
    """One utterance (T, 46) alone at one speed."""
    mask = torch.ones(1, len(frames), dtype=torch.bool)
    player = Player(FEATURES, 0.15)
    return player.played(torch.from_numpy(frames)[None], mask, torch.tensor([speed]))[0][0].numpy()


def gap(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Mean distance of MFCCs and of chroma over the frames that both have."""
    apart = np.abs(a[: len(b)] - b[: len(a)])
    return float(apart[:, :34].mean()), float(apart[:, 34:].mean())


def frames_of(samples: np.ndarray) -> np.ndarray:
    return Cepstral(FEATURES)(torch.from_numpy(samples.astype(np.float32))).numpy()


def assert_near_the_recording_played(samples: np.ndarray) -> None:
    """Closer than the nearest that leaves pitch and formants where they are: the same frames, stretched."""
    frames = frames_of(samples)
    for speed in SPEEDS:
        truth = frames_of(soxr.resample(samples, 16_000 * speed, 16_000))
        steps = np.minimum(np.arange(len(truth)) * speed, len(frames) - 1)
        stretched = np.stack([np.interp(steps, np.arange(len(frames)), row) for row in frames.T], axis=1)
        found, without = gap(played(frames, speed), truth), gap(stretched, truth)
        assert found[0] < 0.8 * without[0]
        assert found[1] < 0.7 * without[1]


def test_a_made_voice_is_heard_as_if_it_were_played_at_that_speed():
    """40 harmonics of a gliding pitch under two formants, and noise 60 dB down."""
    time = np.arange(32_000) / 16_000
    pitch_hz = 140 + 30 * np.sin(2 * np.pi * 1.5 * time)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / 16_000
    sound = 1e-4 * np.random.default_rng(0).standard_normal(len(time))
    for harmonic in range(1, 41):
        hz = harmonic * pitch_hz
        envelope = np.exp(-(((hz - 600) / 250) ** 2)) + 0.3 * np.exp(-(((hz - 1900) / 400) ** 2)) + 3e-3
        sound += 0.05 * envelope * np.sin(harmonic * phase)
    assert_near_the_recording_played(sound.astype(np.float32))


def test_real_recordings_are_heard_as_if_they_were_played_at_that_speed(data_root):
    table = corpora.load("ravdess", data_root).table
    for path in table["path"].iloc[[5, 700, 1400]]:
        assert_near_the_recording_played(read(data_root / "ravdess" / path, 16_000))


@pytest.mark.parametrize("speed", SPEEDS)
def test_mfccs_are_those_of_the_log_mel_taken_from_where_it_was(speed):
    """In float64, by scipy's DCT and librosa's mel bands; frames are alike, so that time is no matter."""
    rng = np.random.default_rng(0)
    row = np.concatenate([rng.normal(size=34) * np.linspace(100, 5, 34), rng.random(12)])
    bands_hz = librosa.mel_frequencies(130, fmin=0, fmax=8_000)[1:-1]
    heard = scipy.fft.idct(np.pad(row[:34], (0, 94)), norm="ortho")
    expected = scipy.fft.dct(np.interp(bands_hz / speed, bands_hz, heard), norm="ortho")[:34]
    found = played(np.tile(row, (9, 1)).astype(np.float32), speed)
    np.testing.assert_allclose(found[:, :34], np.tile(expected, (len(found), 1)), atol=2e-3)


def test_a_semitone_up_turns_chroma_by_one_class():
    rows = np.random.default_rng(0).random((1, 46)).astype(np.float32)
    found = played(np.tile(rows, (9, 1)), 2 ** (1 / 12))
    np.testing.assert_allclose(found[0, 34:], np.roll(rows[0, 34:], 1), atol=1e-5)


def test_at_its_own_speed_an_utterance_stays_as_it_is():
    frames = np.random.default_rng(0).normal(size=(20, 46)).astype(np.float32)
    np.testing.assert_allclose(played(frames, 1.0), frames, atol=1e-5)


def test_an_utterance_is_played_the_same_alone_and_in_a_batch():
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.normal(size=(2, 30, 46)).astype(np.float32))
    mask = torch.arange(30) < torch.tensor([30, 17])[:, None]
    together, real = Player(FEATURES, 0.15).played(frames, mask, torch.tensor([0.9, 1.1]))
    alone = played(frames[1, :17].numpy(), 1.1)
    assert real.sum(1).tolist() == [33, 15]
    np.testing.assert_allclose(together[1, : len(alone)], alone, atol=1e-5)


def cell(features, **augmentation) -> Cell:
    recipe = Recipe(augmentation=OFF.model_copy(update=augmentation))
    return Cell(
        task=Task(corpus="toy", protocol="toy"),
        seed=0,
        system=System(layout="lstm_sa", direction="causal"),
        features=features,
        encoder=Recurrent(),
        recipe=recipe,
    )


def test_training_hears_random_speeds_and_scoring_none():
    frames = torch.randn(3, 40, 46)
    mask = torch.ones(3, 40, dtype=torch.bool)
    batch = Batch(frames, mask, torch.zeros(3).long(), torch.zeros(3, 3), torch.arange(3))
    plain = Normaliser(np.zeros(46, np.float32), np.ones(46, np.float32))
    heard = listening.build(cell(FEATURES, speed=0.15), plain)
    assert torch.equal(heard(batch).frames, frames)
    rng = streams.torch_generator("test", 1)
    lengths = heard(batch, rng).mask.sum(1)
    speeds = ((torch.rand(3, generator=streams.torch_generator("test", 1)) * 2 - 1) * 0.15).exp()
    assert lengths.tolist() == (40 / speeds).long().tolist()


@pytest.mark.parametrize(
    ("features", "setting", "message"),
    [
        (FEATURES, {"gain_db": 2.0}, "these features are cepstra; .*--recipe.augmentation.gain-db 0$"),
        (FEATURES, {"mel_shift_bins": 3}, "these features are cepstra; .*mel-shift-bins 0$"),
    ],
)
def test_augmentation_made_for_other_features_is_refused(features, setting, message):
    with pytest.raises(SuiteError, match=message):
        listening.check_augmentation(features, cell(features, **setting).recipe)


def test_log_mels_are_heard_as_if_the_recording_were_played_at_that_speed(data_root):
    """Closer than the nearest that leaves pitch and formants where they are: the same frames, stretched."""
    table = corpora.load("ravdess", data_root).table
    for path, speed in zip(table["path"].iloc[[5, 700, 1400]], SPEEDS, strict=True):
        samples = read(data_root / "ravdess" / path, 16_000)
        frames, truth = (
            log_mel(Features(), each) for each in (samples, soxr.resample(samples, 16_000 * speed, 16_000))
        )
        mask, still = torch.ones(1, len(frames), dtype=torch.bool), torch.tensor([speed])
        heard = torch.from_numpy(frames)[None]
        found = Player(Features(), 0.15).played(heard, mask, still)[0][0].numpy()
        stretched = resampled(heard, mask, still)[0][0].numpy()
        apart = [np.abs(each[: len(truth)] - truth[: len(each)]).mean() for each in (found, stretched)]
        assert apart[0] < 0.8 * apart[1]


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_band_of_a_log_mel_is_taken_from_where_it_was(speed):
    """By librosa's mel bands; frames are alike, so that time is no matter."""
    row = np.random.default_rng(0).normal(size=64).astype(np.float32)
    bands_hz = librosa.mel_frequencies(66, fmin=20, fmax=8_000)[1:-1]
    frames = torch.from_numpy(np.tile(row, (9, 1)))[None]
    mask = torch.ones(1, 9, dtype=torch.bool)
    found = Player(Features(), 0.15).played(frames, mask, torch.tensor([speed]))[0][0]
    np.testing.assert_allclose(found[0], np.interp(bands_hz / speed, bands_hz, row), atol=1e-4)


def test_masks_and_stretching_act_on_cepstra_too():
    fitting = {"speed": 0.1, "time_masks": 2, "time_stretch": 0.1}
    listening.check_augmentation(FEATURES, cell(FEATURES, **fitting).recipe)
