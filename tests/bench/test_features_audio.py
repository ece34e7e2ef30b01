"""Reading a recording: any rate and channels to mono, or the reason why not."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from bench.features.audio import AudioError, decode, read

RATE_HZ = 16_000
NOISE = (0.1 * np.random.default_rng(0).standard_normal(48_000)).astype(np.float32)
ONCE_A_FILE = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def tones(rate_hz: int, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(int(rate_hz * seconds)) / rate_hz
    return sum(0.1 * np.sin(2 * np.pi * hz * time + hz) for hz in (220.0, 1000.0, 5000.0))


@pytest.mark.parametrize(
    ("suffix", "subtype", "step"),
    [("wav", "PCM_16", 2**-15), ("wav", "FLOAT", 0), ("flac", "PCM_24", 2**-23)],
)
def test_samples_come_back_as_written(tmp_path, suffix, subtype, step):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, NOISE, RATE_HZ, subtype=subtype)
    samples = read(path, RATE_HZ)
    assert samples.dtype == np.float32
    assert samples.shape == NOISE.shape
    assert np.abs(samples - NOISE).max() <= step


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([NOISE, -NOISE / 2], axis=1), RATE_HZ, subtype="FLOAT")
    np.testing.assert_allclose(read(tmp_path / "a.wav", RATE_HZ), NOISE / 4, atol=1e-7)


@pytest.mark.parametrize("rate_hz", [48_000, 44_100, 8_000])
def test_another_rate_gives_the_signal_that_16_khz_would_have(tmp_path, rate_hz):
    stereo = np.stack([tones(rate_hz), tones(rate_hz)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, rate_hz, subtype="FLOAT")
    samples, expected = read(tmp_path / "a.wav", RATE_HZ), tones(RATE_HZ)
    if rate_hz < RATE_HZ:  # 5 kHz cannot be in the file
        expected = resample_poly(tones(rate_hz), RATE_HZ, rate_hz)
    inner = slice(800, -800)  # a filter sees zeros beyond the ends
    assert len(samples) == RATE_HZ
    assert np.abs(samples[inner] - expected[inner]).max() < 2e-3


def test_resampling_leaves_no_alias_of_what_16_khz_cannot_hold(tmp_path):
    time = np.arange(48_000) / 48_000
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 11_000 * time), 48_000, subtype="FLOAT")
    assert np.abs(read(tmp_path / "a.wav", RATE_HZ)[800:-800]).max() < 1e-4


def test_silence_is_fine(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.zeros(100), RATE_HZ)
    assert not read(tmp_path / "a.flac", RATE_HZ).any()


def reason(path) -> str:
    with pytest.raises(AudioError) as caught:
        read(path, RATE_HZ)
    return str(caught.value)


def test_a_missing_file_is_missing(tmp_path):
    assert reason(tmp_path / "no.wav") == "missing"


def test_a_folder_cannot_be_opened(tmp_path):
    assert reason(tmp_path) == "cannot be opened (is a directory)"


def test_an_empty_file_is_empty(tmp_path):
    (tmp_path / "a.wav").touch()
    assert reason(tmp_path / "a.wav") == "empty file"


def test_text_is_not_audio(tmp_path):
    (tmp_path / "a.wav").write_text("hello " * 100)
    assert reason(tmp_path / "a.wav").startswith("not audio (")


def test_a_header_without_samples_has_no_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", NOISE[:0], RATE_HZ)
    assert reason(tmp_path / "a.wav") == "no samples"


def test_a_recording_too_short_to_resample_has_no_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", NOISE[:1], 48_000)
    assert reason(tmp_path / "a.wav") == "no samples at 16000 Hz"


def test_nan_and_infinity_are_counted(tmp_path):
    broken = NOISE.copy()
    broken[[5, 7, 9]] = np.nan, np.inf, -np.inf
    soundfile.write(tmp_path / "a.wav", broken, RATE_HZ, subtype="FLOAT")
    assert reason(tmp_path / "a.wav") == "3 NaN or infinite samples"


def test_a_cut_wav_file_says_how_much_is_there(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, NOISE, RATE_HZ, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: 44 + 2 * 31_200])
    assert reason(path) == "header says 48000 frames, file holds 31200"


def test_a_cut_flac_file_says_how_much_is_there(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, NOISE, RATE_HZ)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    said = reason(path)
    assert said.startswith("header says 48000 frames, file holds ")
    assert 0.3 < int(said.split()[-1]) / 48_000 <= 0.5


def test_a_flac_file_damaged_in_the_middle_is_found(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, NOISE, RATE_HZ)
    content = bytearray(path.read_bytes())
    content[20_000:20_200] = bytes(200)
    path.write_bytes(content)
    assert reason(path).startswith("header says 48000 frames, file holds ")


def test_a_flac_stream_without_its_length_is_refused(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, NOISE, RATE_HZ)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # STREAMINFO: the 36 bits of the total number of samples
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert reason(path) == "header states no length; encode the file anew"


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_file_written_to_a_pipe_is_whole(tmp_path, size):
    path = tmp_path / "a.wav"
    soundfile.write(path, NOISE, RATE_HZ)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    assert len(read(path, RATE_HZ)) == 48_000


def test_chunks_before_and_after_the_samples_do_not_confuse_the_length(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, NOISE, RATE_HZ)
    content = path.read_bytes()
    at = content.index(b"data")
    extra = b"LIST" + struct.pack("<I", 5) + b"data\x00\x00"  # odd length: one byte of padding
    path.write_bytes(content[:at] + extra + content[at:] + extra)
    assert len(read(path, RATE_HZ)) == 48_000


@ONCE_A_FILE
@given(kept=st.floats(0, 1, exclude_max=True), kind=st.sampled_from(["wav", "flac"]))
def test_no_cut_goes_unnoticed(tmp_path, kept, kind):
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, NOISE[:8000], RATE_HZ)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(AudioError):
        read(path, RATE_HZ)


def test_decode_keeps_rate_and_channels(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([NOISE] * 3, axis=1), 48_000)
    recording = decode(tmp_path / "a.wav")
    assert recording.samples.shape == (48_000, 3)
    assert (recording.rate_hz, recording.duration_s) == (48_000, 1.0)
