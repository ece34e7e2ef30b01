"""What the page shows, as JSON values, from the tables of `bench.report.tables`.

    looks = Looks(style.assign(["softmax", "kda"]))
    comparisons(accuracy, profiles, looks)        # systems, best first, with scores and notes
    curves(profiles, looks)                       # one system on one machine each, a point a length
    findings_of_costs(profiles)                   # a sentence a machine and network

Numbers are those of the tables, to the last digit; what is not there is null. Columns that a table may have
or lack (adjusted p-values, rank groups) are taken where they stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.attributes import ATTRIBUTES
from bench.report import findings, headline, sections, style
from bench.report.style import Look

SCORES = ("uar", "macro_f1", "wa", "ccc", *(f"ccc_{name}" for name in ATTRIBUTES))
# columns of a system's comparison with the others, where the accuracy table has them, and their names here
CONTRASTS = {
    "p_adjusted": "p",
    "detectable": "detectable",
    "rank_group": "group",
    "rank_low": "rankLow",
    "rank_high": "rankHigh",
}
WAYS = {"work": "forward", "engine": "eager"}  # profile columns that set a machine apart unless as usual


class Looks:
    """Numbers every look that the page uses: `of` gives a system's, `used` is the list in that order."""

    def __init__(self, mixers: Mapping[str, Look]) -> None:
        self._mixers = mixers
        self._place: dict[Look, int] = {}

    def of(self, mixers: Sequence[str], direction: str) -> int:
        """The number of a system's look."""
        look = style.system_look(mixers, direction, self._mixers)
        return self._place.setdefault(look, len(self._place))

    @property
    def used(self) -> list[Look]:
        """Every look that was asked for."""
        return list(self._place)

    def marks(self) -> list[dict[str, Any]]:
        """Marker (as matplotlib names it), whether it is halved, and whether lines are dashed."""
        return [
            {"marker": look.marker, "halved": look.halves is not None, "dashed": look.dash == "--"}
            for look in self.used
        ]


def comparisons(accuracy: pd.DataFrame, profiles: pd.DataFrame, looks: Looks) -> list[dict[str, Any]]:
    """Every comparison in the order of the table (real corpora first), but dev after the tests beside it."""
    if accuracy.empty:
        return []
    found = [_comparison(rows, profiles, looks) for _, rows in accuracy.groupby("comparison", sort=False)]
    bases = list(dict.fromkeys(comparison["base"] for comparison in found))
    return sorted(found, key=lambda each: (bases.index(each["base"]), each["split"] == "dev"))


def _comparison(rows: pd.DataFrame, profiles: pd.DataFrame, looks: Looks) -> dict[str, Any]:
    first = rows.iloc[0]
    tested = sections.tested_emotions(rows)
    named = ("corpus", "protocol", "split", "setting", "presets", "recipe", "network", "options")
    return {name: first[name] for name in named} | {
        "id": first["comparison"],
        "base": base_of(first),
        "title": first["corpus_title"],
        "synthetic": bool(first["synthetic"]),
        "finding": findings.accuracy(rows),
        "scope": sections.scope(rows) if rows["folds"].any() else "",
        "chance": 1 / len(tested) if tested else None,
        "headline": headline.of(rows).column,
        "emotions": list(first["emotions"]),
        "attributes": list(first["attributes"]),
        "support": [_support(rows, emotion) for emotion in first["emotions"]],
        "machines": _machines_of(rows, profiles),
        "systems": [_system(row, place, looks) for place, (_, row) in enumerate(rows.iterrows(), start=1)],
    }


def base_of(row: pd.Series) -> str:
    """The id that the comparisons of one training on several splits share."""
    return str(row["comparison"]).removesuffix(f"-{row['split']}")


def _support(rows: pd.DataFrame, emotion: str) -> int:
    return max(int(support.get(emotion, 0)) for support in rows["support"])


