"""The figures: each a function from tidy tables to a matplotlib figure, titled with its finding.

    for name, figure in draw(accuracy, profiles):       # "latency", "memory", "pareto", "recall", …
        save(figure, folder / name)                     # .png, .pdf and .svg

`entries` is the whole catalogue (`bench.report.figures.catalogue`), some of it from tables that the two do
not hold: what `serbench report` and `serbench figures` draw, the latter also at the width of a paper's column
(`bench.report.sheets`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from bench.evidence.records import OpRecord
from bench.report.figures.catalogue import KINDS, Entry, Material, chosen, entries, overview
from bench.report.figures.saving import FORMATS, Format, save, save_float
from bench.report.sheets import SCREEN, Sheet
from bench.report.style import Picture

__all__ = [
    "FORMATS",
    "KINDS",
    "Entry",
    "Format",
    "Material",
    "chosen",
    "draw",
    "draw_ops",
    "draw_regimes",
    "entries",
    "overview",
    "save",
    "save_float",
    "write",
]


def draw(accuracy: pd.DataFrame, profiles: pd.DataFrame) -> Iterator[tuple[str, Picture]]:
    """Every figure that the two tables allow, with its file name; either table may be empty.

    `profiles`: `tables.profile_table`.
    """
    return _drawn(Material(accuracy=accuracy, costs=profiles))


def draw_regimes(profiles: pd.DataFrame) -> Iterator[tuple[str, Picture]]:
    """Latency and memory of what is not plain, named by regime; of streams the state that they keep.

    `profiles`: `tables.every_profile`. A regime measured at one length alone is no curve.
    """
    return _drawn(Material(costs=profiles[profiles["regime"] != ""] if len(profiles) else profiles))


def draw_ops(records: Sequence[OpRecord]) -> Iterator[tuple[str, Picture]]:
    """A figure a benchmark of the ops: "ops" for the one with most comparisons, a suffix for the others."""
    return _drawn(Material(ops=records))


def _drawn(material: Material) -> Iterator[tuple[str, Picture]]:
    return ((entry.name, entry.draw()) for entry in entries(material))


def write(entry: Entry, folder: Path, sheet: Sheet = SCREEN, formats: Sequence[Format] = ()) -> list[Path]:
    """Draw one figure into `folder` and return the paths; on a venue's sheet with a LaTeX float for it.

    No formats named: all of them, on a venue's sheet PDF alone.
    """
    picture, path = entry.draw(sheet), folder / entry.name
    written = save(picture, path, formats or (("pdf",) if sheet.captioned else FORMATS))
    return [*written, save_float(picture, path)] if sheet.captioned else written
