"""Your own recordings from a table: any CSV or parquet file in the data folder is a corpus, without code.

    SER_DATA_ROOT/calls.csv                            # or calls.parquet
        path,label,speaker,gender,split
        audio/0001.wav,angry,anna,female,train
    serbench corpora check table:calls
    serbench run open --tasks table:calls/speakers

Columns, in any order and any case of letters: `path` (from the table's folder, or absolute), `label` and
`speaker` must be there; `gender` (female, male, f, m), `arousal`, `valence`, `dominance` (numbers),
`transcript`, `split` and `fold` may be; others are not read. CSV is UTF-8 with commas. The classes are the
labels, sorted. A row that cannot be used is a problem, listed with its number
(the heading is not counted).

Protocols; in none does a speaker stand in two splits:

- `speakers`: up to five folds. The speaker with the most rows goes first, each to the fold that has the
  fewest; the next fold (after the last comes the first) is the development set.
- `split`, where the column is there: train, dev and test as the table says. Every name that starts with
  "test" is a test split of its own.
- `fold`, where the column is there: each fold is tested once, with the next as development set.

A protocol's name ends in a hash of the table (`speakers-3fa1b2c4`, for which `speakers` is short), so an
edited table is another comparison and no cell of it is taken for done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench import private
from bench.corpora.manifest import COLUMNS, Fold, Manifest, OwnSplits, fingerprint, rotation
from bench.errors import Problem, SuiteError

NAME = "table"
TITLE = "A table of your own (table:NAME)"
LICENCE = "yours"
EMOTIONS: tuple[str, ...] = ()  # what the table holds
PROTOCOLS: dict[str, tuple[Fold, ...]] = {}  # made from the table

REQUIRED = ("path", "label", "speaker")
NUMBERS = ("arousal", "valence", "dominance")
OPTIONAL = ("gender", *NUMBERS, "transcript", "split", "fold")
GENDERS = {"": "", "female": "female", "f": "female", "male": "male", "m": "male"}
SPLITS = {"train": "train", "training": "train"} | dict.fromkeys(
    ("dev", "development", "valid", "validation", "val"), "dev"
)
MAX_FOLDS = 5
MIN_FOLDS = 3  # one to train on, one to choose on, one to test


def _read_csv(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("its rows have more fields than its heading")
    return frame


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": _read_csv, ".parquet": pd.read_parquet}


def locate(data_root: Path, which: str) -> Path:
    """The file of table `which`; SuiteError listing the tables of the data folder where it has none."""
    files = (data_root / f"{which}{suffix}" for suffix in READERS)
    found = [file for file in files if file.is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise SuiteError(f"table:{which}: {found[0]} and {found[1].name} are both there; keep one of the two")
    there = sorted({path.stem for path in data_root.glob("*") if path.suffix in READERS})
    listed = f"the tables there are {', '.join(there)}" if there else "there is no table"
    if not which:
        raise SuiteError(f"table: name a table of {data_root}, as table:NAME; {listed}")
    raise SuiteError(f"table:{which}: {data_root} has no {which}.csv or {which}.parquet; {listed}")


def load(root: Path) -> Manifest:
    """Manifest of the recordings that the table `root` (a file) names, classes and protocols as it has them.

    SuiteError where the table cannot be read, lacks a column, holds fewer than two classes, or where its
    splits or folds share a speaker.
    """
    corpus = f"{NAME}:{root.stem}"
    raw = _read(root, corpus)
    reasons = _reasons(raw, root.parent)
    good = raw[reasons == ""]
    table = _table(good)
    emotions = tuple(sorted(table["emotion"].unique()))
    if len(emotions) < 2:
        raise SuiteError(
            f"{corpus}: {root} has {len(good):,} usable of {len(raw):,} rows and {len(emotions)} classes; at "
            f"least two classes are needed{_first(reasons)}"
        )
    _require_distinct_bounds(emotions, corpus)
    ending = fingerprint(root)
    protocols = {f"{name}-{ending}": folds for name, folds in _protocols(good, corpus).items()}
    problems = _problems(raw, reasons)
    return Manifest(corpus, root.stem, root.parent, emotions, table, protocols, problems=problems)


def _require_distinct_bounds(emotions: Sequence[str], corpus: str) -> None:
    """SuiteError for a label that is another with _low or _high: the report names intervals so."""
    for emotion in emotions:
        for bound in ("_low", "_high"):
            if emotion + bound in emotions:
                raise SuiteError(
                    f"{corpus}: the labels {emotion} and {emotion}{bound} would share a column; rename one"
                )


def _read(path: Path, corpus: str) -> pd.DataFrame:
    """The columns that we know, as stripped text, "" where empty, with an index from 0."""
    try:
        frame = READERS[path.suffix](path)
    except Exception as error:  # whatever a damaged file makes pandas or pyarrow raise
        kind = path.suffix[1:]
        raise SuiteError(f"{corpus}: {path} cannot be read as {kind} ({error}); write it anew") from error
    frame.columns = pd.Index([str(column).strip().lower() for column in frame.columns])
    lacking = [column for column in REQUIRED if column not in frame.columns]
    if lacking or frame.columns.duplicated().any():
        fault = f"lacks {', '.join(lacking)}" if lacking else "names a column twice"
        raise SuiteError(
            f"{corpus}: {path} {fault}: its columns are {', '.join(frame.columns)}; it should have "
            f"{', '.join(REQUIRED)} and may have {', '.join(OPTIONAL)}"
        )
    known = [column for column in (*REQUIRED, *OPTIONAL) if column in frame.columns]
    try:
        text = frame[known].reset_index(drop=True).astype("string").fillna("")
        return text.apply(lambda column: column.str.strip()).astype("str")
    except (ValueError, TypeError) as error:  # bytes of no text in a parquet file
        raise SuiteError(f"{corpus}: {path} holds what is no text ({error}); write it anew") from error


def _reasons(raw: pd.DataFrame, folder: Path) -> pd.Series[str]:
    """Why a row cannot be used, "" where it can."""
    there = raw["path"].map(lambda path: bool(path) and _is_file(folder / path))
    tests = {
        "has no path": raw["path"] == "",
        "has no label": raw["label"] == "",
        "has no speaker": raw["speaker"] == "",
        "names a recording that is not there": ~there,
        "names a recording that another row names too": raw["path"].duplicated(keep=False),
    }
    if "gender" in raw:
        tests["has a gender other than female, male, f, m"] = ~raw["gender"].str.lower().isin(GENDERS)
    for column in NUMBERS:
        if column in raw:
            numbers = pd.to_numeric(raw[column], errors="coerce")
            tests[f"has {column} that is no number"] = (raw[column] != "") & ~np.isfinite(numbers)
    if "split" in raw:
        tests["has a split other than train, dev and test…"] = _splits(raw) == ""
    if "fold" in raw:
        tests["has no fold"] = raw["fold"] == ""
    reasons = pd.Series("", index=raw.index, dtype="str")
    for reason, holds in tests.items():
        reasons = reasons.mask((reasons == "") & holds.astype(bool), reason)
    return reasons


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long, a folder that may not be entered
        return False


def _splits(rows: pd.DataFrame) -> pd.Series[str]:
    """The split of each row: "train", "dev", a name that starts with "test", or "" for any other."""
    lower = rows["split"].str.lower()
    return lower.map(SPLITS).fillna(lower.where(lower.str.startswith("test"), ""))


def _table(good: pd.DataFrame) -> pd.DataFrame:
    """The manifest's table; an utterance is named by its path without the suffix (`bench.private`)."""
    empty = pd.Series("", index=good.index, dtype="str")
    table = pd.DataFrame(
        {
            "utterance": good["path"].str.replace(r"\.[^./]+$", "", regex=True).map(private.utterance),
            "path": good["path"],
            "speaker": good["speaker"],
            "gender": good.get("gender", empty).str.lower().map(GENDERS),
            "emotion": good["label"],
            **{column: pd.to_numeric(good.get(column, empty), errors="coerce") for column in NUMBERS},
            "transcript": good.get("transcript", empty),
            "duration_s": float("nan"),
            "split": _splits(good) if "split" in good else empty,
        }
    )
    return table[list(COLUMNS)].astype(COLUMNS).sort_values("utterance", ignore_index=True)


