"""What must not be lost or changed by a fault, and the rows of the table that says so.

ledger = Ledger.of(results)                # of a run that nobody disturbed
row = Row("SIGKILL", …)
row.check(ledger, results)                 # counts what is missing or different at the end
before = standing(results)                 # records that stand now …
row.lost += gone(before, results)          # … and have to stand later, byte for byte
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMES = {"train_s", "cohort_wall_s", "waiting_share", "cohort"}  # of a cost: not the result
OF_THE_MOMENT = {"load_1min", "git_dirty", "git_commit"}  # of an environment
LEFT_BEHIND = ("**/.*.unfinished", "**/.*.lock", "checkpoints/cohort-*")


@dataclass(frozen=True)
class Ledger:
    """Records without their times, and the digests of predictions and weights, by file."""

    records: dict[str, Any]
    digests: dict[str, str]

    @classmethod
    def of(cls, results: Path) -> Ledger:
        """That of a results folder."""
        files = [*results.glob("predictions/*.parquet"), *results.glob("checkpoints/*.pt")]
        return cls(
            {path.name: _lasting(path) for path in results.glob("runs/*.json")},
            {f"{path.parent.name}/{path.name}": _digest(path) for path in files},
        )

    def lost(self, results: Path) -> list[str]:
        """Names of records of this ledger that a results folder has not."""
        return sorted(self.records.keys() - Ledger.of(results).records.keys())

    def changed(self, results: Path) -> list[str]:
        """What differs there: records but for their times, predictions and weights byte for byte."""
        found = Ledger.of(results)
        pairs = [(self.records, found.records), (self.digests, found.digests)]
        return [
            name for ours, theirs in pairs for name in ours if name in theirs and ours[name] != theirs[name]
        ]


def _lasting(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_bytes())
    for part, passing in (("cost", TIMES), ("environment", OF_THE_MOMENT)):
        record[part] = {name: value for name, value in (record[part] or {}).items() if name not in passing}
    return record


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def standing(results: Path) -> dict[str, str]:
    """The finished records of a results folder, with their digests."""
    records = {path: json.loads(path.read_bytes()) for path in results.glob("runs/*.json")}
    return {path.name: _digest(path) for path, record in records.items() if record["status"] != "failed"}


def gone(before: dict[str, str], results: Path) -> int:
    """How many of the records that stood do no more, or are not what they were."""
    now = standing(results)
    return sum(now.get(name) != digest for name, digest in before.items())


def left_behind(*folders: Path) -> list[str]:
    """Half-written files and training checkpoints that nobody will use."""
    return sorted({str(path) for folder in folders for each in LEFT_BEHIND for path in folder.glob(each)})


@dataclass
class Row:
    """One line of the table: a fault, how often it was tried, and what it did."""

    fault: str
    ends: str  # how a run that meets it ends
    tried: int = 0
    lost: int = 0
    changed: int = 0
    wrong: list[str] = field(default_factory=list)  # whatever else is not as promised
    skipped: str = ""  # why it could not be tried here

    @property
    def held(self) -> bool:
        """Whether every promise was kept, as far as it was tried."""
        return not (self.lost or self.changed or self.wrong)

    def expect(self, true: bool, otherwise: str) -> None:
        """Note what is wrong, unless something is true."""
        if not true:
            self.wrong.append(otherwise)

    def check(self, ledger: Ledger, results: Path, *caches: Path) -> None:
        """Compare a results folder at its end with that of an undisturbed run."""
        lost, changed = ledger.lost(results), ledger.changed(results)
        self.lost += len(lost)
        self.changed += len(changed)
        for left in left_behind(results, *caches):
            self.wrong.append(f"{left} is left behind")


def markdown(rows: Sequence[Row]) -> str:
    """The table."""
    lines = [
        "| fault | tried | records lost | results changed | a run that meets it |",
        "|---|---:|---:|---:|---|",
        *(_line(row) for row in rows),
    ]
    return "\n".join([*lines, *_notes(rows)]) + "\n"


def _line(row: Row) -> str:
    if row.skipped:
        return f"| {row.fault} | 0 | – | – | not tried here: {row.skipped} |"
    return f"| {row.fault} | {row.tried} | {row.lost} | {row.changed} | {row.ends} |"


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    broken = [(row.fault, wrong) for row in rows for wrong in row.wrong]
    if broken:
        yield "\nNot as promised:\n"
        yield from (f"- {fault}: {wrong}" for fault, wrong in broken)
