"""EMO-DB, the Berlin database: ten speakers say ten German sentences (Burkhardt et al. 2005, Interspeech).

    manifest = corpora.load("emodb", data_root)         # 535 utterances where complete

A file's name is speaker, sentence, emotion and version: `03a01Wa.wav` is speaker 03 saying sentence
a01 angrily (Wut), first version. Recordings lie in `wav/` or straight in the folder, .wav or .flac.
`Manifest.emotions` holds the emotions that are present: a copy with four of the seven is a four-class task.

Protocol `loso`: leave one speaker out, ten folds; the next speaker (after 16 comes 03) is the
development set.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.corpora import scan
from bench.corpora.fetch import Archive
from bench.corpora.manifest import Manifest, rotation

NAME = "emodb"
TITLE = "EMO-DB"
LICENCE = "free for research, http://emodb.bilderbar.info"
SOURCE = Archive(  # version 1.3.0 by the corpus's first author; the older address gives no checksum
    url="https://zenodo.org/records/7447302/files/emodb.zip?download=1",
    checksum="md5:9d21362dbc5676ef3ab4745d83ced0db",
)
EMOTIONS = ("anger", "boredom", "disgust", "fear", "happiness", "sadness", "neutral")

LETTERS = dict(zip("WLEAFTN", EMOTIONS, strict=True))  # Wut, Langeweile, Ekel, Angst, Freude, Trauer
GENDERS = {
    "03": "male",
    "08": "female",
    "09": "female",
    "10": "male",
    "11": "male",
    "12": "male",
    "13": "female",
    "14": "female",
    "15": "male",
    "16": "female",
}
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
FORM = re.compile(r"(\d\d)([ab]\d\d)([A-Z])([a-z])")

PROTOCOLS = {"loso": rotation([(speaker,) for speaker in GENDERS])}


def load(root: Path) -> Manifest:
    """Manifest of the EMO-DB recordings under `root`, classes as far as present."""
    paths = scan.recordings(root, NAME)
    table, problems = scan.read_names(paths, _parse)
    scan.require(table, paths, root, NAME, "03a01Wa.wav")
    present = set(table["emotion"])
    emotions = tuple(emotion for emotion in EMOTIONS if emotion in present)
    return Manifest(NAME, TITLE, root, emotions, table, PROTOCOLS, problems=problems)


def _parse(stem: str) -> scan.Row:
    """The row that a name such as `03a01Wa` stands for."""
    form = FORM.fullmatch(stem)
    if not form:
        raise ValueError("name is not speaker, sentence, emotion letter and version such as 03a01Wa")
    speaker, sentence, letter, _ = form.groups()
    return {
        "speaker": speaker,
        "gender": scan.code(speaker, GENDERS, "speaker"),
        "emotion": scan.code(letter, LETTERS, "emotion"),
        "transcript": scan.code(sentence, SENTENCES, "sentence"),
    }
