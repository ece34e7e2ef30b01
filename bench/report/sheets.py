"""What a figure is drawn for: a page of its own, or a column of a paper.

    sheet = venue("interspeech")         # 3.15 in wide, no headline: the words go into the caption
    style.page(title, subtitle, width=sheet.width or 7.0, body=3.0, sheet=sheet)

Widths are those of the venues' templates: Interspeech columns of 80 mm with 10 mm between them, ICASSP
columns of 86 mm on a print area of 178 mm, IEEE journals 3.5 and 7.16 in, ACL columns of 7.7 cm on 16 cm of
text, NeurIPS 5.5 in of text. Type has the same size on every sheet, at least 7 pt.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from bench.errors import SuiteError

_HEAD_IN, _FOOT_IN = 0.22, 0.19


@dataclass(frozen=True)
class Sheet:
    """A place for a figure; without a width the figure takes what it likes and carries a headline."""

    venue: str = ""
    width: float | None = None  # inches
    spans: bool = False  # both columns of a two-column paper
    resolution_dpi: int = 600  # of a PNG

    @property
    def captioned(self) -> bool:
        """Whether finding and circumstances go into a paper's caption, and the axes have names instead."""
        return self.width is not None

    @property
    def head(self) -> float:
        """Inches above a panel for the name of its vertical axis."""
        return _HEAD_IN if self.captioned else 0.0

    @property
    def foot(self) -> float:
        """Inches below a panel for the name of its horizontal axis."""
        return _FOOT_IN if self.captioned else 0.0


SCREEN = Sheet(resolution_dpi=200)
VENUES = {
    sheet.venue: sheet
    for sheet in (
        Sheet("interspeech", 3.15),
        Sheet("interspeech-double", 6.69, spans=True),
        Sheet("icassp", 3.39),
        Sheet("icassp-double", 7.0, spans=True),
        Sheet("ieee", 3.5),
        Sheet("ieee-double", 7.16, spans=True),
        Sheet("acl", 3.03),
        Sheet("acl-double", 6.3, spans=True),
        Sheet("neurips", 5.5),
    )
}


def venue(name: str) -> Sheet:
    """The sheet of a venue; SuiteError with the nearest name where there is none, SCREEN for ""."""
    if not name:
        return SCREEN
    if name not in VENUES:
        raise SuiteError(f"no venue {name!r}; {nearest(name, VENUES)}")
    return VENUES[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is none of `known`: "the nearest is 'pareto'", or all of them."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"the nearest is {close[0]!r}" if close else f"there is {', '.join(names)}"
