"""A long run from its first sample to its verdict: a table, a figure and a sentence.

exit_code = watch(Round(folder / "work"), folder, seconds=3600)
exit_code = judged(folder)          # again, from the table that is there
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd
from soak_figure import draw
from soak_verdict import Verdict, verdict
from soak_watch import Sample, Work, samples

from bench.report.figures.saving import save

TABLE, FIGURE, TEXT = "samples.csv", "soak", "verdict.txt"
FLAT, LEAK, UNDECIDED = 0, 1, 3


def watch(work: Work, folder: Path, seconds: float, every_s: float = 1.0) -> int:
    """Repeat `work` for so long, write what was seen to `folder`, and return the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    failure = ""
    try:
        with closing(samples(work, folder / "work", seconds, every_s)) as seen:
            write(seen, folder / TABLE)
    except KeyboardInterrupt:
        print("cut short; what was seen so far:", file=sys.stderr)
    except RuntimeError as error:
        failure = f"{error}\n"
    return judged(folder, failure)


def write(seen: Iterator[Sample], path: Path) -> None:
    """Write samples as they come, so that a killed run leaves those that it took."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(Sample)])
        rows.writeheader()
        for sample in seen:
            rows.writerow(asdict(sample))
            file.flush()


def judged(folder: Path, failure: str = "") -> int:
    """Judge the samples in `folder`, write figure and verdict beside them, and return the exit code."""
    table = pd.read_csv(folder / TABLE)
    found = verdict(table)
    text = f"{failure}{found.text()}\n"
    (folder / TEXT).write_text(text, encoding="utf-8")
    print(text, end="")
    if table["round"].nunique() > 1:
        save(draw(table, found), folder / FIGURE, ("png", "pdf"))
    return LEAK if failure else code(found)


def code(found: Verdict) -> int:
    """The exit code of a verdict."""
    return LEAK if found.leaks else UNDECIDED if found.undecided else FLAT
