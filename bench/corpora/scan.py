"""From a folder of recordings with the labels in their names to a manifest's table.

    paths = scan.recordings(root, "ravdess")
    table, problems = scan.read_names(paths, parse)      # parse(stem) gives a row or raises ValueError

Nothing is skipped in silence: a name that cannot be read becomes a Problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath

import pandas as pd

from bench.corpora.manifest import COLUMNS
from bench.errors import Problem, SuiteError, shown

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
UNKNOWN: dict[str, object] = {
    "gender": "",
    "arousal": float("nan"),
    "valence": float("nan"),
    "dominance": float("nan"),
    "transcript": "",
    "duration_s": float("nan"),
    "split": "",
}

Row = Mapping[str, object]


def recordings(root: Path, corpus: str) -> list[PurePosixPath]:
    """Every audio file under `root`, relative to it, sorted by name; hidden files and folders hold none.

    SuiteError where `root` is no folder, where a path is not UTF-8, or where two files carry one name (the
    name is the utterance).
    """
    if not root.is_dir():
        raise SuiteError(f"{corpus}: {root} is not a folder; give the folder that holds the corpus")
    found = (path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    paths = sorted(
        (
            PurePosixPath(path.as_posix())
            for path in found
            if not any(part.startswith(".") for part in path.parts)
        ),
        key=lambda path: (path.stem, path.as_posix()),
    )
    require_text(map(str, paths), corpus)
    for one, other in pairwise(paths):
        if one.stem == other.stem:
            raise SuiteError(f"{corpus}: {one} and {other} carry one name under {root}; keep one of the two")
    return paths


def require_text(paths: Iterable[str], corpus: str) -> None:
    """SuiteError naming the first path that is not UTF-8: no table or record could hold it."""
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise SuiteError(f"{corpus}: the path {shown(path)} is not UTF-8; rename it") from None


def read_names(
    paths: Sequence[PurePosixPath], parse: Callable[[str], Row | None]
) -> tuple[pd.DataFrame, tuple[Problem, ...]]:
    """Table of all files whose stem `parse` can read, sorted by utterance, and the problems of the others.

    `parse` raises ValueError with the reason for a name that it cannot read, and gives None for a
    recording that is well named but no part of the corpus.
    """
    rows, problems = [], []
    for path in paths:
        try:
            row = parse(path.stem)
        except ValueError as error:
            problems.append(Problem(Path(path), str(error)))
        else:
            if row is not None:
                rows.append({"utterance": path.stem, "path": path.as_posix()} | dict(row))
    return tabulate(rows), tuple(problems)


def tabulate(rows: Iterable[Row]) -> pd.DataFrame:
    """A manifest's table of `rows`, sorted by utterance; what a row does not say is unknown."""
    table = pd.DataFrame([{**UNKNOWN, **row} for row in rows], columns=list(COLUMNS)).astype(COLUMNS)
    return table.sort_values("utterance", ignore_index=True)


def require(table: pd.DataFrame, paths: Sequence[PurePosixPath], root: Path, corpus: str, names: str) -> None:
    """SuiteError saying what was expected and what was found, where no file is of the corpus."""
    if len(table):
        return
    found = f"{len(paths)} audio files such as {paths[0]}" if paths else "no audio files"
    raise SuiteError(f"{corpus}: {root} is not {corpus}: expected files named like {names}, found {found}")


def code(value: str, known: Mapping[str, str], what: str) -> str:
    """What `value` stands for; ValueError naming the code and the known ones where it is none of them."""
    if value not in known:
        raise ValueError(f"{what} code {value} is none of {_span(tuple(known))}")
    return known[value]


def _span(codes: Sequence[str]) -> str:
    """`01–08` for a run of numbers, else all codes."""
    numbers = [int(each) for each in codes if each.isdigit()]
    if len(numbers) == len(codes) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{codes[0]}–{codes[-1]}"
    return ", ".join(codes)
