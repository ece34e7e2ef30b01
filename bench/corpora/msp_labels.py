"""The tables of an MSP-Podcast copy as delivered, checked row by row; no audio is needed.

    labels = read(root)
    labels.turns         # every labelled turn: utterance, emotion (code), arousal, …, speaker, split
    labels.sound         # those of them that nothing speaks against
    labels.problems      # why the others are left out

Read are `labels_consensus` (.csv or .json, in both spellings), `labels_detailed`, `Partitions.txt` and
`Speaker_ids.txt`, in the folder, in `Labels/` or in `Labels/Labels/`. `Validation` is another name of
Development. Everything is done column by column, as releases have a quarter of a million rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.corpora.msp_release import EMOTIONS, LEFT_OUT, UNLABELLED
from bench.errors import Problem, SuiteError

CORPUS = "msp_podcast"
CONSENSUS = tuple(f"labels_con{s}ensus.{kind}" for kind in ("csv", "json") for s in "sc")
DETAILED = ("labels_detailed.csv", "labels_detailed.json")
HEADER = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
ATTRIBUTES = {"EmoAct": "arousal", "EmoVal": "valence", "EmoDom": "dominance"}
SPLITS = ("Train", "Development", "Test1", "Test2", UNLABELLED)
SPELLINGS = {split.lower(): split for split in SPLITS} | {"validation": "Development"}
EXTRA = "_0001"  # some names carry it in one place and not in another, after podcast and segment
EXTRA_AFTER_SEGMENT = r"^(MSP-PODCAST_[^_]+_[^_]+)_0001$"
UNKNOWN = ("", "unknown", "none", "nan")


@dataclass(frozen=True)
class Labels:
    """What the tables hold. Both frames have a row a turn and the columns of `read`."""

    path: Path  # the consensus file
    turns: pd.DataFrame
    sound: pd.DataFrame
    unlabelled: frozenset[str]  # utterances of Test3 that Partitions.txt names
    ratings: int  # rows of labels_detailed; 0 where there is none
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


def read(root: Path) -> Labels:
    """Read and check the tables under `root`.

    Columns of the frames: utterance (file name without .wav), emotion (code), arousal, valence, dominance
    (float64), speaker, gender, split. A turn whose speaker is unknown is given `unknown-<podcast>`: its
    own podcast's strangers are one speaker, so that they are drawn together in the bootstrap and never
    taken for one voice across podcasts. SuiteError where a table is missing or cannot be read as one.
    """
    path = locate(root, CONSENSUS)
    if path is None:
        raise SuiteError(
            f"{CORPUS}: {root} is not MSP-Podcast: expected Labels/{CONSENSUS[0]} or the same .json"
        )
    raw = _consensus(path)
    raw, unlabelled = _without_labels(raw)
    partitions, line_problems = _partitions(root, pd.Index(raw["utterance"]))
    turns, warnings = _turns(raw, _speakers(root))
    faults = pd.concat([*_row_faults(raw, turns), *_partition_faults(turns, partitions)])
    faults = faults.groupby(level=0).agg("; ".join) if len(faults) else faults
    problems = tuple(
        Problem(Path(f"{utterance}.wav"), reason)
        for utterance, reason in zip(turns["utterance"].loc[faults.index], faults, strict=True)
    )
    rated = _ratings(root)
    named = partitions.loc[partitions["split"] == UNLABELLED, "utterance"]
    return Labels(
        path=path,
        turns=turns,
        sound=turns.drop(index=faults.index),
        unlabelled=frozenset(unlabelled) | frozenset(named[~among(named, turns["utterance"])]),
        ratings=int(rated.sum()),
        problems=(*problems, *line_problems),
        warnings=(*warnings, *_unmatched(turns, partitions, rated)),
    )


def locate(root: Path, names: Sequence[str]) -> Path | None:
    """The first of `names` that is a file in `root`, its `Labels`, or the `Labels` in that."""
    folders = (root, root / "Labels", root / "Labels" / "Labels")
    return next((folder / name for name in names for folder in folders if (folder / name).is_file()), None)


def same_names(found: pd.Series[str], known: pd.Index) -> pd.Series[str]:
    """`found` as `known` spells it: with the extra `_0001` or without it, where only the other is known."""
    strange = found[~among(found, known)]
    bare = strange.str.replace(EXTRA_AFTER_SEGMENT, r"\1", regex=True)
    other = bare.where(bare != strange, strange + EXTRA)
    other = other[among(other, known) & ~among(other, found)]
    return found.mask(found.index.isin(other.index), other)


def among(names: pd.Series[str], known: pd.Series[str] | pd.Index) -> pd.Series[bool]:
    """Which of `names` are known. `Series.isin` makes Python strings of Arrow ones: a second a call here."""
    import pyarrow
    from pyarrow import compute

    values = pyarrow.array(known, type=pyarrow.string())
    found = compute.is_in(pyarrow.array(names, type=pyarrow.string()), value_set=values)
    return pd.Series(found.to_numpy(zero_copy_only=False), index=names.index)


def looked_up(keys: pd.Series[str], values: pd.Series[str]) -> pd.Series[str]:
    """The value of each key in `values`, whose index is unique; "" where there is none."""
    found = values.astype("str").reindex(pd.Index(keys))
    return pd.Series(found.array, index=keys.index).fillna("")


def stems(names: pd.Series[str]) -> pd.Series[str]:
    """File names without folder and .wav."""
    return names.str.strip().str.replace(r"^.*[/\\]|\.wav$", "", regex=True)


def _consensus(path: Path) -> pd.DataFrame:
    """The consensus table as text, with its utterances; SuiteError where columns are missing."""
    table = _csv(path) if path.suffix == ".csv" else _json(path)
    missing = [column for column in HEADER if column not in table]
    if missing:
        raise SuiteError(
            f"{CORPUS}: {path} has no column {', '.join(missing)}; its header should be {','.join(HEADER)}"
        )
    return table.assign(utterance=stems(table["FileName"]))


def _csv(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise SuiteError(
            f"{CORPUS}: {path} is not a table in UTF-8 ({' '.join(str(error).split())})"
        ) from error
    return table.rename(columns=str.strip)


def _json(path: Path) -> pd.DataFrame:
    """{file name: {column: value}} as a table."""
    try:
        rows = _object(path)
        table = pd.DataFrame([dict(row) for row in rows.values()]).assign(FileName=list(rows))
        return table.fillna("").astype(str)
    except (ValueError, TypeError) as error:
        raise SuiteError(f"{CORPUS}: {path} is not a JSON object of file names ({error})") from error


def _object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object; ValueError for any other."""
    try:
        content = json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError("it holds no object")
    return content


