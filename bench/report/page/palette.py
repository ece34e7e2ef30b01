"""The page's colours of mixers and of recall, light and dark, as CSS variables.

    css([Look(…), …])       # ":root{--look-0:light-dark(#4c1d78,#c8b6fb);--look-0-text:…;--heat-0:…}"

On white every mixer has the hue of the figures (`bench.report.style`). On black the known ones have a twin,
chosen so that they stay apart under the three kinds of colour blindness, and any other is lightened until it
stands out. Lines and the edges of markers have a contrast of 3 with what lies behind them, text in a mixer's
colour and text on a cell of a heat map one of 4.5 (WCAG 2.1 AA).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgb

from bench.report import style
from bench.report.style import Look

WHITE, BLACK = "#ffffff", "#16191d"  # what lies behind the page's charts; as --panel in page.css
DARK = {
    "softmax": "#f4f4f2",
    "kda": "#c8b6fb",
    "retnet": "#3f7be0",
    "fox": "#d9573a",
    "mamba2": "#2cc29c",
    "gsa": "#ee8cc6",
    "softmax_unfused": "#77797c",
    "lightnet": "#f6cf6b",
}
_DARK_OF = {style.MIXERS[name].colour: colour for name, colour in DARK.items()}
MARK, TEXT = 3.0, 4.5  # contrasts that WCAG 2.1 AA asks of graphics and of text
HEAT_STEPS = 20  # as in recall.js


def css(looks: Sequence[Look]) -> str:
    """One `:root` rule with the variables of every look, in this order, and of the steps of heat."""
    lines = [line for index, look in enumerate(looks) for line in _look(f"--look-{index}", look)]
    for step in range(HEAT_STEPS + 1):
        light, dark = (heat(step / HEAT_STEPS, background) for background in (WHITE, BLACK))
        lines.append(_both(f"--heat-{step}", light, dark))
        lines.append(_both(f"--heat-{step}-text", text_on(light), text_on(dark)))
    return ":root{" + "".join(lines) + "}\n"


def _look(name: str, look: Look) -> list[str]:
    lines = [
        _both(name, look.colour, dark(look)),
        _both(f"{name}-line", readable(look.colour, WHITE, MARK), readable(dark(look), BLACK, MARK)),
        _both(f"{name}-text", look.text, readable(dark(look), BLACK, TEXT)),
    ]
    if look.halves:
        lines += [
            _both(f"{name}-{side}", colour, _dark(colour))
            for side, colour in zip("ab", look.halves, strict=True)
        ]
    return lines


def _both(name: str, light: str, dark: str) -> str:
    return f"{name}:light-dark({light},{dark});"


def dark(look: Look) -> str:
    """The colour of a look on black; a hybrid blends those of its two mixers."""
    if look.halves is None:
        return _dark(look.colour)
    return style.blend(_dark(look.halves[0]), _dark(look.halves[1]), 0.4)


def _dark(colour: str) -> str:
    return _DARK_OF.get(colour) or readable(colour, BLACK, MARK)


def heat(share: float, background: str) -> str:
    """Colour of a cell: from the background to deep blue on white, to pale blue on black.

    It keeps off the middle tones, on which neither ink nor white would be readable.
    """
    stops = style.HEAT if background == WHITE else ("#1d2228", "#24384a", "#33597a", "#7fa9cc", "#d5e6f3")
    place = share * (len(stops) - 1)
    low = min(int(place), len(stops) - 2)
    colour = style.blend(stops[low], stops[low + 1], place - low)
    return readable(colour, text_on(colour), TEXT)


def text_on(colour: str) -> str:
    """Ink or white, whichever reads better on `colour`."""
    return max((style.INK, WHITE), key=lambda text: contrast(colour, text))


def readable(colour: str, background: str, least: float) -> str:
    """The colour, moved away from `background` until their contrast is `least`."""
    away = "white" if _luminance(background) < 0.18 else "black"
    shades = (style.blend(colour, away, share) for share in np.linspace(0, 1, 51))
    return next(shade for shade in shades if contrast(shade, background) >= least)


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2.1, from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
