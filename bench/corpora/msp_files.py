"""The recordings and transcripts of an MSP-Podcast copy, joined to its labels by name.

    turns, hidden, problems = with_recordings(root, labels.sound, labels)
    turns, problems = with_transcripts(root, turns, cache)

Recordings are listed, never opened. A name with an extra `_0001` on one side alone is taken for the same.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench.corpora import texts
from bench.corpora.msp_labels import CORPUS, Labels, among, looked_up, same_names
from bench.corpora.scan import AUDIO_SUFFIXES, require_text
from bench.errors import Problem

TEST3 = "_test3_"  # in the names of recordings whose labels are not given out


def files(root: Path, folder: str, suffixes: Sequence[str]) -> pd.DataFrame:
    """Files with one of `suffixes` in `root/folder` and below: name without suffix, and path from `root`.

    SuiteError where one is not named in UTF-8.
    """
    names: list[str] = []
    folders: list[str] = []
    for at, _, held in os.walk(root / folder):
        names += held
        folders += [Path(at).relative_to(root).as_posix()] * len(held)
    require_text((*names, *folders), CORPUS)
    table = pd.DataFrame({"name": names, "folder": folders}, dtype="str")
    table = table[
        table["name"].str.lower().str.endswith(tuple(suffixes)) & ~table["name"].str.startswith(".")
    ]
    path = table["folder"] + "/" + table["name"]
    return pd.DataFrame({"utterance": table["name"].str.replace(r"\.[^.]*$", "", regex=True), "path": path})


def with_recordings(
    root: Path, scored: pd.DataFrame, labels: Labels
) -> tuple[pd.DataFrame, int, list[Problem]]:
    """`scored` with each turn's `path`, the number of recordings of Test3, and the problems.

    Where there is no recording at all, that is one problem, and every turn keeps its row.
    """
    audio = files(root, "Audios", AUDIO_SUFFIXES).sort_values("path", ignore_index=True)
    if audio.empty:
        bare = Problem(Path("Audios"), "holds no recording; unpack the audio of the corpus here")
        return scored.assign(path="Audios/" + scored["utterance"] + ".wav"), 0, [bare]
    known = pd.Index(labels.turns["utterance"])
    audio["utterance"] = same_names(audio["utterance"], known)
    twice = audio["utterance"].duplicated(keep=False)
    hidden = among(audio["utterance"], pd.Index(sorted(labels.unlabelled), dtype="str"))
    hidden |= audio["utterance"].str.contains(TEST3, regex=False)
    stray = ~among(audio["utterance"], known) & ~hidden
    path = looked_up(scored["utterance"], audio[~twice].set_index("utterance")["path"])
    absent = scored["utterance"][(path == "") & ~among(scored["utterance"], audio["utterance"])]
    problems = [
        *_problems(audio["path"][twice], "another recording has the same name"),
        *_problems(audio["path"][stray & ~twice], f"a recording without a label in {labels.path.name}"),
        *_problems("Audios/" + absent + ".wav", f"labelled in {labels.path.name}, but there is no recording"),
    ]
    return scored.assign(path=path)[path != ""], int(hidden.sum()), problems


def _problems(paths: pd.Series[str], reason: str) -> list[Problem]:
    return [Problem(Path(path), reason) for path in paths]


def with_transcripts(
    root: Path, found: pd.DataFrame, cache: Path | None
) -> tuple[pd.DataFrame, list[Problem]]:
    """`found` with each turn's `transcript` ("" where there is none), less those that are not UTF-8."""
    there = files(root, "Transcripts", (".txt",)).sort_values("path", ignore_index=True)
    there["utterance"] = same_names(there["utterance"], pd.Index(found["utterance"]))
    there = there[among(there["utterance"], found["utterance"])].drop_duplicates("utterance")
    read = texts.read(root, there["path"].tolist(), cache)
    decoded = pd.Series(read, index=there["utterance"].array, dtype="str")
    bad = decoded.index[[text is None for text in read]]
    problems = _problems(
        there["path"][among(there["utterance"], bad)], "transcript is not UTF-8; convert it or remove it"
    )
    found = found.assign(transcript=looked_up(found["utterance"], decoded))
    return found[~among(found["utterance"], bad)], problems
