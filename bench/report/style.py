"""How every figure looks: one hue a mixer, type, page, units. The page adds its own: `bench.report.page`.

    looks = assign(["softmax", "retnet", "my_mixer"])     # the same in every figure of a report
    look = system_look(("mamba2", "softmax"), "causal", looks)
    with page("Finding in one sentence.", "hardware · corpus", width=8.6, body=3.6) as figure:
        axes = panel(figure, left=0.6, bottom=0.5, width=3, height=3)
        name_axes(axes, "length of speech", "Time")

On a venue's sheet (`bench.report.sheets`) the sentence and the circumstances are left to the caption, and the
axes are named.

The hues of the known mixers keep at least 8 steps of CIE lightness between them, so that they stay apart
in grey, and differ under the three kinds of colour blindness; markers repeat the distinction. Bidirectional
is solid, causal dashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from bench.report.sheets import SCREEN, Sheet

INK = "#111111"
MUTED = "#6b6b6b"
FAINT = "#dddddd"
HEAT = ("#fbfaf6", "#dfe7ee", "#b3cbdf", "#45779f", "#0f2f52")  # light to dark: recall 0 to 1

BODY_PT = 8.0
SMALL_PT = 7.0
TITLE_PT = 11.0
_TITLE_LINE_IN, _SUBTITLE_LINE_IN = 0.19, 0.14
_MARGIN_IN = 0.12  # beside title and subtitle
_EDGE_IN = 0.05  # above the panels of a figure without headline
_FONT = "DejaVu Sans"  # comes with matplotlib: the same bytes on every machine

_RC: dict[Any, Any] = {
    "font.family": _FONT,
    "font.size": BODY_PT,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "axes.labelsize": BODY_PT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.solid_capstyle": "round",
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "serbench",
}


@dataclass(frozen=True)
class Look:
    """How one system is drawn; `halves` are the two colours of a hybrid's marker."""

    colour: str
    marker: str
    dash: str = "-"
    halves: tuple[str, str] | None = None

    @property
    def text(self) -> str:
        """The colour, darkened until text in it is readable on white (contrast 4.5, WCAG 2.1 AA)."""
        colour, share = self.colour, 0.0
        while _contrast_with_white(colour) < 4.5:
            share += 0.05
            colour = blend(self.colour, INK, share)
        return colour

    def marker_style(self, size: float, hollow: bool = False) -> dict[str, Any]:
        """Keyword arguments of `Axes.plot` for this look's marker: filled with a white edge, or hollow."""
        face, edge = ("white", self.colour) if hollow else (self.colour, "white")
        style = {"marker": self.marker, "markersize": size * _AREAS.get(self.marker, 1.0)}
        style |= {"markerfacecolor": face, "markeredgecolor": edge, "markeredgewidth": 0.6}
        if self.halves is None or hollow:
            return style
        left, right = self.halves
        return style | {"fillstyle": "left", "markerfacecolor": left, "markerfacecoloralt": right}

    def faded(self) -> Look:
        """The same look in pale, opaque colours."""
        halves = self.halves and (blend(self.halves[0], "white", 0.6), blend(self.halves[1], "white", 0.6))
        return replace(self, colour=blend(self.colour, "white", 0.6), halves=halves)


MIXERS = {
    "softmax": Look(INK, "o"),
    "kda": Look("#4c1d78", "D"),
    "retnet": Look("#184d9e", "s"),
    "fox": Look("#b23c24", "^"),
    "mamba2": Look("#0a8a70", "v"),
    "gsa": Look("#d868ad", "P"),
    "softmax_unfused": Look("#a9a9a9", "o"),
    "lightnet": Look("#f0ba35", "X"),
}
EXTENSION = (
    Look("#5fb4e0", "p"),
    Look("#7a5a2b", "<"),
    Look("#8fa823", ">"),
    Look("#7a6fd0", "h"),
    Look("#e07b52", "d"),
    Look("#2f5d34", "*"),
    Look("#9c3f6b", "8"),
)
_HYBRID_MARKER = "H"
# Area of each marker relative to a circle, so that all look equally large.
_AREAS = {"P": 1.3, "X": 1.3, "^": 1.2, "v": 1.2, "D": 0.92, "H": 1.15, "*": 1.4}


def assign(mixers: Iterable[str]) -> dict[str, Look]:
    """A look for every mixer named: the known ones keep theirs, new ones take the next in name order.

    Beyond the last colour they come again, with the markers moved on: no two of 49 new mixers look alike.
    """
    new = sorted(set(mixers) - set(MIXERS))
    return MIXERS | {name: _extension(*divmod(i, len(EXTENSION))) for i, name in enumerate(new)}


def _extension(rounds: int, i: int) -> Look:
    return replace(EXTENSION[i], marker=EXTENSION[(i + rounds) % len(EXTENSION)].marker)


def system_look(mixers: Sequence[str], direction: str, looks: Mapping[str, Look]) -> Look:
    """Look of a layout. A hybrid blends the hues of its first two mixers and halves its marker."""
    dash = "-" if direction == "bidirectional" else "--"
    first = looks[mixers[0]]
    if len(mixers) == 1:
        return replace(first, dash=dash)
    halves = first.colour, looks[mixers[1]].colour
    return Look(blend(*halves, 0.4), _HYBRID_MARKER, dash, halves)


