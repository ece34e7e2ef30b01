"""The leaderboard as text cells, before it is Markdown or LaTeX: a section a comparison, best first.

    for section in sections_of(accuracy, profiles):
        section.title, section.finding, section.circumstances, section.rows, section.notes

Pure functions of the tables of `bench.report.tables`. Real corpora come first, synthetic ones last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.report import arousal, findings, headline, units
from bench.report.costs import costs
from bench.report.sections import scope, tested_emotions, title

ONE_SEED = "†"
_COST_HEADS: dict[str, tuple[str, Callable[[float], str]]] = {
    "median_ms": ("Latency", units.milliseconds),
    "peak_bytes": ("Memory", units.memory),
    "energy_j": ("Energy", units.energy),
}
PARETO = "Pareto"
SPLITS = "Folds × seeds"
_FILES = {"float32_bytes": "float32 file", "int8_bytes": "int8 file"}  # columns of `sizes.with_files`


@dataclass(frozen=True)
class Row:
    """One system: its cells by the heads of their columns, and whether it is in the first rank group."""

    cells: dict[str, str]
    leads: bool


@dataclass(frozen=True)
class Section:
    """One comparison; `elsewhere` are the costs on further hardware, a table each."""

    title: str
    finding: str
    circumstances: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    elsewhere: tuple[tuple[str, tuple[Row, ...]], ...]
    failures: tuple[str, ...]
    synthetic: bool


def sections_of(accuracy: pd.DataFrame, profiles: pd.DataFrame) -> list[Section]:
    """The sections of a leaderboard, real corpora first."""
    groups = [rows for _, rows in accuracy.groupby("comparison", sort=False)]
    return [_section(rows, profiles) for rows in sorted(groups, key=lambda rows: rows["synthetic"].iloc[0])]


def _section(rows: pd.DataFrame, profiles: pd.DataFrame) -> Section:
    found = costs(rows, profiles)
    machines = [(str(name), some) for name, some in found.groupby("hardware", sort=False)]
    measured = [_cost_cells(rows, some) for _, some in machines]
    first = measured[0] if measured else [{}] * len(rows)
    return Section(
        title=title(rows),
        finding=findings.accuracy(rows),
        circumstances=_circumstances(rows),
        rows=tuple(_rows(rows, first)),
        notes=tuple(_notes(rows, machines)),
        elsewhere=tuple(
            (f"On {name}", _elsewhere(rows, cells))
            for (name, _), cells in zip(machines[1:], measured[1:], strict=True)
        ),
        failures=tuple(f"{row['name']}: {text}" for _, row in rows.iterrows() for text in row["failures"]),
        synthetic=bool(rows["synthetic"].iloc[0]),
    )


def _rows(rows: pd.DataFrame, measured: Sequence[dict[str, str]]) -> list[Row]:
    baseline = findings.baseline_name(rows)
    held = [name for name in _FILES if name in rows and rows[name].notna().any()]
    found = []
    for place, (cost, (_, row)) in enumerate(zip(measured, rows.iterrows(), strict=True), start=1):
        cells = _identity(row, str(place) if row["comparable"] else "") | _scores(row, baseline)
        cells |= {head: units.memory(row[name]) for name, head in _FILES.items() if name in held}
        note = row["note"] or _scored(row)
        found.append(Row(cells | cost | {SPLITS: note}, bool(row["rank_group"] == 1)))
    return found


def _elsewhere(rows: pd.DataFrame, measured: Sequence[dict[str, str]]) -> tuple[Row, ...]:
    named = zip(rows.iterrows(), measured, strict=True)
    return tuple(Row({"System": row["name"]} | cells, False) for (_, row), cells in named)


def _identity(row: pd.Series, place: str) -> dict[str, str]:
    return {
        "#": place,
        "System": row["name"].removesuffix(", causal"),
        "Direction": row["direction"],
        "Parameters (k)": units.MISSING if np.isnan(row["parameters"]) else f"{row['parameters'] / 1e3:.0f}",
    }


def _scores(row: pd.Series, baseline: str) -> dict[str, str]:
    """The headline score, what it says beside the others', then the scores that the comparison also has."""
    first = headline.UAR if row["emotions"] else headline.CCC
    cells = {
        first.head: _with_interval(row, first.column, first.written),
        f"Δ to {baseline}": _with_interval(row, "delta", first.difference),
        "p": units.probability(row["p_adjusted"]),
        "Group": units.MISSING if np.isnan(row["rank_group"]) else f"{row['rank_group']:.0f}",
        "Rank": units.MISSING if np.isnan(row["rank_low"]) else _span(row["rank_low"], row["rank_high"]),
    }
    if row["emotions"]:
        cells |= {"Macro-F1 %": units.percent(row["macro_f1"]), "WA %": units.percent(row["wa"])}
    if row["attributes"]:
        cells["CCC"] = _with_interval(row, "ccc", units.concordance)
    return cells | {f"CCC {name}": units.concordance(row[f"ccc_{name}"]) for name in row["attributes"]}