def _without_labels(raw: pd.DataFrame) -> tuple[pd.DataFrame, set[str]]:
    """The rows less those of Test3 that have no emotion, and the utterances of these."""
    hidden = raw["Split_Set"].str.strip().str.lower().eq(UNLABELLED.lower()) & raw["EmoClass"].eq("")
    return raw[~hidden].reset_index(drop=True), set(raw["utterance"][hidden])


def _turns(raw: pd.DataFrame, speakers: pd.Series[str]) -> tuple[pd.DataFrame, list[str]]:
    """Typed columns of every row, and a warning where Speaker_ids.txt says otherwise."""
    named = raw["SpkrID"].str.strip()
    named = named.mask(named.str.lower().isin(UNKNOWN), "")
    other = looked_up(raw["utterance"], speakers)
    conflicts = int(((named != "") & (other != "") & (named != other)).sum())
    speaker = named.mask(named == "", other)
    podcast = raw["utterance"][speaker == ""].str.split("_", n=2).str[1].fillna("")
    attributes = {name: pd.to_numeric(raw[column], errors="coerce") for column, name in ATTRIBUTES.items()}
    turns = pd.DataFrame(
        {
            "utterance": raw["utterance"],
            "emotion": raw["EmoClass"].str.strip(),
            **attributes,
            "speaker": speaker.mask(speaker == "", "unknown-" + podcast),
            "gender": raw["Gender"]
            .str.strip()
            .str.lower()
            .map({"female": "female", "male": "male"})
            .fillna(""),
            "split": raw["Split_Set"].str.strip().str.lower().map(SPELLINGS).fillna(""),
        }
    )
    said = f"Speaker_ids.txt and the labels disagree on the speaker of {conflicts:,} turns; the labels stand"
    return turns, [said] if conflicts else []


def _row_faults(raw: pd.DataFrame, turns: pd.DataFrame) -> list[pd.Series[str]]:
    """For each kind of fault the reason, by the rows that have it."""
    codes, repeated = [*EMOTIONS, *LEFT_OUT], turns["utterance"].duplicated(keep=False)
    emotion, split = turns["emotion"], turns["split"]
    found = [
        turns["utterance"][repeated].map(lambda name: "stands more than once in the labels"),
        "emotion code '" + emotion[~emotion.isin(codes)] + f"' is none of {', '.join(codes)}",
        "split '" + raw["Split_Set"][split == ""] + f"' is none of {', '.join(SPLITS)}",
    ]
    for column, name in ATTRIBUTES.items():
        outside = ~turns[name].between(1, 7)
        found.append(f"{column} is '" + raw[column][outside] + "', not a number from 1 to 7")
    return found


