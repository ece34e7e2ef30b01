"""What each curve says as a whole: its growth, where it undercuts softmax, its cost at the longest length.

    table = curves(every_profile(store))            # one row a curve
    markdown(table, sweeps)                         # results/costs.md
    csv(table)                                      # results/costs.csv

Growth and crossovers come with 95 % intervals, from a bootstrap of the raw samples (`bench.evidence.growth`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench import spreadsheet
from bench.evidence import growth
from bench.evidence.bootstrap import UNKNOWN, Interval
from bench.evidence.records import SweepRecord
from bench.report import sweeps as sweep_words
from bench.report import units
from bench.report.findings import LATENCY, Quantity
from bench.report.tables import BASELINE, UNFUSED

FEW = 6  # samples; fewer have no 95 % interval of the median
CURVE = ["hardware", "network", "regime", "target", "layout", "direction"]
PLACE = ["hardware", "network", "regime"]
Curves = Mapping[tuple[str, ...], pd.DataFrame]
_INTRODUCTION = """\
# Costs

Written by `serbench report` from the records in this folder. Growth: p of time ∝ Tᵖ, over the last factor of
16 in length. Faster from: the length of speech from which on a system takes no more time than softmax of its
direction at any longer one. Brackets are 95 % intervals from a bootstrap of the raw samples (1,000 draws);
there are none where a length has fewer than six samples.
Real-time factor: time over speech. Share of ceiling: operations a second over those of the machine's fastest
matrix product. Memory: the peak beside weights and input, a minute of speech. State: what a causal stream
keeps after that length.
"""


def curves(profiles: pd.DataFrame) -> pd.DataFrame:
    """One row a curve of `every_profile`.

    Columns: CURVE, name, setting, growth (_low, _high), faster_than_softmax_s, faster_than_unfused_s (_low,
    _high, NaN where a length has fewer than six samples; inf: not within the lengths measured), longest_s,
    shortest_s, median_ms, rtf, ceiling_share, bytes_per_minute and state_bytes at the longest length
    measured, ended (why it is not longer). NaN where not known.
    """
    if profiles.empty:
        return pd.DataFrame()
    found = by_curve(profiles)
    return pd.DataFrame([_row(found, found[key]) for key in found])


def exponent(points: pd.DataFrame, quantity: Quantity) -> float | None:
    """Growth of a curve's points towards its end; None where fewer than two lengths tell it."""
    tail = growth.tail(dict(zip(points["seconds"], points[quantity.value], strict=True)))
    return growth.slope(tail) if len(tail) > 1 else None


def crossover(points: pd.DataFrame, softmax: pd.DataFrame, quantity: Quantity) -> float | None:
    """Seconds from which on a curve undercuts softmax's; inf where it does not, None with none beside it."""
    if softmax.empty or points.empty or points["layout"].iloc[0] == softmax["layout"].iloc[0]:
        return None
    ours, theirs = (
        dict(zip(some["seconds"], some[quantity.value], strict=True)) for some in (points, softmax)
    )
    if not ours.keys() & theirs.keys():
        return None
    found = growth.crossover(ours, theirs)
    return math.inf if found is None else found


def crossing_words(seconds: float, points: pd.DataFrame) -> str:
    """ "from 41 s"; "throughout" where the shortest length is won; empty where the longest is lost."""
    if seconds == math.inf:
        return ""
    return "throughout" if seconds <= points["seconds"].min() else f"from {_length(seconds)}"


def by_curve(profiles: pd.DataFrame) -> Curves:
    """The rows of every curve by length; the key: its CURVE columns."""
    if profiles.empty:
        return {}
    groups = profiles.groupby(CURVE, sort=False)
    return {tuple(map(str, key)): rows.sort_values("seconds") for key, rows in groups}


def rival(curves: Curves, curve: pd.DataFrame, layout: str) -> pd.DataFrame:
    """The rows of another layout that a curve is compared with: all else alike; maybe none."""
    own = curve[CURVE].iloc[0].to_dict()
    return curves.get(tuple((own | {"layout": layout}).values()), curve.iloc[:0])


def overtakes(drawn: pd.DataFrame, quantity: Quantity) -> bool:
    """Whether some curve undercuts softmax from a length on that is not the shortest."""
    curves = by_curve(drawn)
    for curve in curves.values():
        found = crossover(curve, rival(curves, curve, BASELINE), quantity)
        if found is not None and curve["seconds"].min() < found < math.inf:
            return True
    return False


def markdown(table: pd.DataFrame, sweeps: Sequence[SweepRecord]) -> str:
    """The curves for people: a section a machine, network and regime."""
    parts = [_INTRODUCTION]
    words = sweep_words.summary(sweeps)
    if words:
        parts.append("\n".join(["## Machines\n", *(f"- {line}" for line in words), ""]))
    parts += [_section(rows) for _, rows in table.groupby(PLACE, sort=False)]
    return "\n".join(parts)


def csv(table: pd.DataFrame) -> str:
    """The curves for programs: seconds, ms and bytes."""
    return spreadsheet.text(table, float_format="%.6g")


