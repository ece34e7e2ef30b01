"""Figures as files: PNG, PDF and SVG that say what they were made from, and LaTeX to include them.

    save(picture, Path("figures/pareto"))              # figures/pareto.png, .pdf, .svg
    save_float(picture, Path("figures/pareto"))        # figures/pareto.tex: \\input it where the figure goes

The finding, the SHA-256 of the data and the command are in each file: text chunks "Title", "Data" and
"Command" of a PNG, Title, Keywords and Creator of a PDF, title, identifier and source of an SVG. No dates:
the same figure gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from matplotlib.figure import Figure

from bench.evidence.store import atomic
from bench.report import style
from bench.report.figures.fonts import without_layout
from bench.report.latex import escaped
from bench.report.sheets import SCREEN
from bench.report.style import Picture

Format = Literal["png", "pdf", "svg"]
FORMATS: tuple[Format, ...] = ("png", "pdf", "svg")


def save(figure: Figure, path: Path, formats: Sequence[Format] = FORMATS) -> list[Path]:
    """Write `path`.png, `path`.pdf and `path`.svg, or those of `formats`, and return their paths."""
    sheet = figure.sheet if isinstance(figure, Picture) else SCREEN
    written = []
    for kind in formats:
        target = path.with_name(f"{path.name}.{kind}")
        with atomic(target) as temporary, style.settings(), without_layout():
            figure.savefig(temporary, format=kind, dpi=sheet.resolution_dpi, metadata=_metadata(figure, kind))
        written.append(target)
    return written


def save_float(picture: Picture, path: Path) -> Path:
    """Write `path`.tex, a LaTeX float with the caption, for a figure on a venue's sheet."""
    target = path.with_name(f"{path.name}.tex")
    environment = "figure*" if picture.sheet.spans else "figure"
    command = [f"% {picture.provenance.command}"] if picture.provenance else []
    lines = [
        *command,
        rf"\begin{{{environment}}}",
        r"  \centering",
        rf"  \includegraphics{{{path.name}}}% already at its size",
        rf"  \caption{{{escaped(picture.caption)}}}",
        rf"  \label{{fig:{path.name}}}",
        rf"\end{{{environment}}}",
    ]
    with atomic(target) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


def _metadata(figure: Figure, kind: Format) -> dict[str, Any]:
    """What a file says of itself, in the words that its format has; dates are left out."""
    dateless: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind, {})
    if not isinstance(figure, Picture) or figure.provenance is None:
        return dateless
    data, command, title = f"sha256:{figure.provenance.data}", figure.provenance.command, figure.finding
    names = {
        "png": ("Title", "Data", "Command"),
        "pdf": ("Title", "Keywords", "Creator"),
        "svg": ("Title", "Identifier", "Source"),
    }[kind]
    return dateless | dict(zip(names, (title, data, command), strict=True))
