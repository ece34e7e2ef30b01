"""The figures: each a function from tidy tables to a matplotlib Figure, titled with its finding.

    for name, figure in draw(accuracy, profiles):       # "latency", "memory", "pareto", "recall", …
        save(figure, folder / name)                     # .png and .pdf

One latency and one memory figure a machine, and again of every other regime profiled there (`draw_regimes`:
training, streams, …), one Pareto and one recall figure a comparison, one figure an op benchmark (`draw_ops`).
The machine with most profiles and the comparison with most cells get the plain names, the others a suffix
(`latency-nvidia-h200`). Synthetic corpora are drawn only where there is no real one, and say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bench.config import STREAMS
from bench.evidence.records import OpRecord
from bench.evidence.store import atomic
from bench.report import findings, sections, style
from bench.report.figures.curves import curves
from bench.report.figures.ops import ops
from bench.report.figures.pareto import pareto, pareto_points
from bench.report.figures.recall import recall
from bench.report.style import Look

FORMATS = ("png", "pdf")
_RESOLUTION_DPI = 200
_QUANTITIES = {"latency": findings.LATENCY, "memory": findings.MEMORY}


def draw(accuracy: pd.DataFrame, profiles: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Every figure that the two tables allow, with its file name; either table may be empty."""
    looks = style.assign(
        name for table in (accuracy, profiles) for names in table.get("mixers", ()) for name in names
    )
    yield from _cost_figures(profiles, looks)
    yield from _accuracy_figures(accuracy, profiles, looks)


def draw_regimes(profiles: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Latency and memory of what is not plain, named by regime; of streams the state that they keep.

    `profiles`: `tables.every_profile`. A regime measured at one length alone is no curve.
    """
    if profiles.empty:
        return
    looks = style.assign(name for names in profiles["mixers"] for name in names)
    groups = _most_rows_first(profiles[profiles["regime"] != ""], ["hardware", "network", "regime"])
    lines = [rows for rows in groups if rows["seconds"].nunique() > 1]
    titles = ["", *(f"{rows['regime'].iloc[0]} {rows['device'].iloc[0]}" for rows in lines)]
    for suffix, rows in zip(_suffixes(titles)[1:], lines, strict=True):
        stream = rows["work"].iloc[0] in STREAMS
        quantities = {"latency": findings.LATENCY, "memory": findings.STATE if stream else findings.MEMORY}
        for name, quantity in quantities.items():
            figure = curves(rows, quantity, looks)
            if figure is not None:
                yield name + suffix, figure


def draw_ops(records: Sequence[OpRecord]) -> Iterator[tuple[str, Figure]]:
    """A figure a benchmark of the ops: "ops" for the one with most comparisons, a suffix for the others."""
    largest_first = sorted(records, key=lambda record: (-len(record.comparisons), record.id))
    suffixes = _suffixes([record.setting.device for record in largest_first])
    for suffix, record in zip(suffixes, largest_first, strict=True):
        figure = ops(record)
        if figure is not None:
            yield f"ops{suffix}", figure


def save(figure: Figure, path: Path) -> list[Path]:
    """Write `path`.png and `path`.pdf; the same figure gives the same bytes."""
    written = []
    for kind in FORMATS:
        target = path.with_name(f"{path.name}.{kind}")
        with atomic(target) as temporary, style.settings():
            metadata = {"CreationDate": None} if kind == "pdf" else {}
            figure.savefig(temporary, format=kind, dpi=_RESOLUTION_DPI, metadata=metadata)
        written.append(target)
    return written


def _cost_figures(profiles: pd.DataFrame, looks: Mapping[str, Look]) -> Iterator[tuple[str, Figure]]:
    if profiles.empty:
        return
    machines = _most_rows_first(profiles, ["hardware", "network"])
    for suffix, rows in zip(_suffixes([rows["device"].iloc[0] for rows in machines]), machines, strict=True):
        for name, quantity in _QUANTITIES.items():
            figure = curves(rows, quantity, looks)
            if figure is not None:
                yield name + suffix, figure


def _accuracy_figures(
    accuracy: pd.DataFrame, profiles: pd.DataFrame, looks: Mapping[str, Look]
) -> Iterator[tuple[str, Figure]]:
    if accuracy.empty:
        return
    real = accuracy[~accuracy["synthetic"]]
    real = real if len(real) else accuracy
    tested = real[real["split"] != "dev"]  # chosen on, so drawn only where there is nothing else
    comparisons = _most_rows_first(tested if len(tested) else real, ["comparison"], weight="cells_ok")
    names = [_place(rows.iloc[0]) for rows in comparisons]
    for suffix, rows in zip(_suffixes(names), comparisons, strict=True):
        figure = recall(rows)
        if figure is not None:
            yield "recall" + suffix, figure
        hardware = sections.hardware_of(rows, profiles)
        for device, machine in zip(_suffixes(hardware), hardware, strict=True):
            points = pareto_points(rows, profiles, machine)
            if len(points):
                yield "pareto" + suffix + device, pareto(points, machine, looks)


def _place(row: pd.Series) -> str:
    """Corpus and protocol, and a split other than "test"."""
    return f"{row['corpus']} {row['protocol']}" + ("" if row["split"] == "test" else f" {row['split']}")


def _most_rows_first(table: pd.DataFrame, by: Sequence[str], weight: str | None = None) -> list[pd.DataFrame]:
    """The groups of `table`, largest first (rows, or sum of `weight`); ties in the table's order."""
    groups = [rows for _, rows in table.groupby(list(by), sort=False)]
    return sorted(groups, key=lambda rows: -(len(rows) if weight is None else rows[weight].sum()))


def _suffixes(names: Sequence[str]) -> list[str]:
    """File name endings: none for the first, "-slug" for the others, numbered where slugs repeat."""
    suffixes = [""]
    for name in names[1:]:
        slug = "-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        repeats = sum(taken == slug or taken.startswith(f"{slug}-") for taken in suffixes)
        suffixes.append(slug if not repeats else f"{slug}-{repeats + 1}")
    return suffixes[: len(names)]
