"""The leaderboard: a section a comparison, best first, as Markdown for people and CSV for programs.

    markdown(accuracy, profiles) -> str          results/leaderboard.md
    csv(accuracy, profiles) -> str               results/leaderboard.csv

Pure functions of the tables of `bench.report.tables`: no clock, no random order, so the same records give
the same bytes. Synthetic corpora come last, under a heading of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.report import findings, headline, units
from bench.report.sections import (
    LATENCY_SECONDS,
    MEMORY_SECONDS,
    encoder_cost,
    hardware_of,
    scope,
    tested_emotions,
    title,
)

_INTRODUCTION = """\
# Leaderboard

Written by `serbench report` from the records in this folder. Scores are pooled over the test speakers of all
folds and averaged over seeds. Brackets are 95 % intervals from a bootstrap over speakers (10,000 draws): how
far a score would move with other speakers, not with another training. Δ is the difference in UAR to softmax
of the same direction, in percentage points, paired on the same draws; intervals are not adjusted for the
number of systems. Latency and memory are those of the whole encoder, log-mel to emotion.
"""
_CONCORDANCE = """\
CCC is the concordance correlation coefficient of an attribute, or the mean of all; where no emotions are
trained, the mean orders the table and Δ is the difference in it.
"""
_SYNTHETIC = "Synthetic corpus (smoke test, not a result)"


def markdown(accuracy: pd.DataFrame, profiles: pd.DataFrame) -> str:
    """The leaderboard as a Markdown document; `accuracy` must not be empty."""
    parts = [_INTRODUCTION, *([_CONCORDANCE] if accuracy["attributes"].any() else [])]
    for synthetic, heading in ((False, "##"), (True, "###")):
        sections = accuracy[accuracy["synthetic"] == synthetic]
        if synthetic and len(sections):
            parts.append(f"## {_SYNTHETIC}\n")
        parts += [_section(rows, profiles, heading) for _, rows in sections.groupby("comparison", sort=False)]
    return "\n".join(parts)


def _section(rows: pd.DataFrame, profiles: pd.DataFrame, heading: str) -> str:
    hardware = hardware_of(rows, profiles)
    table = _table([_cells(row, place, hardware, profiles) for place, row in _placed(rows)])
    blocks = [f"{heading} {title(rows)}", f"**{findings.accuracy(rows)}** {_circumstances(rows)}", table]
    blocks += [text for text in (_hardware_key(hardware), _failures(rows)) if text]
    return "\n\n".join(blocks) + "\n"


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table; words to the left, numbers to the right."""
    heads = list(rows[0])
    rules = [":--" if head in ("System", "Direction", "Folds × seeds") else "--:" for head in heads]
    lines = [heads, rules, *([cell.replace("|", "\\|") for cell in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _circumstances(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    tested = _tested(rows)
    scored = f"{scope(rows)}; {tested}." if tested else ""
    if first["split"] == "dev":
        scored += " The epoch was chosen on these, so the scores flatter."
    return (
        f"{scored} {first['setting'][:1].upper()}{first['setting'][1:]}. Preset: {first['presets']}.".strip()
    )


def _tested(rows: pd.DataFrame) -> str:
    """What was recognised, and how well guessing does; empty where nothing was scored."""
    count, attributes = len(tested_emotions(rows)), rows["attributes"].iloc[0]
    emotions = [f"{count} emotions, so chance is {units.percent(1 / count)} % UAR"] if count else []
    predicted = [f"CCC of {units.listing(attributes)}"] if len(attributes) and rows["folds"].any() else []
    return "; ".join(emotions + predicted)


def _placed(rows: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """Rows with their position; those that cannot be compared have none."""
    return [(str(i + 1) if row["comparable"] else "", row) for i, (_, row) in enumerate(rows.iterrows())]


def _cells(row: pd.Series, place: str, hardware: Sequence[str], profiles: pd.DataFrame) -> dict[str, str]:
    cells = {
        "#": place,
        "System": row["name"].removesuffix(", causal"),
        "Direction": row["direction"],
        "Parameters (k)": units.MISSING if np.isnan(row["parameters"]) else f"{row['parameters'] / 1e3:.0f}",
        **_scores(row),
    }
    for number, name in enumerate(hardware, start=1):
        mark = f" [{number}]" if len(hardware) > 1 else ""
        short, long = (
            encoder_cost(row, name, length, profiles) for length in (LATENCY_SECONDS, MEMORY_SECONDS)
        )
        cells[f"Latency at {units.seconds(LATENCY_SECONDS)}{mark}"] = _cost(
            short, "median_ms", units.milliseconds
        )
        cells[f"Memory at {units.seconds(MEMORY_SECONDS)}{mark}"] = _cost(long, "peak_bytes", units.memory)
    return cells | {"Folds × seeds": row["note"] or _scored(row)}


def _scores(row: pd.Series) -> dict[str, str]:
    """The headline score and its difference to softmax, then the others that the comparison has."""
    first = headline.UAR if row["emotions"] else headline.CCC
    cells = {
        first.head: _with_interval(row, first.column, first.written),
        "Δ to softmax": _with_interval(row, "delta", first.difference),
    }
    if row["emotions"]:
        cells |= {"Macro-F1 %": units.percent(row["macro_f1"]), "WA %": units.percent(row["wa"])}
    if row["attributes"]:
        cells["CCC"] = _with_interval(row, "ccc", units.concordance)
    return cells | {f"CCC {name}": units.concordance(row[f"ccc_{name}"]) for name in row["attributes"]}


def _scored(row: pd.Series) -> str:
    missing = f" of {row['seeds_expected']}" if row["seeds"] < row["seeds_expected"] else ""
    return f"{row['folds']} × {row['seeds']}{missing}"


def _with_interval(row: pd.Series, name: str, written: Callable[[float], str]) -> str:
    value, low, high = (float(row[column]) for column in (name, f"{name}_low", f"{name}_high"))
    if np.isnan(value) or np.isnan(low):
        return written(value)
    return f"{written(value)} [{written(low)}, {written(high)}]"


def _cost(profile: pd.Series | None, column: str, written: Callable[[float], str]) -> str:
    return units.MISSING if profile is None else written(float(profile[column]))


def _hardware_key(hardware: Sequence[str]) -> str:
    """Names the hardware of the cost columns."""
    if len(hardware) == 1:
        return f"Latency and memory: {hardware[0]}."
    return " ".join(f"[{number}] {name}." for number, name in enumerate(hardware, start=1))


def _failures(rows: pd.DataFrame) -> str:
    """Every failed cell and its reason, one a line."""
    lines = [f"- {row['name']}: {failure}" for _, row in rows.iterrows() for failure in row["failures"]]
    return "\n".join([f"{units.counted(len(lines), 'cell')} failed:\n", *lines]) if lines else ""


def csv(accuracy: pd.DataFrame, profiles: pd.DataFrame) -> str:
    """The same rows for programs: the columns of the accuracy table, fractions, ms and bytes.

    Those of attributes are left out where none were trained.

    The costs stand in `hardware_<n>`, `latency_10s_ms_<n>` and `memory_60s_bytes_<n>`; 1 is the hardware with
    most profiles.
    """
    if not accuracy["attributes"].any():
        accuracy = accuracy.drop(columns="attributes").filter(regex="^(?!ccc)")
    rows = [_csv_row(row, hardware_of(group, profiles), profiles) for group, row in _with_group(accuracy)]
    return pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n")


def _with_group(accuracy: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.Series]]:
    for _, group in accuracy.groupby("comparison", sort=False):
        for _, row in group.iterrows():
            yield group, row


def _csv_row(row: pd.Series, hardware: Sequence[str], profiles: pd.DataFrame) -> dict[str, Any]:
    columns = {str(name): value for name, value in row.items() if name != "support"}
    columns |= {name: " ".join(row[name]) for name in ("emotions", "attributes", "mixers") if name in row}
    columns["failures"] = "; ".join(row["failures"])
    for number, name in enumerate(hardware, start=1):
        short, long = (
            encoder_cost(row, name, length, profiles) for length in (LATENCY_SECONDS, MEMORY_SECONDS)
        )
        columns[f"hardware_{number}"] = name
        columns[f"latency_10s_ms_{number}"] = np.nan if short is None else short["median_ms"]
        columns[f"memory_60s_bytes_{number}"] = np.nan if long is None else long["peak_bytes"]
    return columns
