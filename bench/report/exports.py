"""Exported files beside their checkpoints: score, size and latency, results/exports.md and exports.csv.

    table = exports(store)              # one row a checked file
    markdown(table)                     # results/exports.md
    csv(table)                          # results/exports.csv
    sentence(table.iloc[0])             # what `serbench export --check` prints

A file that is slower or worse than its checkpoint keeps its row, which says so.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from bench import spreadsheet
from bench.evidence.exports import TOLERATED, loss
from bench.evidence.records import ExportRecord, Weights
from bench.evidence.store import Store
from bench.report import units
from bench.report.headline import CCC, UAR, Headline
from bench.report.leaderboard import SYNTHETIC

KINDS: dict[Weights, str] = {
    "float32": "float32",
    "float16": "float16 weights",
    "int8-dynamic": "int8, dynamic",
    "int8-static": "int8, static",
}
_WORDS = ("System", "Direction", "File", "Note")
_PLACE = ["synthetic", "corpus_title", "protocol", "device", "threads", "score"]
_INTRODUCTION = """\
# Exported files

Written by `serbench report` from the records in this folder: ONNX files of `serbench export`, each held
against the checkpoint that it was exported from. Δ is the file's score less the checkpoint's on the same
clips, with a 95 % interval over speakers (paired, 10,000 draws); Changed, the share of clips whose emotion is
another one. Of float32: the file's size over that of the checkpoint's parameters in float32. Time is that of
ONNX Runtime on 10 s of features, or of a stream on the second after 10 s; over torch, divided by torch's on
the same frames, taken in turns. Features are not part of either.
"""


def exports(store: Store) -> pd.DataFrame:
    """One row a record, real corpora first; empty without records.

    SuiteError where a record's predictions are missing or damaged.
    """
    rows = [_row(record, store.predictions(record.id)) for record in store.exports()]
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    order = [*_PLACE, "layout", "direction", "fold", "seed", "streaming"]
    kinds = table["weights"].map({kind: place for place, kind in enumerate(KINDS)})
    return table.iloc[kinds.argsort(kind="stable")].sort_values(order, kind="stable", ignore_index=True)


def _row(record: ExportRecord, predictions: pd.DataFrame) -> dict[str, Any]:
    setting, score = record.setting, UAR if record.emotions else CCC
    found = loss(predictions, record.emotions, record.attributes)
    interval = found.interval()
    return {
        "id": record.id,
        "synthetic": record.synthetic,
        "corpus_title": record.corpus_title,
        "corpus": setting.checked_on.corpus,
        "protocol": setting.checked_on.protocol,
        "fold": setting.checked_on.fold,
        "seed": setting.cell.seed,
        "device": setting.device,
        "threads": setting.threads,
        "name": record.label.text,
        "layout": setting.cell.system.layout,
        "direction": setting.cell.system.direction,
        "weights": setting.weights,
        "streaming": setting.streaming,
        "calibrated_on": setting.calibrated_on,
        "utterances": record.utterances,
        "speakers": found.speakers,
        "score": score.column,
        "torch": record.metrics["torch"][score.column],
        "exported": record.metrics["exported"][score.column],
        **interval.columns("delta"),
        "changed": math.nan if record.changed is None else record.changed,
        "file_bytes": record.file_bytes,
        "size_ratio": record.file_bytes / record.weights_bytes,
        "exported_ms": record.race.exported_ms,
        "torch_ms": record.race.torch_ms,
        "time_ratio": record.race.ratio,
        "seconds": record.race.seconds,
        "converged": record.race.converged,
    }


def csv(table: pd.DataFrame) -> str:
    """The rows for programs: fractions, ms and bytes."""
    return spreadsheet.text(table, float_format="%.6g")


def markdown(table: pd.DataFrame) -> str:
    """The rows for people: a section a task and machine, synthetic corpora last."""
    return "\n".join([_INTRODUCTION, *(_section(rows) for _, rows in table.groupby(_PLACE, sort=False))])


def _section(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    kind = f"{SYNTHETIC}: " if first["synthetic"] else ""
    threads = units.counted(first["threads"], "thread")
    title = f"## {kind}{first['corpus_title']}, protocol {first['protocol']}; {first['device']}, {threads}"
    cells = [_cells(row, UAR if row["score"] == UAR.column else CCC) for _, row in rows.iterrows()]
    heads = list(cells[0])
    rules = [":--" if head in _WORDS else "--:" for head in heads]
    lines = [heads, rules, *([cell.replace("|", "\\|") for cell in row.values()] for row in cells)]
    return "\n\n".join([title, "\n".join(f"| {' | '.join(line)} |" for line in lines)]) + "\n"


def _cells(row: pd.Series, score: Headline) -> dict[str, str]:
    return {
        "System": row["name"],
        "Direction": row["direction"],
        "Fold": str(row["fold"]),
        "Seed": str(row["seed"]),
        "File": _kind(row),
        "Clips": f"{row['utterances']:,}",
        f"torch {score.head}": score.written(row["torch"]),
        f"File {score.head}": score.written(row["exported"]),
        "Δ": _difference(row, score),
        "Changed %": units.percent(row["changed"]),
        "Size": units.memory(row["file_bytes"]),
        "of float32": _times(row["size_ratio"]),
        "Time": units.milliseconds(row["exported_ms"]),
        "over torch": _times(row["time_ratio"]),
        "Note": note(row),
    }


def _kind(row: pd.Series) -> str:
    return f"{KINDS[row['weights']]}{', streaming' if row['streaming'] else ''}"


def _difference(row: pd.Series, score: Headline) -> str:
    value, low, high = (score.difference(row[f"delta{end}"]) for end in ("", "_low", "_high"))
    return value if low == units.MISSING else f"{value} [{low}, {high}]"


def _times(value: float) -> str:
    return f"{units.significant(value)}×"


def note(row: pd.Series) -> str:
    """What to know of the row: worse by more than is tolerated, slower, larger, badly timed; or nothing."""
    said = []
    if row["delta"] < -TOLERATED:
        score = UAR if row["score"] == UAR.column else CCC
        said.append(f"worse by {score.gap(-row['delta'])}")
    if row["time_ratio"] > 1:
        said.append("slower than torch")
    if not row["converged"]:
        said.append("time not settled")
    if row["size_ratio"] > 1 and row["weights"] != "float32":
        said.append("larger than the float32 weights")
    return "; ".join(said)


def sentence(row: pd.Series) -> str:
    """A row in words: "int8, dynamic: 58.2 % UAR, torch 58.4 %, difference −0.2 [−0.9, 0.5]; …"."""
    score = UAR if row["score"] == UAR.column else CCC
    clips, speakers = units.counted(row["utterances"], "clip"), units.counted(row["speakers"], "speaker")
    return (
        f"{_kind(row)}: {score.said(row['exported'])} on {clips} of {speakers}, "
        f"torch {score.written(row['torch'])}, difference {_difference(row, score)}; "
        f"{units.memory(row['file_bytes'])}; {units.milliseconds(row['exported_ms'])}, "
        f"{_times(row['time_ratio'])} torch's"
    )
