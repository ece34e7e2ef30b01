"""What is said and heard in a synthetic MSP-Podcast: transcripts, and recordings that follow the attributes.

    write_transcripts(folder, table, rng)        # Transcripts/<utterance>.txt
    write_recordings(folder, table, seed)        # Audios/Audios/<recording>.wav

`table` is that of `bench.corpora.msp_made`. Pitch, its range, speaking rate and level rise with arousal,
brightness with dominance, and vowels glide upwards with valence, about as in the review of Schröder et
al. (2001, Eurospeech); each speaker has a voice of their own.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.corpora.msp_release import EMOTIONS, UNLABELLED
from bench.progress import track

if TYPE_CHECKING:
    from bench.corpora.synthesis import Delivery

WORDS = (
    "well",
    "I",
    "think",
    "that",
    "you",
    "know",
    "it",
    "was",
    "just",
    "so",
    "really",
    "what",
    "they",
    "said",
)


def write_transcripts(folder: Path, table: pd.DataFrame, rng: np.random.Generator) -> None:
    """A text of some words and the emotion's for every labelled turn; some are empty."""
    (folder / "Transcripts").mkdir()
    known = table[table["split"] != UNLABELLED]
    for number, (utterance, code) in enumerate(zip(known["utterance"], known["code"], strict=True)):
        words = [*rng.choice(WORDS, rng.integers(4, 12)), EMOTIONS.get(code, "hm")]
        text = "" if number % 150 == 7 else " ".join(rng.permutation(words))
        (folder / "Transcripts" / f"{utterance}.txt").write_text(text, encoding="utf-8")


def write_recordings(folder: Path, table: pd.DataFrame, seed: int) -> None:
    """WAV files in `Audios/Audios`: 16 kHz mono, but for every 40th at 44.1 kHz and every 50th in stereo."""
    import soundfile
    import soxr

    from bench.corpora.synthesis import SAMPLE_RATE_HZ

    audios = folder / "Audios" / "Audios"
    audios.mkdir(parents=True)
    spoken = track(_spoken(table, seed), "making a synthetic MSP-Podcast", len(table))
    for number, (name, samples) in enumerate(spoken):
        rate_hz = 44_100 if number % 40 == 3 else SAMPLE_RATE_HZ
        samples = samples if rate_hz == SAMPLE_RATE_HZ else soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz)
        samples = np.stack([samples, samples], axis=1) if number % 50 == 4 else samples
        encoded = io.BytesIO()  # written by us, since libsndfile does not say when a disk is full
        soundfile.write(encoded, samples, rate_hz, format="WAV", subtype="PCM_16")
        (audios / f"{name}.wav").write_bytes(encoded.getvalue())


def _spoken(table: pd.DataFrame, seed: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Name and samples of every recording; each has a random stream of its own, and so has each speaker."""
    from bench.corpora.synthesis import speak

    columns = [table[name] for name in ("recording", "speaker", "EmoAct", "EmoVal", "EmoDom")]
    for number, (name, speaker, a, v, d) in enumerate(zip(*columns, strict=True)):
        own, rng = np.random.default_rng([seed, 3, speaker]), np.random.default_rng([seed, 4, number])
        tract = (1.17 if speaker % 2 else 1.0) * own.uniform(0.93, 1.07)
        pitch_hz = (205 if speaker % 2 else 118) * 2 ** own.normal(0, 0.15)
        yield name, speak(_delivery(pitch_hz, a, v, d, rng), tract, rng.uniform(1.0, 2.5), rng)


def _delivery(
    pitch_hz: float, arousal: float, valence: float, dominance: float, rng: np.random.Generator
) -> Delivery:
    """How a turn is spoken, given where it lies from 1 to 7 in arousal, valence and dominance."""
    from bench.corpora.synthesis import Delivery

    a, v, d = arousal - 4, valence - 4, dominance - 4
    return Delivery(
        pitch_hz=pitch_hz * 2 ** ((1.8 * a + 0.4 * v - 1.0 * d + rng.normal(0, 0.7)) / 12),
        range_semitones=2 ** (1 + 0.4 * a + 0.2 * v),
        glide_semitones=1.8 * v - 0.8 * d + rng.normal(0, 0.5),
        rate_hz=4.5 * 2 ** (0.12 * a + rng.normal(0, 0.08)),
        jitter=0.01 * 2 ** (-0.5 * d + 0.2 * a),
        brightness_hz=1_500 * 2 ** (0.25 * a + 0.4 * d),
        level_db=min(-30 + 2.5 * a + 1.0 * d + rng.normal(0, 2), -12),
        snr_db=rng.uniform(8, 30),
    )