def _with_interval(row: pd.Series, name: str, written: Callable[[float], str]) -> str:
    value, low, high = (float(row[column]) for column in (name, f"{name}_low", f"{name}_high"))
    if np.isnan(value) or np.isnan(low):
        return written(value)
    return f"{written(value)} [{written(low)}, {written(high)}]"


def _span(low: float, high: float) -> str:
    return f"{low:.0f}" if low == high else f"{low:.0f}–{high:.0f}"


def _scored(row: pd.Series) -> str:
    missing = f" of {row['seeds_expected']}" if row["seeds"] < row["seeds_expected"] else ""
    return f"{row['folds']} × {row['seeds']}{missing}" + (ONE_SEED if row["seeds"] == 1 else "")


def _cost_cells(rows: pd.DataFrame, machine: pd.DataFrame) -> list[dict[str, str]]:
    """The costs of every system on one machine, in the order of the rows."""
    lengths = machine.drop_duplicates("seconds")[["asked_s", "seconds"]]
    by_key = machine.set_index(["layout", "direction", "seconds"]).sort_index()
    by_key = by_key[~by_key.index.duplicated()]
    found = []
    for _, row in rows.iterrows():
        some = by_key.loc[(row["layout"], row["direction"])]
        cells: dict[str, str] = {}
        for name, (head, written) in _COST_HEADS.items():
            if machine[name].notna().any():
                measured = {_length(*pair): some.at[pair[1], name] for pair in lengths.to_numpy().tolist()}
                cells |= {f"{head} at {length}": written(value) for length, value in measured.items()}
        front = [units.seconds(seconds) for seconds in lengths["seconds"] if some.at[seconds, "front"]]
        found.append(cells | {PARETO: ", ".join(front)})
    return found


def _length(asked: float, measured: float) -> str:
    """A measured length, and the one that it stands for where that is another."""
    return units.seconds(measured) + ("" if asked == measured else f" (for {units.seconds(asked)})")


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


def _notes(rows: pd.DataFrame, machines: Sequence[tuple[str, pd.DataFrame]]) -> list[str]:
    """What to know below the table: power, spread, hardware."""
    ranked = rows[rows["comparable"]]
    measure = headline.of(rows)
    found = [_power(ranked, measure), _spread(ranked, measure)]
    found += [arousal.sentence(row) for _, row in ranked.head(1).iterrows()]
    found += [f"Latency and memory: {name}." for name, _ in machines[:1]]
    return [text for text in found if text]


def _power(ranked: pd.DataFrame, measure: headline.Headline) -> str:
    """The smallest differences that these data could show."""
    detectable = ranked["detectable"].dropna()
    if detectable.empty:
        return ""
    ends = [measure.gap(value) for value in (detectable.min(), detectable.max())]
    span = ends[0] if len(set(ends)) == 1 else f"{ends[0].removesuffix(' points')} to {ends[1]}"
    name = findings.baseline_name(ranked)
    return f"Smallest difference to {name} that one test at 5 % finds four times in five: {span}."


def _spread(ranked: pd.DataFrame, measure: headline.Headline) -> str:
    """How far scores move with other speakers and with another training."""
    if ranked.empty or ranked["sd_speakers"].isna().all():
        return ""
    speakers = measure.gap(ranked["sd_speakers"].median())
    text = f"Standard deviation of a score (median system): {speakers} between choices of speakers"
    if not ranked["sd_seeds"].isna().all():
        seeds, both = (measure.gap(ranked[name].median()) for name in ("sd_seeds", "sd_both"))
        text += f", {seeds} between seeds, {both} between seeds that differs from speaker to speaker"
    if (ranked["seeds"] > 1).all():
        return f"{text}."
    return f"{text}. {ONE_SEED} One seed: the spread between trainings is unknown, and in no interval."