def _protocols(good: pd.DataFrame, corpus: str) -> dict[str, tuple[Fold | OwnSplits, ...]]:
    """The protocols that the rows allow; SuiteError where they allow none."""
    protocols: dict[str, tuple[Fold | OwnSplits, ...]] = {}
    groups = _dealt(Counter(good["speaker"]))
    if len(groups) >= MIN_FOLDS:
        protocols["speakers"] = rotation(groups)
    if "split" in good:
        protocols["split"] = (_own_splits(good.assign(split=_splits(good)), corpus),)
    if "fold" in good:
        protocols["fold"] = _own_folds(good, corpus)
    if not protocols:
        raise SuiteError(
            f"{corpus}: {good['speaker'].nunique()} speakers are too few to train, choose and test on "
            f"different ones; there should be {MIN_FOLDS} at least"
        )
    return protocols


def _dealt(rows_of: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Speakers in groups of like size: those with the most rows first, each to the group with the fewest."""
    groups: list[list[str]] = [[] for _ in range(min(MAX_FOLDS, len(rows_of)))]
    sizes = [0] * len(groups)
    for speaker in sorted(rows_of, key=lambda name: (-rows_of[name], name)):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(speaker)
        sizes[smallest] += rows_of[speaker]
    return [tuple(sorted(group)) for group in groups]


def _own_splits(good: pd.DataFrame, corpus: str) -> OwnSplits:
    present = sorted(good["split"].unique())
    _require_disjoint(good, "split", corpus)
    lacking = [name for name in ("train", "dev") if name not in present]
    if lacking or len(present) < MIN_FOLDS:
        raise SuiteError(
            f"{corpus}: column split holds {', '.join(present)}; it should hold train, dev and test, or "
            "be left out"
        )
    return OwnSplits({name: name for name in present})


def _own_folds(good: pd.DataFrame, corpus: str) -> tuple[Fold, ...]:
    _require_disjoint(good, "fold", corpus)
    speakers = good.groupby("fold")["speaker"].unique()
    names = sorted(speakers.index, key=_fold_order)
    if len(names) < MIN_FOLDS:
        raise SuiteError(
            f"{corpus}: column fold holds {len(names)} folds; there should be {MIN_FOLDS} at least"
        )
    return rotation([tuple(sorted(speakers[name])) for name in names])


def _fold_order(name: str) -> tuple[int, int, str]:
    """Numbers by size (fewer digits first), after all other names."""
    digits = name.lstrip("0") if name.isdecimal() else ""
    return (int(name.isdecimal()), len(digits), digits or name)


def _require_disjoint(good: pd.DataFrame, column: str, corpus: str) -> None:
    """SuiteError listing the speakers who stand in two values of `column`."""
    places = good.groupby("speaker")[column].nunique()
    shared = sorted(places.index[places > 1])
    if shared:
        shown = ", ".join(shared[:5]) + (f" and {len(shared) - 5:,} more" if len(shared) > 5 else "")
        raise SuiteError(
            f"{corpus}: column {column} puts a speaker in two places ({shown}); mend it, or leave the column "
            "out and take the protocol speakers"
        )


def _problems(raw: pd.DataFrame, reasons: pd.Series[str]) -> tuple[Problem, ...]:
    bad = raw[reasons != ""]
    rows = zip(bad.index, bad["path"], reasons[bad.index], strict=True)
    return tuple(Problem(Path(path or "–"), f"row {row + 1} {reason}") for row, path, reason in rows)


def _first(reasons: pd.Series[str]) -> str:
    """The commonest reason why rows cannot be used, for a table of which little or nothing can."""
    bad = reasons[reasons != ""]
    return f" (a row {bad.mode().iloc[0]})" if len(bad) else ""
