"""Published numbers as tables of their own, beside the leaderboard and never in it.

    for table in tables(read(results / "reported.csv")):       # a table a corpus, then costs and sizes
        table.name, table.rows[0]["Value"], table.notes        # a row's "Note" is the number of one of these

What is read: `bench.evidence.reported`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.evidence.reported import Reported
from bench.report import units

HEADING = "Published numbers"
WARNING = (
    "As printed by others, for orientation. They are not ranked with ours: data, partitions, encoders and "
    "test conditions differ, as the notes say where it is known. “(digest)”: read in a summary of the "
    "source; “(inferred)”: worked out from code or arithmetic."
)
OF_NO_CORPUS = "Costs and sizes"
_NAMES = {
    "uar": "UAR %",
    "macro_f1": "Macro-F1 %",
    "wa": "WA %",
    "ccc_arousal": "CCC arousal",
    "ccc_valence": "CCC valence",
    "ccc_dominance": "CCC dominance",
    "change_wa": "change of WA, points",
    "change_macro_f1": "change of macro-F1, points",
    "change_f1_neutral": "change of neutral's F1, points",
    "change_variance": "change of variance over folds, %",
    "latency_10s_ms": "Latency at 10 s",
    "latency_400s_ms": "Latency at 400 s",
    "memory_400s_bytes": "Memory at 400 s",
    "parameters": "Parameters (k)",
    "size_bytes": "Size",
}


@dataclass(frozen=True)
class Table:
    """The numbers of one corpus: cells by the heads of their columns, and the notes that they refer to."""

    name: str
    rows: tuple[dict[str, str], ...]
    notes: tuple[str, ...]


def tables(numbers: Sequence[Reported]) -> list[Table]:
    """A table a corpus, in the order of the file, with the numbers of no corpus last."""
    corpora = sorted(dict.fromkeys(number.corpus for number in numbers), key=lambda corpus: not corpus)
    return [
        _table(corpus or OF_NO_CORPUS, [number for number in numbers if number.corpus == corpus])
        for corpus in corpora
    ]


def _table(name: str, numbers: Sequence[Reported]) -> Table:
    notes = tuple(dict.fromkeys(number.caveat for number in numbers if number.caveat))
    return Table(name, tuple(_row(number, notes) for number in numbers), notes)


def _row(number: Reported, notes: Sequence[str]) -> dict[str, str]:
    where = (number.release, number.protocol, number.split)
    return {
        "System": number.system,
        "Where": ", ".join(part for part in where if part) or units.MISSING,
        "Score": _NAMES[number.metric],
        "Value": _value(number),
        "Note": str(notes.index(number.caveat) + 1) if number.caveat else "",
        "Source": number.source,
    }


def _value(number: Reported) -> str:
    written = _written(number.metric, number.value)
    return written if number.spread is None else f"{written} ± {_written(number.metric, number.spread)}"


def _written(metric: str, value: float) -> str:
    if metric.endswith("_ms"):
        return units.milliseconds(value)
    if metric.endswith("_bytes"):
        return units.memory(value)
    if metric == "parameters":
        return f"{value / 1e3:,.0f}"
    if metric.startswith("change_"):
        return units.points(value)
    if metric.startswith("ccc_"):
        return units.concordance(value)
    return f"{100 * value:.2f}".removesuffix("0")
