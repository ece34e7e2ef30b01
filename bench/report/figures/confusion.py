"""Which emotion was taken for which: confusion matrices of the best system and of the baseline.

    figure = confusion(matrices(rows of one comparison, details.confusions), rows)

References on the rows, shaded by their share: the per cent of the reference's utterances, and below it how
many these were, all seeds together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from bench.report import sections, style, units
from bench.report.figures import heat
from bench.report.sheets import SCREEN, Sheet
from bench.report.style import Picture

_CELL_IN, _NARROWEST_IN, _ROW_IN, _ROW_IN_PAPER = 0.5, 0.3, 0.36, 0.28
_EDGE, _EDGE_IN_PAPER, _GAP, _TITLE = 0.12, 0.02, 0.24, 0.22


def matrices(rows: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """The cells of the systems to draw: the best one, and the baseline or, where that is best, the second.

    `found`: `Details.confusions`. Columns: those of it, name and uar. Empty where no emotions are told apart.
    """
    systems = rows[rows["comparable"] & rows["uar"].notna()]
    if systems.empty or found.empty:
        return pd.DataFrame()
    best = systems.iloc[:1]
    others = systems.iloc[1:]
    baseline = others[
        (others["layout"] == others["baseline"]) & (others["direction"] == best["direction"].iloc[0])
    ]
    if best["layout"].iloc[0] == best["baseline"].iloc[0] or baseline.empty:
        baseline = others
    drawn = pd.concat([best, baseline.iloc[:1]])[["comparison", "layout", "direction", "name", "uar"]]
    return drawn.merge(found, on=["comparison", "layout", "direction"])


def confusion(cells: pd.DataFrame, rows: pd.DataFrame, sheet: Sheet = SCREEN) -> Picture:
    """Draw the table of `matrices`, which must not be empty, of the comparison that `rows` are of."""
    systems = [some for _, some in cells.groupby(["layout", "direction"], sort=False)]
    emotions = sections.tested_emotions(rows)
    guesses = [name for name in rows["emotions"].iloc[0] if name in emotions or _guessed(cells, name)]
    names = [_counted(emotion, systems[0]) for emotion in emotions]
    laid = _lay(len(systems), names, guesses, sheet)
    with style.page(finding(cells), _subtitle(rows, cells), laid.page, laid.body, sheet) as figure:
        for some, (left, bottom) in zip(systems, laid.places, strict=True):
            axes = style.panel(figure, left, bottom, laid.width, laid.height)
            _matrix(axes, some, emotions, guesses)
            laid.heads.write(axes)
            _title(axes, some, laid.width, above=laid.heads.room)
            if left == laid.places[0][0]:
                heat.row_names(axes, names)
    return figure


@dataclass(frozen=True)
class _Laid:
    """Inches: the page, its body, each matrix and where their lower left corners are."""

    page: float
    body: float
    width: float
    height: float
    places: tuple[tuple[float, float], ...]
    heads: heat.Heads


def _lay(count: int, names: Sequence[str], guesses: Sequence[str], sheet: Sheet) -> _Laid:
    """Matrices side by side, or one below the other where their cells would be too narrow."""
    edge, row = (_EDGE_IN_PAPER, _ROW_IN_PAPER) if sheet.captioned else (_EDGE, _ROW_IN)
    left = edge + max(style.measure(name, style.BODY_PT) for name in names) + 0.08
    across, cell = count, max(_CELL_IN, max(style.measure(name, style.BODY_PT) for name in guesses) + 0.08)
    if sheet.width is not None:
        cell = (sheet.width - left - edge - _GAP * (count - 1)) / count / len(guesses)
        if cell < _NARROWEST_IN:
            across, cell = 1, (sheet.width - left - edge) / len(guesses)
    size = style.SMALL_PT if sheet.captioned else style.BODY_PT
    heads = heat.Heads(guesses, [""] * len(guesses), cell, size)
    width, height = cell * len(guesses), row * len(names)
    step, down = height + heads.room + _TITLE, count // across
    places = [
        (left + (width + _GAP) * (at % across), step * (down - 1 - at // across)) for at in range(count)
    ]
    page = left + width * across + _GAP * (across - 1) + edge
    return _Laid(page, edge + step * down, width, height, tuple((x, edge + y) for x, y in places), heads)


def _title(axes: Axes, cells: pd.DataFrame, width: float, above: float) -> None:
    """The system and its UAR, `above` inches over a matrix of `width`; further left where it is wider."""
    text = f"{cells['name'].iloc[0]}, {units.percent(cells['uar'].iloc[0])} % UAR"
    shift = min(0.0, width - style.measure(text, style.BODY_PT, "bold"))
    axes.annotate(
        text,
        (0, 1),
        (72 * shift, 72 * above + 3),
        xycoords="axes fraction",
        textcoords="offset points",
        size=style.BODY_PT,
        weight="bold",
        va="bottom",
        annotation_clip=False,
    )


def finding(cells: pd.DataFrame) -> str:
    """The emotion that the best system takes for another one most often."""
    best = cells[
        (cells["layout"] == cells["layout"].iloc[0]) & (cells["direction"] == cells["direction"].iloc[0])
    ]
    shares = best["count"] / best.groupby("emotion")["count"].transform("sum")
    wrong = shares[best["emotion"] != best["guess"]].fillna(0.0)
    worst = best.loc[wrong.idxmax()]
    if not wrong.max():
        return f"{worst['name']} takes no emotion for another."
    share = f"{100 * wrong.max():.0f} % of {worst['emotion']} utterances"
    return f"{worst['name']} takes {worst['emotion']} for {worst['guess']} most often: {share}."


def _guessed(cells: pd.DataFrame, emotion: str) -> bool:
    return bool(cells.loc[cells["guess"] == emotion, "count"].any())


def _counted(emotion: str, cells: pd.DataFrame) -> str:
    """The emotion and how many utterances are of it, in one seed."""
    one = cells[cells["emotion"] == emotion]
    return f"{emotion}, n = {one['count'].sum() // one['seeds'].iloc[0]:,}"


def _subtitle(rows: pd.DataFrame, cells: pd.DataFrame) -> str:
    seeds = int(cells["seeds"].max())
    counted = "" if seeds == 1 else f", in {seeds} seeds together"
    return (
        "Guesses for each emotion (row), % of its utterances · small: how many"
        f"{counted}\n{sections.subject(rows)}"
    )


def _matrix(axes: Axes, cells: pd.DataFrame, emotions: list[str], guesses: list[str]) -> None:
    counts = cells.pivot(index="emotion", columns="guess", values="count").loc[emotions, guesses].to_numpy()
    shares: npt.NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
    texts = [
        [f"{100 * share:.0f}\n{count:,}" if count else "" for share, count in zip(some, many, strict=True)]
        for some, many in zip(shares, counts, strict=True)
    ]
    heat.cells(axes, shares, texts)
