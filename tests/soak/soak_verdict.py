"""Does anything grow? What is held at rest before each round, and its slope over the rounds with an interval.

    found = verdict(table)              # one row a sample, the fields of `soak_watch.Sample`
    found.leaks, found.undecided        # readings; neither: all is flat
    print(found.text())

Within a round memory and handles rise and fall with what is under way; the first sample of each is taken at
rest. The slope is Theil and Sen's, the median of the slopes between all pairs, with the interval that inverts
Kendall's test (Sen 1968): outliers, and steps that do not go on, hardly move it. The first quarter, while
caches fill, and the last round, which was cut, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import theilslopes

CONFIDENCE = 0.99  # of each interval
WARM_UP = 0.25  # share of the rounds
FEWEST = 8  # rounds that a slope is taken from


@dataclass(frozen=True)
class Quantity:
    """A field of a sample, its name for people, and the growth a round that is still called flat."""

    field: str
    name: str
    allowed: float
    unit: str = ""
    scale: float = 1.0  # of a unit


KB = 1e3
QUANTITIES = (
    Quantity("own_bytes", "memory of the process", 20 * KB, " kB", KB),
    Quantity("children_bytes", "memory of its children", 20 * KB, " kB", KB),
    Quantity("handles", "file handles", 0.01),
    Quantity("threads", "threads", 0.01),
    Quantity("children", "children", 0.01),
    Quantity("files", "files left", 0.01),
    Quantity("shared", "shared memory", 0.01),
)


@dataclass(frozen=True)
class Reading:
    """The growth of one quantity: its slope a round, with an interval."""

    quantity: Quantity
    slope: float
    low: float
    high: float

    @property
    def leaks(self) -> bool:
        """Whether it grows by more than is allowed, for sure."""
        return self.low > self.quantity.allowed

    @property
    def flat(self) -> bool:
        """Whether it grows by no more than is allowed, for sure."""
        return self.high <= self.quantity.allowed

    @property
    def word(self) -> str:
        """The verdict on this quantity."""
        return "LEAKS" if self.leaks else "flat" if self.flat else "too early to tell"

    def text(self) -> str:
        """ "memory of the process: +1.2 kB a round [0.3, 2.2], at most 20: flat"."""
        unit, scale = self.quantity.unit, self.quantity.scale
        slope, low, high = (f"{value / scale:.3g}" for value in (self.slope, self.low, self.high))
        bound = f"{self.quantity.allowed / scale:g}"
        return f"{self.quantity.name}: {slope}{unit} a round [{low}, {high}], allowed {bound}: {self.word}"


@dataclass(frozen=True)
class Verdict:
    """All readings of a run; none where it had too few rounds."""

    rounds: int
    readings: tuple[Reading, ...]

    @property
    def leaks(self) -> tuple[Reading, ...]:
        """What grows."""
        return tuple(reading for reading in self.readings if reading.leaks)

    @property
    def undecided(self) -> bool:
        """Whether a longer run is needed to tell."""
        return not self.leaks and not (self.readings and all(reading.flat for reading in self.readings))

    def finding(self) -> str:
        """One sentence."""
        if self.leaks:
            names = ", ".join(reading.quantity.name for reading in self.leaks)
            return f"Growing with every round: {names}."
        if self.undecided:
            return f"{self.rounds} rounds are too few to tell whether anything grows."
        return f"Memory, handles and files stay flat over {self.rounds:,} rounds."

    def text(self) -> str:
        """The finding, and a line on every quantity."""
        return "\n".join([self.finding(), *(f"  {reading.text()}" for reading in self.readings)])


def at_rest(table: pd.DataFrame) -> pd.DataFrame:
    """What is held before each whole round, by round, with the time in seconds."""
    whole = table[table["round"] < table["round"].max()].groupby("round")
    return whole[["seconds", *(quantity.field for quantity in QUANTITIES)]].first()


def verdict(table: pd.DataFrame) -> Verdict:
    """What the samples of a run say; the rounds of its warm-up are counted, and have no say."""
    rests = at_rest(table)
    settled = warm(rests)
    if len(settled) < FEWEST:
        return Verdict(len(rests), ())
    return Verdict(len(rests), tuple(_reading(quantity, settled) for quantity in QUANTITIES))


def warm(rests: pd.DataFrame) -> pd.DataFrame:
    """The rests after the warm-up."""
    return rests.iloc[int(np.ceil(WARM_UP * len(rests))) :]


def _reading(quantity: Quantity, settled: pd.DataFrame) -> Reading:
    values = settled[quantity.field].to_numpy(dtype=float)
    slope, _, low, high = theilslopes(values, settled.index.to_numpy(dtype=float), CONFIDENCE)
    return Reading(quantity, float(slope), float(low), float(high))
