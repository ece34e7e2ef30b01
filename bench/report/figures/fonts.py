"""Fonts inside a PDF without the tables that lay text out.

    with without_layout():
        figure.savefig("figure.pdf")

A PDF names every glyph and its place, so a font in it needs outlines and widths, not kerning, ligatures or
accents to place. Cutting those tables down to the glyphs of a figure takes most of the time of its PDF, and
matplotlib has no setting for what is left out; fontTools, which does the cutting, has a list of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fontTools.subset import Options

LAYOUT = ("BASE", "GDEF", "GPOS", "GSUB", "JSTF", "MATH", "kern")


@contextmanager
def without_layout() -> Iterator[None]:
    """While open, fonts that matplotlib embeds hold none of the tables LAYOUT."""
    usual = Options._drop_tables_default
    Options._drop_tables_default = [*usual, *LAYOUT]
    try:
        yield
    finally:
        Options._drop_tables_default = usual
