"""One recording on disk to mono samples, or the plain reason why it cannot be used.

    read(Path("a.wav"), 16_000)          # float32 (N,)
    decode(Path("a.wav"))                # Recording: samples (N, C) as stored, rate_hz
    length(Path("a.wav"))                # (frames as stored, rate in Hz): the header alone

libsndfile reads a WAV file that has been cut short without complaint, so the length in the RIFF
header is compared here; a cut FLAC file fails while decoding. (A cut Ogg file is a shorter Ogg file.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

PLAIN_FORMATS = (0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE)  # PCM, float, A-law, µ-law, extensible
STREAMED_BYTES = 0x7FFFF000  # writers that cannot seek back put such a length, or more, in the header
BLOCK_FRAMES = 2**20  # at most so many are asked for at once, whatever the header promises
FINE_FRAMES = 256  # the step in which a broken file is counted
RATES_HZ = (1_000, 1_000_000)  # all else is a broken header; 1 Hz would grow 16,000 times
MAX_SAMPLES = 2**29  # of all channels: 2 GiB decoded, three hours at 48 kHz
UNKNOWN_FRAMES = 2**62  # libsndfile's length, or more, of a FLAC stream that does not say its own


class AudioError(ValueError):
    """A recording cannot be used; the message is the reason, without the path."""


@dataclass(frozen=True)
class Recording:
    """Samples as stored: (N, C) float32, full scale ±1, at `rate_hz`."""

    samples: NDArray[np.float32]
    rate_hz: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz


def read(path: Path, sample_rate_hz: int) -> NDArray[np.float32]:
    """Mono samples (N,), float32, at `sample_rate_hz`: channels averaged, then resampled (soxr HQ).

    AudioError with the reason where the file is missing, empty, not audio, cut short, without
    samples, of a rate outside `RATES_HZ`, of more than `MAX_SAMPLES`, or holds NaN or infinite samples.
    Silence is fine.
    """
    recording = decode(path)
    mono = recording.samples.mean(axis=1) if recording.samples.shape[1] > 1 else recording.samples[:, 0]
    if recording.rate_hz != sample_rate_hz:
        mono = _resample(mono, recording.rate_hz, sample_rate_hz)
    return mono


def decode(path: Path) -> Recording:
    """The samples of `path` as stored, checked; AudioError as in `read`."""
    _check_file(path)
    try:
        samples, rate_hz = _samples(path)
    except soundfile.LibsndfileError as error:
        raise _not_audio(error) from error
    if not len(samples):
        raise AudioError("no samples")
    bad = samples.size - int(np.isfinite(samples).sum())
    if bad:
        raise AudioError(f"{bad} NaN or infinite samples")
    return Recording(samples, rate_hz)


def length(path: Path) -> tuple[int, int]:
    """Frames and their rate in Hz, as the header has them; AudioError where that refuses the file.

    A WAV file cut short is noticed; a cut FLAC file, or one with NaN samples, only by `decode`.
    """
    _check_file(path)
    try:
        with soundfile.SoundFile(path) as file:
            promised, held, rate_hz = _promised_frames(path, file), file.frames, _rate_hz(file)
            _require_room(held, file)
    except soundfile.LibsndfileError as error:
        raise _not_audio(error) from error
    if held < promised:
        raise AudioError(_cut_short(promised, held))
    if not held:
        raise AudioError("no samples")
    return held, rate_hz


def stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change in ns; (−1, −1) for a file that is not there."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _not_audio(error: soundfile.LibsndfileError) -> AudioError:
    return AudioError(f"not audio (libsndfile: {error.error_string.rstrip('.')})")


def _check_file(path: Path) -> None:
    if not _is_text(path):
        raise AudioError("its path is not UTF-8 text; rename it")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise AudioError("missing") from None
    except OSError as error:
        raise AudioError(f"cannot be opened ({(error.strerror or str(error)).lower()})") from error
    if empty:
        raise AudioError("empty file")


def _is_text(path: Path) -> bool:
    """Whether libsndfile can be given the path, and a record or table can name it."""
    try:
        return b"\0" not in str(path).encode()
    except UnicodeEncodeError:  # bytes of another encoding, which Python keeps as lone surrogates
        return False


def _samples(path: Path) -> tuple[NDArray[np.float32], int]:
    """All samples (N, C) and their rate in Hz; AudioError where there are fewer than the header promises."""
    with soundfile.SoundFile(path) as file:
        promised, rate_hz = _promised_frames(path, file), _rate_hz(file)
        try:
            samples = np.concatenate(list(_bounded(file)))
        except soundfile.LibsndfileError as error:
            raise AudioError(_cut_short(promised, _decodable_frames(path))) from error
        if len(samples) < promised:
            raise AudioError(_cut_short(promised, len(samples)))
        return samples, rate_hz


def _rate_hz(file: soundfile.SoundFile) -> int:
    rate_hz, (lowest, highest) = int(file.samplerate), RATES_HZ
    if not lowest <= rate_hz <= highest:
        raise AudioError(f"sampling rate {rate_hz:,} Hz is not from {lowest:,} to {highest:,} Hz")
    return rate_hz


def _bounded(file: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    """The blocks of a file; AudioError as soon as they are too many, whatever the header promises."""
    frames = 0
    for block in _blocks(file, max(1, BLOCK_FRAMES // file.channels)):
        frames += len(block)
        _require_room(frames, file)
        yield block


def _require_room(frames: int, file: soundfile.SoundFile) -> None:
    if frames * file.channels > MAX_SAMPLES:
        raise AudioError(f"over {MAX_SAMPLES // file.channels:,} frames of {file.channels} channels; cut it")


def _blocks(file: soundfile.SoundFile, frames: int) -> Iterator[NDArray[np.float32]]:
    """Blocks (≤ frames, C) to the end of the file; the last is short, and empty where it falls so."""
    while True:
        block = file.read(frames, dtype="float32", always_2d=True)
        yield block
        if len(block) < frames:
            return


def _decodable_frames(path: Path) -> int:
    held = 0
    with soundfile.SoundFile(path) as file, suppress(soundfile.LibsndfileError):
        for block in _blocks(file, FINE_FRAMES):
            held += len(block)
    return held


def _promised_frames(path: Path, file: soundfile.SoundFile) -> int:
    """Length that the header states, for a streamed WAV file the length that there is."""
    if file.frames >= UNKNOWN_FRAMES:
        raise AudioError("header states no length; encode the file anew")
    return max(file.frames, _riff_frames(path)) if file.format in ("WAV", "WAVEX") else int(file.frames)


def _cut_short(promised: int, held: int) -> str:
    return f"header says {promised} frames, file holds {held}"


def _riff_frames(path: Path) -> int:
    """Frames that a RIFF/WAVE header states; 0 where it states none (streamed, compressed)."""
    block_bytes = 0
    with path.open("rb") as file:
        if file.read(12)[:4] != b"RIFF":
            return 0
        while len(header := file.read(8)) == 8:
            name, size = header[:4], int.from_bytes(header[4:], "little")
            if name == b"data":
                return size // block_bytes if block_bytes and size < STREAMED_BYTES else 0
            content = file.read(size + size % 2)
            if name == b"fmt " and len(content) >= 16:
                format_tag, _, _, _, align = struct.unpack("<HHIIH", content[:14])
                block_bytes = align if format_tag in PLAIN_FORMATS else 0
    return 0


def _resample(mono: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    import soxr  # only for the recordings that need it

    resampled: NDArray[np.float32] = soxr.resample(mono, from_hz, to_hz, quality="HQ")
    if not len(resampled):
        raise AudioError(f"no samples at {to_hz} Hz")
    return resampled