def blend(colour: str, other: str, share: float) -> str:
    """`colour` with `share` of `other` mixed in, as hex."""
    red, green, blue = (
        (1 - share) * a + share * b for a, b in zip(to_rgb(colour), to_rgb(other), strict=True)
    )
    return to_hex((red, green, blue))


def _contrast_with_white(colour: str) -> float:
    """Contrast ratio of WCAG 2.1, from 1 (white) to 21 (black)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05)


def text_on(colour: str) -> str:
    """White or ink, whichever reads better on `colour`."""
    contrast = _contrast_with_white(colour)
    return "white" if contrast > _contrast_with_white(INK) / contrast else INK


def settings() -> Any:
    """Context in which figures are drawn and saved: nothing of the user's own matplotlibrc."""
    return mpl.rc_context(dict(mpl.rcParamsDefault) | _RC)


@lru_cache(maxsize=4096)
def measure(text: str, size: float = SMALL_PT, weight: str = "normal") -> float:
    """Inches that the widest line of a text takes."""
    font = FontProperties(family=_FONT, size=size, weight=weight)
    lines = text.split("\n")
    return max(text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in lines) / 72


@dataclass(frozen=True)
class Provenance:
    """Where a figure comes from: the SHA-256 of the data that it was drawn from, and the command for it."""

    data: str
    command: str


class Picture(Figure):
    """A matplotlib figure that knows its words, whether they stand on it or in a paper's caption."""

    def __init__(self, size: tuple[float, float], sheet: Sheet, finding: str, circumstances: str) -> None:
        """`size` in inches; `circumstances`: parts joined by " · ", on one or more lines."""
        super().__init__(figsize=size, facecolor="white")
        self.sheet = sheet
        self.finding = finding
        self.circumstances = circumstances
        self.provenance: Provenance | None = None

    @property
    def caption(self) -> str:
        """The finding, then the circumstances as sentences."""
        lines = [line.replace(" · ", "; ") for line in self.circumstances.split("\n")]
        return " ".join([self.finding, *(f"{line[0].upper()}{line[1:]}." for line in lines)])


@contextmanager
def page(title: str, subtitle: str, width: float, body: float, sheet: Sheet = SCREEN) -> Iterator[Picture]:
    """A figure of `width` inches with `body` inches for its panels, counted from the bottom.

    Above them, at the left, stand the title (the finding) and the subtitle (the circumstances: parts joined
    by " · ", wrapped between these), but not on a venue's sheet.
    """
    with settings():
        if sheet.captioned:
            yield Picture((width, body + _EDGE_IN), sheet, title, subtitle)
            return
        lines, parts = _wrap(title, width), _wrap_parts(subtitle, width)
        height = body + 0.3 + _TITLE_LINE_IN * len(lines) + _SUBTITLE_LINE_IN * len(parts)
        figure = Picture((width, height), sheet, title, subtitle)
        y = 1 - 0.12 / height
        left = _MARGIN_IN / width
        figure.text(left, y, "\n".join(lines), size=TITLE_PT, weight="bold", va="top", linespacing=1.2)
        y -= (_TITLE_LINE_IN * len(lines) + 0.06) / height
        figure.text(left, y, "\n".join(parts), size=SMALL_PT, color=MUTED, va="top", linespacing=1.35)
        yield figure


def _wrap(title: str, width: float) -> list[str]:
    """Lines of the title, broken between words, about evenly long."""
    room, whole = width - 2 * _MARGIN_IN, measure(title, TITLE_PT, "bold")
    target = whole / -(-whole // room)
    lines: list[str] = [""]
    for word in title.split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        full = measure(lines[-1], TITLE_PT, "bold") >= target
        lines = [*lines, word] if full or measure(longer, TITLE_PT, "bold") > room else [*lines[:-1], longer]
    return lines if lines[0] else lines[1:]


def _wrap_parts(subtitle: str, width: float) -> list[str]:
    """The subtitle on as many lines as it needs, broken at its dots."""
    found = []
    for line in subtitle.split("\n"):
        first, *parts = line.split(" · ")
        found.append(first)
        for part in parts:
            longer = f"{found[-1]} · {part}"
            fits = measure(longer) <= width - 2 * _MARGIN_IN
            found = [*found[:-1], longer] if fits else [*found, part]
    return found


def rule(axes: Axes) -> None:
    """Faint lines across a panel at its vertical ticks, instead of an axis at its left."""
    axes.grid(axis="y", color=FAINT, lw=0.5)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def name_axes(axes: Axes, across: str, up: str) -> None:
    """Name the axes of a panel on a venue's sheet; elsewhere the subtitle names them."""
    if sheet_of(axes).captioned:
        axes.set_xlabel(across, size=SMALL_PT, labelpad=2)
        axes.set_title(up, loc="left", size=SMALL_PT, pad=6)


def sheet_of(axes: Axes) -> Sheet:
    """The sheet that a panel stands on."""
    figure = axes.get_figure(root=True)
    return figure.sheet if isinstance(figure, Picture) else SCREEN


def panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))
