"""Published numbers, as they were printed: `results/reported.csv`, one row a number.

    for number in read(Path("results/reported.csv")): number.system, number.value, number.caveat

They stand beside our own and are never ranked with them: other data, other partitions, other test conditions.
So each row says where the number stands (source) and what to know before it is compared (caveat). Scores are
fractions, CCC as it is, times in ms, sizes in bytes; `spread` is the ± that was printed, of what the caveat
says.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from bench.config import Settings
from bench.errors import Problem, SuiteError, UnusableFiles

Score = Literal["uar", "macro_f1", "wa", "ccc_arousal", "ccc_valence", "ccc_dominance"]
Change = Literal[
    "change_wa", "change_macro_f1", "change_f1_neutral", "change_variance"
]  # by what the row names
Cost = Literal["latency_10s_ms", "latency_400s_ms", "memory_400s_bytes", "parameters", "size_bytes"]
Text = Annotated[str, Field(min_length=1)]


class Reported(Settings):
    """One published number; what a paper does not say is ""."""

    system: Text
    corpus: str  # "" where the number is of no corpus
    release: str
    protocol: str
    split: str
    metric: Score | Change | Cost
    value: float = Field(allow_inf_nan=False)
    spread: float | None = Field(default=None, ge=0)
    source: Text
    caveat: str

    @field_validator("spread", mode="before")
    @classmethod
    def _absent(cls, written: object) -> object:
        return None if written == "" else written

    @model_validator(mode="after")
    def _in_range(self) -> Reported:
        low = -1.0 if self.metric.startswith(("ccc", "change")) else 0.0
        high = 1.0 if self.metric not in get_args(Cost) else float("inf")
        if not low <= self.value <= high:
            raise ValueError(f"{self.metric} {self.value:g} is not between {low:g} and {high:g}")
        return self

    @property
    def key(self) -> tuple[str, ...]:
        """What may be said once."""
        where = (self.corpus, self.release, self.protocol, self.split, self.metric)
        return (self.system, *where, self.source)


def _lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Every row by the number of its line; SuiteError where the file is no such table."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream, strict=True)
            if tuple(rows.fieldnames or ()) != tuple(Reported.model_fields):
                raise SuiteError(f"{path}: the columns should be {','.join(Reported.model_fields)}")
            return [(rows.line_num, row) for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SuiteError(f"{path}: not a table in UTF-8 ({error}); restore it") from error


def read(path: Path) -> list[Reported]:
    """The numbers in the order of the file; all bad lines of one that does not hold are listed."""
    lines = _lines(path)
    numbers, problems = [], []
    for line, row in lines:
        try:
            numbers.append(Reported.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            reason = first["msg"].removeprefix("Value error, ")
            problems.append(Problem(Path(f"line {line}"), f"{where}: {reason}" if where else reason))
    twice = [key for key, count in Counter(number.key for number in numbers).items() if count > 1]
    problems += [Problem(Path(key[0]), f"stands twice: {', '.join(filter(None, key[1:]))}") for key in twice]
    if problems:
        raise UnusableFiles(
            f"{path}: rows that do not hold: {len(problems)}", problems, "Mend or remove them."
        )
    return numbers
