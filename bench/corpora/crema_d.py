"""CREMA-D: 91 actors say twelve sentences in six emotions (Cao et al. 2014, IEEE TAC 5(4)).

    manifest = corpora.load("crema_d", data_root)       # 7,442 utterances where complete

A file's name is actor, sentence, emotion and level: `1001_DFA_ANG_XX.wav` is actor 1001 saying "Don't
forget a jacket" angrily, at no particular level. The label is the emotion that the actor was asked for,
not the crowd's vote. Recordings lie in `AudioWAV/` or anywhere under the folder, .wav or .flac. One
recording of the release (1076_MTI_SAD_XX) is silence; it is kept.

Protocol `actors`, ours, as the published folds share speakers between training and test: the women in
order of number, then the men, are dealt in turn to five groups of 18 or 19 actors, 8 or 9 of them women.
Fold i tests group i, and the next group (after the last comes the first) is the development set.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.corpora import scan
from bench.corpora.fetch import LfsRepository
from bench.corpora.manifest import Manifest, rotation

NAME = "crema_d"
TITLE = "CREMA-D"
LICENCE = "ODbL 1.0, https://github.com/CheyneyComputerScience/CREMA-D"
SOURCE = LfsRepository(
    snapshot="https://github.com/CheyneyComputerScience/CREMA-D/archive/refs/heads/master.zip",
    contents="https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master/",
    recordings="AudioWAV",
    files=("LICENSE.txt", "README.md", "VideoDemographics.csv"),
)
EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgust")

CODES = dict(zip(("NEU", "HAP", "SAD", "ANG", "FEA", "DIS"), EMOTIONS, strict=True))
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}  # one file: X
SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
# Sex of the actors, from the corpus's VideoDemographics.csv, which copies of the recordings often lack.
WOMEN = (
    "1002 1003 1004 1006 1007 1008 1009 1010 1012 1013 1018 1020 1021 1024 1025 1028 1029 1030 1037 1043 "
    "1046 1047 1049 1052 1053 1054 1055 1056 1058 1060 1061 1063 1072 1073 1074 1075 1076 1078 1079 1082 "
    "1084 1089 1091"
)
ACTORS = dict.fromkeys(map(str, range(1001, 1092)), "male") | dict.fromkeys(WOMEN.split(), "female")
FORM = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})")
NUM_FOLDS = 5


def _groups() -> tuple[tuple[str, ...], ...]:
    women_first = sorted(ACTORS, key=lambda actor: (ACTORS[actor], actor))
    return tuple(tuple(women_first[start::NUM_FOLDS]) for start in range(NUM_FOLDS))


PROTOCOLS = {"actors": rotation(_groups())}


def load(root: Path) -> Manifest:
    """Manifest of the CREMA-D recordings under `root`; some of the actors will do."""
    folder = root / "AudioWAV" if (root / "AudioWAV").is_dir() else root  # a clone has AudioMP3 beside it
    paths = scan.recordings(folder, NAME)
    table, problems = scan.read_names(paths, _parse)
    scan.require(table, paths, folder, NAME, "1001_DFA_ANG_XX.wav")
    return Manifest(NAME, TITLE, folder, EMOTIONS, table, PROTOCOLS, problems=problems)


def _parse(stem: str) -> scan.Row:
    """The row that a name such as `1001_DFA_ANG_XX` stands for."""
    form = FORM.fullmatch(stem)
    if not form:
        raise ValueError("name is not actor, sentence, emotion and level such as 1001_DFA_ANG_XX")
    actor, sentence, emotion, level = form.groups()
    scan.code(level, LEVELS, "level")
    return {
        "speaker": actor,
        "gender": scan.code(actor, ACTORS, "actor"),
        "emotion": scan.code(emotion, CODES, "emotion"),
        "transcript": scan.code(sentence, SENTENCES, "sentence"),
    }
