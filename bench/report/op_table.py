"""The op benchmark as a table: every question, its target, what was measured, and whether that is enough.

    for row in rows(record): row.measured, row.met
    Console().print(table(record))

Targets are those of the project for 4 heads of 64 and the lengths that `OpShape` has by default; at other
sizes a row has none. A missed target is a finding, not an error.

The frame loop that targets speak of is fla's naive recurrence, which is the published one and not ours.
`bench.measuring.loops` are leaner (what needs no state is done for all frames at once), and their rows say
how much of the speed-up that alone would give.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rich.markup import escape
from rich.table import Table

from bench.config import OpName, OpShape
from bench.evidence import growth
from bench.evidence.records import Comparison, OpComparison, OpMemory, OpRecord
from bench.report import units
from bench.report.op_readings import (
    LABELS,
    comparisons,
    crossing,
    crossover,
    growth_curve,
    setting,
    speed_up,
)

LINEAR: tuple[OpName, ...] = ("scalar_gate", "channel_gate", "kda", "gsa")

FASTER_THAN_LOOP: dict[OpName, float] = {"scalar_gate": 14, "channel_gate": 8, "kda": 4}
FASTER_THAN_SOFTMAX: dict[OpName, float] = {"scalar_gate": 10, "channel_gate": 6}
CROSSOVER: dict[OpName, float] = {"scalar_gate": 512, "channel_gate": 768, "kda": 2560}
EXPONENT: dict[OpName, float] = dict.fromkeys(LINEAR, 1.05)
MEMORY: dict[OpName, float] = dict.fromkeys(LINEAR, 4)
TRAINING: dict[OpName, float] = dict.fromkeys(LABELS, 3.5)

_SPEED_UPS: tuple[tuple[Comparison, str, Mapping[OpName, float]], ...] = (
    ("reference", "speed-up over the frame loop (fla's naive recurrence)", FASTER_THAN_LOOP),
    ("loop", "speed-up over our leanest loop", {}),
    ("loop_in_place", "speed-up over that loop, state overwritten", {}),
    ("softmax", "speed-up over fused softmax", FASTER_THAN_SOFTMAX),
)


@dataclass(frozen=True)
class Row:
    """One question about one op; `met` is None where there is no target or no measurement."""

    question: str
    op: OpName
    frames: str
    target: str
    measured: str
    met: bool | None
    note: str = ""


def rows(record: OpRecord) -> list[Row]:
    """Every row of the table, question by question."""
    found = [
        row for question in (_speed_ups, _crossovers, _growth, _memory, _training) for row in question(record)
    ]
    return found if _stated_sizes(record.setting) else [_without_target(row) for row in found]


def table(record: OpRecord) -> Table:
    """The rows for a terminal."""
    title = f"{setting(record)}\n{verdict(record)}"
    shown = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("question", "op", "frames", "target", "measured", "met", "note"):
        shown.add_column(heading, justify="right" if heading in ("frames", "target", "measured") else "left")
    question = ""
    for row in rows(record):
        if question and row.question != question:
            shown.add_section()
        met = "" if row.met is None else "yes" if row.met else "[bold red]no[/]"
        first = row.question if row.question != question else ""
        shown.add_row(first, LABELS[row.op], row.frames, row.target, row.measured, met, escape(row.note))
        question = row.question
    return shown


def verdict(record: OpRecord) -> str:
    """How many targets were met: "17 of 19 targets met, 1 not measured"."""
    targets = [row.met for row in rows(record) if row.target]
    if not targets:
        return "no targets at this size"
    unknown = f", {targets.count(None)} not measured" if None in targets else ""
    return f"{targets.count(True)} of {units.counted(len(targets), 'target')} met{unknown}"


def _speed_ups(record: OpRecord) -> Iterator[Row]:
    for against, question, targets in _SPEED_UPS:
        for op in record.setting.ops:
            for found in comparisons(record, op, against):
                if found.frames == record.setting.frames:
                    yield _ratio(question, found, targets.get(op), at_least=True)
            if against == "reference" and not comparisons(record, op, against):
                frames, why = f"{record.setting.frames:,}", "fla-core is not installed"
                yield Row(question, op, frames, _stated(targets.get(op), "×", True), units.MISSING, None, why)


def _training(record: OpRecord) -> Iterator[Row]:
    for op in record.setting.ops:
        for found in comparisons(record, op, "training"):
            yield _ratio("forward and backward over forward", found, TRAINING.get(op), at_least=False)


def _ratio(question: str, found: OpComparison, target: float | None, at_least: bool) -> Row:
    frames, stated = f"{found.frames:,}", _stated(target, "×", at_least)
    if found.status != "ok":
        return Row(question, found.op, frames, stated, units.MISSING, None, _failure(found))
    ratio = speed_up(found)
    met = _met(ratio, target, at_least)
    return Row(question, found.op, frames, stated, f"{ratio:.2f}×", met, _calm(found))


def _crossovers(record: OpRecord) -> Iterator[Row]:
    question = "overtakes fused softmax at"
    for op in record.setting.ops:
        races = comparisons(record, op, "softmax")
        if not races:
            continue
        lengths = [found.frames for found in races if found.status == "ok"]
        target = CROSSOVER.get(op)
        span, stated = f"{races[0].frames:,} to {races[-1].frames:,}", _stated(target, "", at_least=False)
        failed = "; ".join(dict.fromkeys(_failure(found) for found in races if found.status != "ok"))
        if not lengths:
            yield Row(question, op, span, stated, units.MISSING, None, failed)
            continue
        frames = crossover(record, op)
        below = frames == min(lengths)  # it may be anywhere below: met only where the target is not shorter
        reached = None if target is None else frames is not None and frames <= target
        met = None if below and not reached else reached
        yield Row(question, op, span, stated, crossing(frames, lengths), met, failed)


def _growth(record: OpRecord) -> Iterator[Row]:
    question = "growth exponent, end to end"
    for op in record.setting.ops:
        for found in comparisons(record, op, "growth"):
            stated = _stated(EXPONENT.get(op), "", at_least=False)
            if found.status != "ok":
                yield Row(question, op, f"to {found.frames:,}", stated, units.MISSING, None, _failure(found))
                continue
            times = growth_curve(record, op)
            span = f"{min(times):,} to {max(times):,}"
            value = growth.exponent(times)
            met = _met(value, EXPONENT.get(op), at_least=False)
            fit = f"least squares {growth.slope(times):.3f}"
            note = fit if found.converged else f"{fit}; {_calm(found)}"
            yield Row(question, op, span, stated, f"{value:.3f}", met, note)


def _memory(record: OpRecord) -> Iterator[Row]:
    question = "peak memory, longest over shortest"
    for op in record.setting.ops:
        readings = [reading for reading in record.memory if reading.op == op]
        if len(readings) != 2:
            continue
        stated = _stated(MEMORY.get(op), "×", at_least=False)
        span = " to ".join(f"{reading.frames:,}" for reading in readings)
        short, long = (reading.peak_bytes for reading in readings)
        if not short or long is None:
            yield Row(question, op, span, stated, units.MISSING, None, _unweighed(readings))
            continue
        note = f"{units.memory(short)} to {units.memory(long)}"
        met = _met(long / short, MEMORY.get(op), at_least=False)
        yield Row(question, op, span, stated, f"{long / short:.2f}×", met, note)


def _unweighed(readings: list[OpMemory]) -> str:
    failed = [_failure(reading) for reading in readings if reading.status != "ok"]
    return failed[0] if failed else "this system does not tell the peak, or it is below the resolution"


def _failure(found: OpComparison | OpMemory) -> str:
    status = "out of memory" if found.status == "oom" else found.status
    return f"{status} at {found.frames:,}" + (f": {found.reason}" if found.reason else "")


def _calm(found: OpComparison) -> str:
    return "" if found.converged else "not converged"


def _stated(target: float | None, unit: str, at_least: bool) -> str:
    return "" if target is None else f"{'≥' if at_least else '≤'} {target:,g}{unit}"


def _met(value: float, target: float | None, at_least: bool) -> bool | None:
    if target is None:
        return None
    return value >= target if at_least else value <= target


def _stated_sizes(shape: OpShape) -> bool:
    """Whether the benchmark has the sizes that the targets are stated for; any ops, any crossover lengths."""
    stated = OpShape()
    return all(
        getattr(shape, name) == getattr(stated, name)
        for name in ("frames", "growth", "num_heads", "head_dim")
    )


def _without_target(row: Row) -> Row:
    return replace(row, target="", met=None)