def _system(row: pd.Series, place: int, looks: Looks) -> dict[str, Any]:
    emotions = [f"recall_{emotion}" for emotion in row["emotions"]]
    scores = {name: interval(row, name) for name in SCORES if name in row and not np.isnan(row[name])}
    return {
        "place": place if row["comparable"] else None,
        "name": row["name"],
        "layout": row["layout"],
        "direction": row["direction"],
        "look": looks.of(row["mixers"], row["direction"]),
        "parameters": number(row["parameters"]),
        **({"files": files} if (files := _files_of(row)) else {}),
        "train": number(row["train_s"]),
        "note": row["note"],
        "failures": list(row["failures"]),
        "folds": int(row["folds"]),
        "seeds": int(row["seeds"]),
        "seedsExpected": int(row["seeds_expected"]),
        "scores": scores,
        "recall": [interval(row, name) for name in emotions],
        "delta": interval(row, "delta"),
        **{name: number(row.get(column)) for column, name in CONTRASTS.items()},
    }


def _files_of(row: pd.Series) -> dict[str, float]:
    """Bytes of a system's exported files, where there are any."""
    sizes = {name: number(row.get(f"{name}_bytes")) for name in ("float32", "int8")}
    return {name: size for name, size in sizes.items() if size is not None}


def interval(row: pd.Series, name: str) -> list[float | None] | None:
    """Value and both ends; None where there is no value."""
    ends = [number(row[column]) for column in (name, f"{name}_low", f"{name}_high")]
    return None if ends[0] is None else ends


def number(value: Any) -> float | None:
    """A finite number to the last digit, as it is rounded where it is written; None for the rest."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or not np.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(value)


def machine(row: pd.Series) -> str:
    """Hardware, and in which way it was used where that is not the usual one."""
    ways = [str(row[column]) for column, usual in WAYS.items() if row.get(column, usual) != usual]
    return ", ".join([row["hardware"], *(way for way in ways if way not in row["hardware"])])


def _machines_of(rows: pd.DataFrame, profiles: pd.DataFrame) -> list[str]:
    """Where this comparison's encoders were profiled, most profiles first."""
    if profiles.empty:
        return []
    own = profiles[(profiles["network"] == rows["network"].iloc[0]) & (profiles["target"] == "encoder")]
    sizes = own.apply(machine, axis=1).value_counts() if len(own) else pd.Series(dtype=int)
    return sorted(sizes.index, key=lambda name: (-sizes[name], name))


def curves(profiles: pd.DataFrame, looks: Looks) -> list[dict[str, Any]]:
    """Every curve: target, system, machine and its points by length."""
    if profiles.empty:
        return []
    by = ["machine", "network", "target", "layout", "direction"]
    named = profiles.assign(machine=profiles.apply(machine, axis=1))
    return [_curve(rows.sort_values("seconds"), looks) for _, rows in named.groupby(by)]


def _curve(rows: pd.DataFrame, looks: Looks) -> dict[str, Any]:
    first = rows.iloc[0]
    named = ("machine", "network", "setting", "target", "layout", "direction", "name")
    return {name: first[name] for name in named} | {
        "look": looks.of(first["mixers"], first["direction"]),
        "points": [_point(row) for _, row in rows.iterrows()],
    }


def _point(row: pd.Series) -> dict[str, Any]:
    numbers = {
        "seconds": row["seconds"],
        "ms": row["median_ms"],
        "low": row["low_ms"],
        "high": row["high_ms"],
        "bytes": row["peak_bytes"],
        "state": row["state_bytes"],
    }
    point = {name: number(value) for name, value in numbers.items() if number(value) is not None}
    if row["status"] != "ok":
        return point | {"status": row["status"], "reason": row["reason"]}
    return point | {"sure": bool(row["converged"])}


def findings_of_costs(profiles: pd.DataFrame) -> list[dict[str, Any]]:
    """What latency and memory say on each machine and network; "" where nothing was measured."""
    if profiles.empty:
        return []
    named = profiles.assign(machine=profiles.apply(machine, axis=1))
    quantities = {"ms": findings.LATENCY, "bytes": findings.MEMORY}
    return [
        {"machine": name, "network": network, "setting": rows["setting"].iloc[0]}
        | {key: _finding(rows, quantity) for key, quantity in quantities.items()}
        for (name, network), rows in named.groupby(["machine", "network"])
    ]


def _finding(rows: pd.DataFrame, quantity: findings.Quantity) -> str:
    measured = (rows["status"] == "ok") & (rows[quantity.value] > 0)
    return findings.cost(rows, quantity) if measured.any() else ""
