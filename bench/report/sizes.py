"""The size track: what exported files of any size score, how large they are, and how long they take.

    files = size_table(store)                   # one row a system, size and kind of file
    with_files(accuracy, files)                 # the leaderboard's rows with the sizes of their files
    sections(files)                             # the leaderboard's tables across sizes
    csv(files)                                  # results/sizes.csv

A file is read as if it were a run: its own answers on the test clips of every fold, pooled, with the
intervals of `bench.report.tables`. Files of any encoder, features and recipe stand in one track where they
were checked on the same corpus, protocol and machine. Those that were not scored on every fold, or on other
clips than most, keep a row that says so, and have no place on a front.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from bench import spreadsheet
from bench.config import Encoder, content_id
from bench.evidence.comparison import comparison
from bench.evidence.pareto import on_front
from bench.evidence.records import ExportRecord, Parameters, RunRecord, Weights
from bench.evidence.store import Store
from bench.report import findings, units
from bench.report import sections as named
from bench.report.board import SPLITS, Row, Section
from bench.report.tables import BASELINE, accuracy_of

FILES: dict[Weights, str] = {"float32": "float32", "int8-dynamic": "int8"}
HEADING = "Size track"
INTRODUCTION = """\
Exported files of all sizes (`serbench export --check own`), smallest model first: what a file itself scores
on the test clips, pooled over folds, how large it is, and its time on 10 s of speech by ONNX Runtime on one
thread. Log-mels and cepstra are computed before that time; a file that holds its speech encoder hears the
waveform. Fronts: where no other file is as small (or as fast) and as accurate, and better in one of the two.
"""
TRACK = ["synthetic", "corpus", "protocol", "options", "device", "threads"]
FRONTS = {"file_bytes": "size", "exported_ms": "time"}
_KEY = ["comparison", "layout", "direction"]


def size_table(store: Store) -> pd.DataFrame:
    """One row a system, size and kind of file, real corpora first; empty where no file was checked.

    Whole utterances on the checkpoint's own task, emotions told apart. The columns of
    `bench.report.tables.accuracy_table`, of the file's answers, and: weights (a key of `FILES`), device,
    threads, line (the same for one system at several sizes), file_bytes (the largest of its folds and seeds),
    exported_ms (their median), comparable and note (across the track), front_file_bytes, front_exported_ms
    (of the files of its kind). SuiteError where a record's predictions are missing or damaged.
    """
    groups: dict[tuple[Any, ...], dict[str, ExportRecord]] = {}
    for record in store.exports():
        setting = record.setting
        if record.emotions and setting.weights in FILES and _on_its_own_task(record):
            group = groups.setdefault((setting.weights, setting.device, setting.threads), {})
            group.setdefault(setting.cell.id, record)
    tables = [_files(store, list(records.values())) for records in groups.values()]
    if not tables:
        return pd.DataFrame()
    files = _ranked(pd.concat(tables, ignore_index=True))
    kinds = files["weights"].map(list(FILES).index)
    order = [*TRACK, "parameters", *_KEY]
    return files.iloc[kinds.argsort(kind="stable")].sort_values(order, kind="stable", ignore_index=True)


def _on_its_own_task(record: ExportRecord) -> bool:
    setting = record.setting
    return not setting.streaming and setting.checked_on == setting.cell.task


def _files(store: Store, records: Sequence[ExportRecord]) -> pd.DataFrame:
    """The rows of one kind of file on one machine."""
    scores = accuracy_of(store, [_as_run(record) for record in records], BASELINE)
    first = records[0].setting
    found = scores.merge(_measured(records), on=_KEY, validate="one_to_one")
    return found.assign(weights=first.weights, device=first.device, threads=first.threads)


def _as_run(record: ExportRecord) -> RunRecord:
    """A run whose predictions are the file's."""
    return RunRecord(
        id=record.id,
        preset="",
        config=record.setting.cell,
        label=record.label,
        synthetic=record.synthetic,
        corpus_title=record.corpus_title,
        emotions=record.emotions,
        attributes=record.attributes,
        status="ok",
        utterances={"test": record.utterances},
        parameters=Parameters(total=record.weights_bytes // 4, mixers=0, feedforward_width=0),
        environment=record.environment,
    )


def _measured(records: Sequence[ExportRecord]) -> pd.DataFrame:
    """Size and time of every system, over its folds and seeds."""
    rows = []
    for record in records:
        compared, system = comparison(_as_run(record)), record.setting.cell.system
        encoder = compared.encoder
        shape = encoder.sized("50k") if isinstance(encoder, Encoder) else encoder  # any one of the sizes
        rows.append(
            {
                "comparison": content_id(compared),
                "layout": system.layout,
                "direction": system.direction,
                "line": content_id(compared.model_copy(update={"encoder": shape})),
                "file_bytes": record.file_bytes,
                "exported_ms": record.race.exported_ms,
            }
        )
    by_system = pd.DataFrame(rows).groupby([*_KEY, "line"], as_index=False)
    return by_system.agg(file_bytes=("file_bytes", "max"), exported_ms=("exported_ms", "median"))


def _ranked(files: pd.DataFrame) -> pd.DataFrame:
    """The rows with what cannot be compared across their track, and the fronts of what can."""
    files = files.assign(front_file_bytes=False, front_exported_ms=False)
    for _, rows in files.groupby(TRACK):
        tested = rows.loc[rows["note"] == "", ["folds", "utterances"]]
        most = tested.loc[tested["folds"] == tested["folds"].max(), "utterances"].mode()
        for place, row in rows.iterrows():
            note = row["note"] or _unlike(row, tested["folds"].max(), most.max())
            files.loc[place, ["note", "comparable"]] = note, not note
    for _, rows in files[files["comparable"].astype(bool)].groupby([*TRACK, "weights"]):
        for cost in FRONTS:
            files.loc[rows.index, f"front_{cost}"] = on_front(rows[cost], rows["uar"])
    return files.astype({"comparable": bool})


def _unlike(row: pd.Series, folds: int, utterances: int) -> str:
    """Why a system is not compared with the others of a track; "" where it is."""
    if row["folds"] < folds:
        return f"checked on {units.counted(row['folds'], 'fold')} of {folds}"
    if row["utterances"] != utterances:
        return f"checked on {row['utterances']:,} clips, others on {utterances:,}"
    return ""


def with_files(accuracy: pd.DataFrame, files: pd.DataFrame) -> pd.DataFrame:
    """The accuracy table with `float32_bytes` and `int8_bytes`, each where a row has such a file."""
    if accuracy.empty or files.empty:
        return accuracy
    largest = files.groupby([*_KEY, "weights"])["file_bytes"].max().unstack()
    keys = pd.MultiIndex.from_frame(accuracy[_KEY])
    for weights, name in FILES.items():
        found = largest.get(weights, pd.Series(dtype=float)).reindex(keys)
        if found.notna().any():
            accuracy = accuracy.assign(**{f"{name}_bytes": found.to_numpy()})
    return accuracy


def csv(files: pd.DataFrame) -> str:
    """The rows for programs: fractions, ms and bytes."""
    columns = [*TRACK, "corpus_title", "weights", *_KEY, "name", "line", "recipe", "setting", "parameters"]
    columns += ["folds", "seeds", "utterances", "speakers", "uar", "uar_low", "uar_high"]
    columns += [*FRONTS, *(f"front_{cost}" for cost in FRONTS), "comparable", "note"]
    return spreadsheet.text(files[columns], float_format="%.6g")


def sections(files: pd.DataFrame) -> list[Section]:
    """A table a track, for the leaderboard."""
    if files.empty:
        return []
    return [_section(rows) for _, rows in files.groupby(TRACK, sort=False)]


def _section(rows: pd.DataFrame) -> Section:
    first, shown = rows.iloc[0], main_kind(rows)
    drawn = shown[shown["comparable"]]
    return Section(
        title=f"{first['corpus_title']}, protocol {first['protocol']}; {machine_name(first)}",
        finding=findings.sizes(drawn) if len(drawn) else "No file has been checked on every fold yet.",
        circumstances=f"Fronts are those of {FILES[shown['weights'].iloc[0]]} files. {named.scope(rows)}.",
        rows=tuple(_rows(rows, shown)),
        notes=(),
        elsewhere=(),
        failures=(),
        synthetic=bool(first["synthetic"]),
    )


def main_kind(rows: pd.DataFrame) -> pd.DataFrame:
    """Of one track the files of the kind that most systems have, of several the smaller one."""
    counts = rows["weights"].value_counts()
    return rows[
        rows["weights"] == max(counts.index, key=lambda kind: (counts[kind], list(FILES).index(kind)))
    ]


def machine_name(row: pd.Series) -> str:
    """Where the files ran."""
    return f"{row['device']}, {units.counted(row['threads'], 'thread')}"


def _rows(rows: pd.DataFrame, shown: pd.DataFrame) -> Iterator[Row]:
    fronts = shown.set_index(_KEY)
    for key, files in rows.groupby(_KEY, sort=False):
        first = files.iloc[0]
        by_kind = {row["weights"]: row for _, row in files.iterrows()}
        cells = {"System": first["name"].removesuffix(", causal"), "Direction": first["direction"]}
        cells["Parameters (k)"] = f"{first['parameters'] / 1e3:,.0f}"
        for weights, name in FILES.items():
            if (rows["weights"] == weights).any():
                cells |= _cells(name, by_kind.get(weights))
        worth = [
            word for cost, word in FRONTS.items() if key in fronts.index and fronts.at[key, f"front_{cost}"]
        ]
        scored = f"{first['folds']} × {first['seeds']}"
        yield Row(cells | {"Fronts": ", ".join(worth), SPLITS: first["note"] or scored}, bool(worth))


def _cells(name: str, row: pd.Series | None) -> dict[str, str]:
    """Size, score and time of one kind of file."""
    heads = [f"{name} file", f"UAR % of {name}", f"Time of {name}"]
    if row is None:
        return dict.fromkeys(heads, units.MISSING)
    score, low, high = (units.percent(row[column]) for column in ("uar", "uar_low", "uar_high"))
    return dict(
        zip(
            heads,
            (
                units.memory(row["file_bytes"]),
                f"{score} [{low}, {high}]",
                units.milliseconds(row["exported_ms"]),
            ),
            strict=True,
        )
    )
