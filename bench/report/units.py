"""Numbers as people read them: 10 s, 1 min, 250 µs, 1.2 GB, 58.2 [54.1, 62.0], +1.3, 0.577.

Used by tables and figures alike, so that a quantity is written in one way everywhere. No number is an
en dash. Memory is decimal (1 MB = 10⁶ bytes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = "–"
_LENGTHS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
_DURATIONS_MS = ((1000.0, "s"), (1.0, "ms"), (1e-3, "µs"))
_ENERGIES = ((1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"))
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def seconds(value: float) -> str:
    """A length of speech: "30 s", "1 min", "1 h"; in seconds where minutes would be broken ("400 s")."""
    fitting = ((size, name) for size, name in _LENGTHS if value >= size and value % size == 0)
    return _scaled(value, [next(fitting, _LENGTHS[-1])])


def milliseconds(value: float) -> str:
    """A latency given in ms: "250 µs", "1.8 ms", "2 s"."""
    return _scaled(value, _DURATIONS_MS)


def memory(value: float) -> str:
    """A size given in bytes: "512 kB", "1.2 GB"."""
    return _scaled(value, _SIZES)


def _scaled(value: float, units: Sequence[tuple[float, str]]) -> str:
    if math.isnan(value):
        return MISSING
    size, name = next((unit for unit in units if value >= unit[0] * 0.9995), units[-1])
    return f"{significant(value / size)} {name}"


def significant(value: float) -> str:
    """Two significant digits below 100, whole numbers above."""
    if value == 0 or abs(value) >= 99.5:
        return f"{value:.0f}"
    text = f"{value:.{max(0, 1 - math.floor(math.log10(abs(value)) + 1e-12))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(value: float) -> str:
    """A fraction as per cent with one decimal."""
    return MISSING if math.isnan(value) else f"{100 * value:.1f}"


def points(value: float) -> str:
    """A difference of fractions in percentage points, signed, with a true minus."""
    if math.isnan(value):
        return MISSING
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def concordance(value: float) -> str:
    """A CCC, with three decimals and a true minus: "0.577"."""
    return MISSING if math.isnan(value) else f"{value:z.3f}".replace("-", "−")


def signed(value: float) -> str:
    """A difference of CCCs, signed, with a true minus: "+0.012", "−0.103"."""
    if math.isnan(value):
        return MISSING
    text = f"{value:+.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else text.replace("-", "−")


def probability(value: float) -> str:
    """A p-value: "0.031", "< 0.001"."""
    if math.isnan(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def energy(value: float) -> str:
    """An energy given in joules: "3.2 mJ", "1.8 J"."""
    return _scaled(value, _ENERGIES)


def listing(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def counted(number: int, thing: str) -> str:
    """ "1 seed", "1,440 utterances"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