def _partitions(root: Path, labelled: pd.Index) -> tuple[pd.DataFrame, list[Problem]]:
    """Utterance and split of Partitions.txt, and a problem a line that is not "Partition; file name"."""
    path = locate(root, ("Partitions.txt",))
    if path is None:
        return pd.DataFrame({"utterance": [], "split": []}, dtype=str), []
    lines = _lines(path)
    split, name = _parted(lines)
    split, utterance = split.str.lower().map(SPELLINGS), stems(name)
    bad = split.isna() | utterance.eq("")
    if bad.all():
        first = lines.iloc[0] if len(lines) else ""
        raise SuiteError(f"{CORPUS}: no line of {path} is 'Partition; file name' (the first is {first!r})")
    said = "is not 'Partition; file name' with a partition of " + ", ".join(SPLITS)
    problems = [
        Problem(path.relative_to(root), f"line {number + 1}, {line!r}, {said}")
        for number, line in zip(lines.index[bad].tolist(), lines[bad], strict=True)
    ]
    table = pd.DataFrame({"utterance": same_names(utterance, labelled), "split": split})[~bad]
    return table.drop_duplicates(), problems


def _parted(lines: pd.Series[str]) -> tuple[pd.Series[str], pd.Series[str]]:
    """What stands before and after the first semicolon of each line."""
    before = lines.str.replace(r";.*$", "", regex=True)
    after = lines.str.replace(r"^[^;]*;?", "", regex=True)
    return before.str.strip(), after.str.strip()


def _lines(path: Path) -> pd.Series[str]:
    """The lines of a text file that are not blank, by number from 0; SuiteError where it is not UTF-8."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SuiteError(f"{CORPUS}: {path} is not UTF-8 text (byte {error.start}); convert it") from error
    lines = pd.Series(text.splitlines(), dtype="str")
    return lines[lines.str.strip() != ""]


def _partition_faults(turns: pd.DataFrame, partitions: pd.DataFrame) -> list[pd.Series[str]]:
    """Turns that Partitions.txt puts into several splits, or into another than the labels do."""
    double = partitions["utterance"].duplicated(keep=False)
    several = among(turns["utterance"], partitions["utterance"][double])
    other = looked_up(turns["utterance"], partitions[~double].set_index("utterance")["split"])
    differs = (other != "") & (other != turns["split"]) & (turns["split"] != "")
    said = turns["split"][differs] + " in the labels, " + other[differs] + " in Partitions.txt"
    return [said, turns["utterance"][several].map(lambda name: "is in several partitions of Partitions.txt")]


def _speakers(root: Path) -> pd.Series[str]:
    """Speaker by utterance of Speaker_ids.txt ("file name; speaker" lines), without the unknown ones."""
    path = locate(root, ("Speaker_ids.txt",))
    if path is None:
        return pd.Series(dtype=str)
    name, speaker = _parted(_lines(path))
    speaker = speaker.str.removeprefix("Speaker_")
    known = name.str.startswith("MSP-PODCAST") & ~speaker.str.lower().isin(UNKNOWN)
    return pd.Series(speaker[known].array, index=stems(name[known])).groupby(level=0).first()


def _ratings(root: Path) -> pd.Series[int]:
    """Number of ratings of each utterance in labels_detailed."""
    path = locate(root, DETAILED)
    if path is None:
        return pd.Series(dtype=int)
    if path.suffix == ".json":
        try:
            counts = {name: len(raters) for name, raters in _object(path).items()}
            rated: pd.Series[int] = pd.Series(counts, dtype="int64")
        except (ValueError, TypeError) as error:
            raise SuiteError(f"{CORPUS}: {path} is not a JSON object of lists ({error})") from error
    else:
        rated = _rows_of_each_file(path)
    rated.index = pd.Index(stems(pd.Series(rated.index, dtype="str")))
    return rated


def _rows_of_each_file(path: Path) -> pd.Series[int]:
    """Rows by FileName; the table has a million and a half, so Arrow reads this column alone."""
    import pyarrow
    from pyarrow import csv

    kept = csv.ConvertOptions(include_columns=["FileName"], column_types={"FileName": pyarrow.string()})
    quoted = csv.ParseOptions(newlines_in_values=True)
    try:
        column = csv.read_csv(path, parse_options=quoted, convert_options=kept)["FileName"]
    except (pyarrow.ArrowInvalid, KeyError) as error:
        raise SuiteError(f"{CORPUS}: {path} is not a table with a column FileName ({error})") from error
    counts = column.value_counts()
    return pd.Series(np.asarray(counts.field("counts")), index=counts.field("values").to_pandas())


def _unmatched(turns: pd.DataFrame, partitions: pd.DataFrame, rated: pd.Series[int]) -> list[str]:
    """Turns that stand in one table and not in another, counted; the label file decides."""
    names = turns["utterance"]
    found = []
    if len(partitions):
        extra = partitions["utterance"][partitions["split"] != UNLABELLED]
        absent = ~among(names, partitions["utterance"])
        found.append((int(absent.sum()), "labelled turns are not in Partitions.txt"))
        found.append((int((~among(extra, names)).sum()), "turns of Partitions.txt have no label"))
    if len(rated):
        index = same_names(pd.Series(rated.index, dtype="str"), pd.Index(names))
        found.append((int((~among(names, index)).sum()), "labelled turns have no rating in labels_detailed"))
    return [f"{count:,} {what}" for count, what in found if count]
