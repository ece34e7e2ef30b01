"""RAVDESS: 24 actors say two sentences in eight emotions (Livingstone & Russo 2018, PLoS ONE 13(5)).

    manifest = corpora.load("ravdess", data_root)       # 1,440 utterances where complete

Speech, audio only. A file's name holds seven codes, modality-channel-emotion-intensity-statement-
repetition-actor: `03-01-05-02-01-01-12` is actor 12 saying the first sentence angrily. Any folder
layout, .wav or .flac. Song and video recordings of the same corpus may lie beside and are left out.

Protocols, both speaker-independent, every actor tested once:

- `luna`: the five folds of Luna-Jiménez et al. 2021 with the validation actors of ResLSTM-SA
  (arXiv 2606.03359).
- `emobox`: the six folds of EmoBox (Ma et al. 2024), which has no development set; ours is the test
  actors of the next fold, the last fold taking the first's.
"""

from __future__ import annotations

from pathlib import Path

from bench.corpora import scan
from bench.corpora.fetch import Archive
from bench.corpora.manifest import Fold, Manifest, rotation

NAME = "ravdess"
TITLE = "RAVDESS"
LICENCE = "CC BY-NC-SA 4.0, https://zenodo.org/records/1188976"
SOURCE = Archive(
    url="https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1",
    checksum="md5:bc696df654c87fed845eb13823edef8a",
)
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")

ACTORS = tuple(f"{number:02d}" for number in range(1, 25))
SENTENCES = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
MODALITIES = {"01": "full AV", "02": "video only", "03": "audio only"}
CHANNELS = {"01": "speech", "02": "song"}
EMOTION_CODES = {f"{number:02d}": emotion for number, emotion in enumerate(EMOTIONS, start=1)}
LEVELS = {"01": "first", "02": "second"}  # of intensity (normal, strong) and of repetition


def _actors(numbers: str) -> tuple[str, ...]:
    return tuple(f"{int(number):02d}" for number in numbers.split())


LUNA_TEST = ("2 5 14 15 16", "3 6 7 13 18", "10 11 12 19 20", "8 17 21 23 24", "1 4 9 22")
LUNA_DEV = ("3 6", "10 11", "8 17", "1 14", "2 5")
EMOBOX_TEST = ("1 11 20 21", "4 10 12 14", "8 9 19 23", "3 5 7 24", "2 15 16 18", "6 13 17 22")

PROTOCOLS = {
    "luna": tuple(Fold(_actors(dev), _actors(test)) for dev, test in zip(LUNA_DEV, LUNA_TEST, strict=True)),
    "emobox": rotation([_actors(test) for test in EMOBOX_TEST]),
}


def load(root: Path) -> Manifest:
    """Manifest of the RAVDESS speech recordings under `root`; some of the actors will do."""
    paths = scan.recordings(root, NAME)
    table, problems = scan.read_names(paths, _parse)
    scan.require(table, paths, root, NAME, "03-01-05-02-01-01-12.wav")
    return Manifest(NAME, TITLE, root, EMOTIONS, table, PROTOCOLS, problems=problems)


def _parse(stem: str) -> scan.Row | None:
    """The row that a name such as `03-01-05-02-01-01-12` stands for; None for song and video."""
    codes = stem.split("-")
    if len(codes) != 7 or not all(len(code) == 2 and code.isdigit() for code in codes):
        raise ValueError("name is not seven two-digit codes such as 03-01-05-02-01-01-12")
    modality, channel, emotion, intensity, sentence, repetition, actor = codes
    scan.code(intensity, LEVELS, "intensity")
    scan.code(repetition, LEVELS, "repetition")
    row = {
        "speaker": scan.code(actor, {actor: actor for actor in ACTORS}, "actor"),
        "gender": "male" if int(actor) % 2 else "female",
        "emotion": scan.code(emotion, EMOTION_CODES, "emotion"),
        "transcript": scan.code(sentence, SENTENCES, "statement"),
    }
    spoken = scan.code(modality, MODALITIES, "modality") == "audio only"
    spoken &= scan.code(channel, CHANNELS, "channel") == "speech"
    return row if spoken else None
