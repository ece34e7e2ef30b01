"""IEMOCAP: ten actors in five two-person sessions, scripted and improvised (Busso et al. 2008, LREV 42).

    manifest = corpora.load("iemocap", data_root)       # 5,531 utterances where complete

Read from the release as delivered: labels in `Session*/dialog/EmoEvaluation/*.txt`, transcripts in
`Session*/dialog/transcriptions/*.txt`, recordings of single turns in `Session*/sentences/wav/`. The usual
four classes: angry, happy (with excited), neutral, sad. Turns with another label, or on whose label the
raters did not agree, are left out and counted in the manifest's notes. Valence, arousal (called activation
in the files) and dominance are the raters' means, 1 to 5.

Protocol `sessions`: leave one session out, five folds; the next session (after 5 comes 1) is the
development set. Two actors a session, none in two sessions, so no speaker stands in two splits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bench.corpora import scan
from bench.corpora.manifest import Manifest, rotation
from bench.errors import Problem, SuiteError

NAME = "iemocap"
TITLE = "IEMOCAP"
LICENCE = "by agreement with the University of Southern California, https://sail.usc.edu/iemocap"
EMOTIONS = ("angry", "happy", "neutral", "sad")

CLASSES = {"ang": "angry", "hap": "happy", "exc": "happy", "neu": "neutral", "sad": "sad"}
LEFT_OUT = {
    "fru": "frustrated",
    "sur": "surprised",
    "fea": "fearful",
    "dis": "disgusted",
    "oth": "other",
    "xxx": "no agreement",
}
GENDERS = {"F": "female", "M": "male"}
SESSIONS = ("Ses01", "Ses02", "Ses03", "Ses04", "Ses05")

NUMBER = r"(\d+(?:\.\d+)?)"
LABEL = re.compile(rf"\[{NUMBER} - {NUMBER}\]\s+(\S+)\s+(\w+)\s+\[{NUMBER}, {NUMBER}, {NUMBER}\]\s*")
TURN = re.compile(r"(Ses0[1-5])[FM]_\w+_([FM])\d{3}")
TRANSCRIPT = re.compile(r"(Ses\S+) \[[\d.]+-[\d.]+\]: (.*)")


def _actors(session: str) -> tuple[str, ...]:
    return tuple(session + letter for letter in GENDERS)


PROTOCOLS = {"sessions": rotation([_actors(session) for session in SESSIONS])}


@dataclass
class _Reading:
    """What has been read so far."""

    rows: list[scan.Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def load(root: Path) -> Manifest:
    """Manifest of the IEMOCAP release under `root`; some of the sessions will do.

    A label without a recording, a recording without a label and a line that is no label are problems.
    SuiteError where there is no session.
    """
    reading = _Reading()
    for session in _sessions(root):
        _read_session(session, root, reading)
    table = scan.tabulate(reading.rows)
    notes = (("left out", _counts(reading.left_out)),) if reading.left_out else ()
    problems = tuple(reading.problems)
    return Manifest(NAME, TITLE, root, EMOTIONS, table, PROTOCOLS, problems=problems, notes=notes)


def _sessions(root: Path) -> list[Path]:
    """The session folders in `root` or one folder below, as in `IEMOCAP_full_release/Session1`."""
    for pattern in ("Session[1-5]", "*/Session[1-5]"):
        found = sorted(path for path in root.glob(pattern) if (path / "dialog" / "EmoEvaluation").is_dir())
        if found:
            return found
    raise SuiteError(
        f"{NAME}: {root} is not {NAME}: expected folders Session1 to Session5, each with dialog/EmoEvaluation"
    )


def _read_session(session: Path, root: Path, reading: _Reading) -> None:
    folder = session / "sentences" / "wav"
    recordings = {path.stem: folder.relative_to(root) / path for path in scan.recordings(folder, NAME)}
    transcripts = dict(_transcripts(session / "dialog" / "transcriptions"))
    labelled = set()
    for file in _texts(session / "dialog" / "EmoEvaluation"):
        for number, line in enumerate(_lines(file), start=1):
            if not line.startswith("["):
                continue  # the heading, or what one rater said
            try:
                turn, code, row = _parse(line)
            except ValueError as error:
                reading.problems.append(Problem(file.relative_to(root), f"line {number}: {error}"))
                continue
            labelled.add(turn)
            if code in LEFT_OUT:
                reading.left_out[LEFT_OUT[code]] += 1
            elif turn not in recordings:
                missing = folder.relative_to(root) / turn.rpartition("_")[0] / f"{turn}.wav"
                reading.problems.append(Problem(missing, "has a label and no recording"))
            else:
                path = PurePosixPath(recordings[turn]).as_posix()
                reading.rows.append(row | {"path": path, "transcript": transcripts.get(turn, "")})
    for turn in sorted(set(recordings) - labelled):
        reading.problems.append(Problem(recordings[turn], "has no label in dialog/EmoEvaluation"))


def _parse(line: str) -> tuple[str, str, dict[str, object]]:
    """Turn, label code and row of `[6.29 - 8.24]\\tSes01F_impro01_F000\\tneu\\t[2.5, 2.5, 2.5]`."""
    form = LABEL.fullmatch(line)
    if not form:
        raise ValueError(
            f"{line.strip()!r} is not [start - end], turn, label, [valence, activation, dominance]"
        )
    turn, code, *attributes = form.groups()[2:]
    name = TURN.fullmatch(turn)
    if not name:
        raise ValueError(f"turn {turn} is not named like Ses01F_impro01_F000")
    emotion = scan.code(code, CLASSES | LEFT_OUT, "label")
    session, letter = name.groups()
    valence, arousal, dominance = (_rating(value) for value in attributes)
    return turn, code, {
        "utterance": turn,
        "speaker": session + letter,
        "gender": GENDERS[letter],
        "emotion": emotion,
        "valence": valence,
        "arousal": arousal,
        "dominance": dominance,
    }  # fmt: skip


def _rating(value: str) -> float:
    rating = float(value)
    if not 1 <= rating <= 5:
        raise ValueError(f"attribute {value} is not from 1 to 5")
    return rating


def _transcripts(folder: Path) -> Iterator[tuple[str, str]]:
    """Turn and text of every line `Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.`"""
    for file in _texts(folder):
        for line in _lines(file):
            form = TRANSCRIPT.fullmatch(line.strip())
            if form:
                yield form.group(1), form.group(2)


def _texts(folder: Path) -> list[Path]:
    """The text files of a folder; the release holds hidden ones that are no text."""
    return sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8", errors="replace").splitlines()


def _counts(left_out: Counter[str]) -> str:
    return ", ".join(f"{label} {count:,}" for label, count in left_out.most_common())
