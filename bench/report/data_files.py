"""The leaderboard for programs: results/leaderboard.csv and results/leaderboard.json.

    csv(accuracy, profiles) -> str              # one row a system, all columns
    json_text(accuracy, groups, profiles) -> str     # nested: comparison, system, scores, groups, costs

Fractions, seconds, ms, bytes and joules. The same records give the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bench import spreadsheet
from bench.report import findings
from bench.report.costs import MEASURED, OPTIONAL, costs

COMPARISON = (
    *("comparison", "corpus", "corpus_title", "protocol", "release", "options", "split", "recipe", "network"),
    *("setting", "presets", "emotions", "attributes", "folds_expected", "seeds_expected", "baseline"),
)
SYSTEM = (
    *("layout", "direction", "name", "mixers", "parameters", "train_s", "cells_ok", "failures", "comparable"),
    *("note", "folds", "seeds", "utterances", "speakers", "support"),
)
FILES = ("float32_bytes", "int8_bytes")  # of exported files, where there are any
NESTED = ("support", "confusions")  # left out of the CSV file
_DIFFERENCE = {
    "value": "delta",
    "low": "delta_low",
    "high": "delta_high",
    "p": "p",
    "p_adjusted": "p_adjusted",
}
_RANK = {"group": "rank_group", "low": "rank_low", "high": "rank_high"}
_SPREAD = {"speakers": "sd_speakers", "seeds": "sd_seeds", "both": "sd_both"}
_CSV_COSTS = {"median_ms": "latency_{}s_ms", "peak_bytes": "memory_{}s_bytes", "energy_j": "energy_{}s_j"}
_CSV_COSTS |= {"seconds": "measured_{}s_s", "front": "pareto_{}s"}


def csv(accuracy: pd.DataFrame, profiles: pd.DataFrame) -> str:
    """One row a system: the columns of the accuracy table, then what its encoder costs.

    Those of attributes are left out where none were trained, and those that hold several numbers always.

    The costs stand in `hardware_<n>` and, at 10, 60 and 400 s, `latency_<s>s_ms_<n>`,
    `memory_<s>s_bytes_<n>`, `measured_<s>s_s_<n>` (the length that was measured), `pareto_<s>s_<n>` and,
    where measured, `energy_<s>s_j_<n>`; 1 is the hardware with most profiles. The sizes of exported files
    (`float32_bytes`, `int8_bytes`) have columns where there are any.
    """
    if not accuracy["attributes"].any():
        accuracy = accuracy.drop(columns="attributes").filter(regex="^(?!ccc)")
    groups = [rows for _, rows in accuracy.groupby("comparison", sort=False)]
    rows = [row for some in groups for row in _csv_rows(some, costs(some, profiles))]
    return spreadsheet.text(pd.DataFrame(rows), float_format="%.6g")


def _csv_rows(rows: pd.DataFrame, found: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for _, row in rows.iterrows():
        columns = {str(name): value for name, value in row.items() if name not in NESTED}
        columns |= {name: " ".join(row[name]) for name in ("emotions", "attributes", "mixers") if name in row}
        columns["failures"] = "; ".join(row["failures"])
        own = _of(row, found)
        for number, (hardware, some) in enumerate(own.groupby("hardware", sort=False), start=1):
            columns[f"hardware_{number}"] = hardware
            for _, cost in some.iterrows():
                columns |= _csv_costs(cost, number, found)
        yield columns


def _csv_costs(cost: pd.Series, number: int, found: pd.DataFrame) -> dict[str, Any]:
    names = {
        name: form for name, form in _CSV_COSTS.items() if name not in OPTIONAL or found[name].notna().any()
    }
    return {f"{form.format(f'{cost.asked_s:g}')}_{number}": cost[name] for name, form in names.items()}


def _of(row: pd.Series, found: pd.DataFrame) -> pd.DataFrame:
    return found[(found["layout"] == row["layout"]) & (found["direction"] == row["direction"])]


def json_text(accuracy: pd.DataFrame, groups: pd.DataFrame, profiles: pd.DataFrame) -> str:
    """The same with the scores by groups of utterances; synthetic corpora stand in a list of their own."""
    found: dict[str, list[dict[str, Any]]] = {"comparisons": [], "synthetic": []}
    for name, rows in accuracy.groupby("comparison", sort=False):
        own = groups[groups["comparison"] == name] if len(groups) else groups
        kind = "synthetic" if rows["synthetic"].iloc[0] else "comparisons"
        found[kind].append(_comparison(rows, own, costs(rows, profiles)))
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _comparison(rows: pd.DataFrame, groups: pd.DataFrame, found: pd.DataFrame) -> dict[str, Any]:
    first = rows.iloc[0]
    systems = []
    for _, row in rows.iterrows():
        own = _of(row, groups) if len(groups) else groups
        systems.append(
            {name: _plain(row[name]) for name in (*SYSTEM, *FILES) if name in row}
            | {"scores": _scores(row)}
            | {name: _renamed(row, names) for name, names in _PARTS.items()}
            | {"smallest_detectable": _plain(row["detectable"])}
            | {"groups": _records(own.drop(columns=_IDENTITY, errors="ignore"))}
            | {"costs": _costs(_of(row, found))}
        )
    shared = {name: _plain(first[name]) for name in COMPARISON}
    return shared | {"finding": findings.accuracy(rows), "systems": systems}


_PARTS = {"difference": _DIFFERENCE, "rank": _RANK, "standard_deviation": _SPREAD}
_IDENTITY = ["comparison", "corpus", "split", "synthetic", "layout", "direction", "comparable"]


def _renamed(row: pd.Series, names: Mapping[str, str]) -> dict[str, Any]:
    return {new: _plain(row[old]) for new, old in names.items()}


def _scores(row: pd.Series) -> dict[str, dict[str, Any]]:
    """Every score that the system has, with its interval."""
    names = [str(name).removesuffix("_low") for name in row.index if str(name).endswith("_low")]
    names = [
        name for name in names if name in row and name not in ("delta", "rank") and not pd.isna(row[name])
    ]
    return {
        name: {
            "value": _plain(row[name]),
            "low": _plain(row[f"{name}_low"]),
            "high": _plain(row[f"{name}_high"]),
        }
        for name in names
    }


def _costs(own: pd.DataFrame) -> list[dict[str, Any]]:
    absent = [name for name in OPTIONAL if own[name].isna().all()]
    return _records(
        own.drop(columns=["layout", "direction", *absent])[own[list(MEASURED)].notna().any(axis=1)]
    )


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    """As JSON has it: six significant digits, null for NaN."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