def _row(curves: Curves, curve: pd.DataFrame) -> dict[str, Any]:
    done = curve[(curve["status"] == "ok") & (curve["median_ms"] > 0)]
    first = curve.iloc[0]
    row = {name: first[name] for name in (*CURVE, "name", "setting")}
    row |= _growth(done).columns("growth")
    for column, layout in (("faster_than_softmax_s", BASELINE), ("faster_than_unfused_s", UNFUSED)):
        row |= _crossover(done, rival(curves, curve, layout)).columns(column)
    ends = {"shortest_s": done["seconds"].min(), "longest_s": done["seconds"].max()}
    costs = ("median_ms", "rtf", "ceiling_share", "bytes_per_minute", "state_bytes")
    longest = done.iloc[-1] if len(done) else dict.fromkeys(costs, np.nan)
    return row | ends | {name: longest[name] for name in costs} | {"ended": _ended(curve)}


def _growth(done: pd.DataFrame) -> Interval:
    samples = growth.tail(_samples(done))
    return _known(growth.slope_interval(samples), samples) if len(samples) > 1 else UNKNOWN


def _crossover(done: pd.DataFrame, softmax: pd.DataFrame) -> Interval:
    softmax = softmax[(softmax["status"] == "ok") & (softmax["median_ms"] > 0)]
    if crossover(done, softmax, LATENCY) is None:
        return UNKNOWN
    ours, theirs = _samples(done), _samples(softmax)
    return _known(growth.crossover_interval(ours, theirs), ours, theirs)


def _samples(points: pd.DataFrame) -> dict[float, Sequence[float]]:
    return dict(zip(points["seconds"], points["samples_ms"], strict=True))


def _known(found: Interval, *samples: Mapping[float, Sequence[float]]) -> Interval:
    """The interval, or none of it where some length has too few samples to tell how far a median moves."""
    few = any(len(values) < FEW for each in samples for values in each.values())
    return Interval(found.value, np.nan, np.nan) if few else found


def _ended(curve: pd.DataFrame) -> str:
    stopped = curve[curve["status"] != "ok"]
    if stopped.empty:
        return ""
    first = stopped.iloc[0]
    status = "out of memory" if first["status"] == "oom" else str(first["status"])
    return f"{status} at {units.seconds(first['seconds'])}: {' '.join(str(first['reason']).split())}"


def _section(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    title = f"## {first['hardware']}: {first['regime'] or 'forward pass'}, {first['setting']}"
    cells = [_cells(row) for _, row in rows.iterrows()]
    heads = list(cells[0])
    rules = [":--" if head in ("System", "Of") else "--:" for head in heads]
    lines = [heads, rules, *([str(cell).replace("|", "\\|") for cell in row.values()] for row in cells)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    ends = [
        f"- {row['name']} ({row['target']}): {row['ended']}" for _, row in rows.iterrows() if row["ended"]
    ]
    return "\n\n".join([title, table, *(["\n".join(ends)] if ends else [])]) + "\n"


def _cells(row: pd.Series) -> dict[str, str]:
    return {
        "System": row["name"],
        "Of": row["target"],
        "Growth": _bracketed(row, "growth", lambda value: f"{value:z.2f}".replace("-", "−")),
        "Faster than softmax from": _bracketed(row, "faster_than_softmax_s", _from(row)),
        "than unfused from": _bracketed(row, "faster_than_unfused_s", _from(row)),
        "Longest": units.MISSING if np.isnan(row["longest_s"]) else _length(row["longest_s"]),
        "Time": units.milliseconds(row["median_ms"]),
        "Real-time factor": _significant(row["rtf"]),
        "Share of ceiling %": units.percent(row["ceiling_share"]),
        "Memory a minute": units.memory(row["bytes_per_minute"]),
        "State": units.memory(row["state_bytes"]),
    }


def _bracketed(row: pd.Series, name: str, written: Callable[[float], str]) -> str:
    value, low, high = (float(row[column]) for column in (name, f"{name}_low", f"{name}_high"))
    if np.isnan(value):
        return units.MISSING
    return written(value) if np.isnan(low) else f"{written(value)} [{written(low)}, {written(high)}]"


def _from(row: pd.Series) -> Callable[[float], str]:
    """How a crossover of this curve is written: bounds for one beyond the lengths measured."""

    def written(seconds: float) -> str:
        if math.isinf(seconds):
            return f"> {_length(row['longest_s'])}"
        return f"≤ {_length(seconds)}" if seconds <= row["shortest_s"] else _length(seconds)

    return written


def _length(seconds: float) -> str:
    """A length of speech to two digits: "41 s", "2.3 min", "1 h"."""
    size, name = next(unit for unit in ((3600.0, "h"), (60.0, "min"), (0.0, "s")) if seconds >= unit[0])
    return f"{units.significant(seconds / (size or 1.0))} {name}"


def _significant(value: float) -> str:
    return units.MISSING if math.isnan(value) else units.significant(value)
