"""One slice after the other while there is time; the same call goes on with what is left.

outcome = run(slices(), places, minutes=10)
outcome.finished                                  # whether nothing is left
rows = forecast(slices(), places)                 # what there is, before anything runs
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.errors import SuiteError
from bench.gpu.parts import CELL_LIMIT_S, Places
from bench.gpu.slices import Slice


@dataclass
class Outcome:
    """What a call did, a line a slice; the slices with cells left; and those that could not run, with why."""

    lines: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether every slice is done."""
        return not self.left and not self.refused


@dataclass(frozen=True)
class Row:
    """A slice before it runs; `cells` is None where they cannot be told, for the reason `note`."""

    name: str
    about: str
    cells: int | None
    left: int | None
    least_s: float | None
    note: str = ""


def chosen(every: Sequence[Slice], names: Sequence[str]) -> list[Slice]:
    """Slices by name, or by how names begin ("kernels"); none named: all. SuiteError for one that is not."""
    for name in names:
        if not any(_named(part, name) for part in every):
            known = ", ".join(part.name for part in every)
            raise SuiteError(f"run gpu: no slice {name!r}; there is {known}")
    return [part for part in every if not names or any(_named(part, name) for name in names)]


def _named(part: Slice, name: str) -> bool:
    return part.name == name or part.name.startswith(f"{name}-")


def run(
    parts: Sequence[Slice],
    places: Places,
    minutes: float,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Do what is left of the slices, in order, in `minutes`; one that cannot run here is passed over.

    A slice begins where there is time for a cell; the cells that are being measured then are all ended in
    time, and the A/A control of a sweep comes on top of it.
    """
    outcome, end = Outcome(), clock() + 60 * minutes
    for part in parts:
        try:
            todo = part.part.left(places)
            if todo and end - clock() > CELL_LIMIT_S:
                print(f"{part.name}: {part.about}; {len(todo):,} cells left", file=sys.stderr)
                outcome.lines.append(f"{part.name}: {part.part.run(places, end - clock())}")
                todo = part.part.left(places)
        except SuiteError as error:
            outcome.refused.append(f"{part.name}: {error}")
            continue
        if todo:
            outcome.left.append(part.name)
    return outcome


def forecast(parts: Sequence[Slice], places: Places) -> list[Row]:
    """Every slice with its cells and what is known of its time."""
    return [_row(part, places) for part in parts]


def _row(part: Slice, places: Places) -> Row:
    try:
        cells, left = part.part.cells(places), part.part.left(places)
        return Row(part.name, part.about, len(cells), len(left), part.part.least_s(places))
    except SuiteError as error:
        return Row(part.name, part.about, None, None, None, str(error))
