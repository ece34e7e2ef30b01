"""What an op benchmark says in numbers: curves, speed-ups, crossovers; shared by its table and its figure.

curve(record, "kda", "op")         # {2048: 11.2, …}, milliseconds against frames
crossover(record, "kda")           # 2,310 frames
"""

from __future__ import annotations

from bench.config import OpName
from bench.evidence import growth
from bench.evidence.records import Comparison, OpComparison, OpRecord, OpRun
from bench.report import units

LABELS: dict[OpName, str] = {
    "scalar_gate": "Scalar gate",
    "channel_gate": "Channel gate",
    "kda": "KDA",
    "gsa": "GSA",
    "fox": "FoX",
}


def setting(record: OpRecord) -> str:
    """The machine and the sizes: "AMD EPYC 7R13, 2 threads, batch 1, 4 heads of 64, float32, forward"."""
    shape = record.setting
    sizes = f"batch 1, {units.counted(shape.num_heads, 'head')} of {shape.head_dim}, float32, forward"
    return f"{shape.device}, {units.counted(shape.threads, 'thread')}, {sizes}"


def curve(record: OpRecord, op: OpName, run: OpRun) -> dict[int, float]:
    """Milliseconds of one call against frames.

    An op is timed several times at some lengths: the time beside fused softmax counts first, then that of its
    growth, so that lines cross where the crossover says.
    """
    times: dict[int, float] = {}
    first = {"softmax": 0, "growth": 1}
    for comparison in sorted(record.comparisons, key=lambda found: first.get(found.against, 2)):
        for timing in comparison.timings:
            if comparison.op == op and timing.run == run:
                times.setdefault(timing.frames, timing.median_ms)
    return dict(sorted(times.items()))


def crossover(record: OpRecord, op: OpName) -> float | None:
    """Frames from which on an op is no slower than fused softmax; see `growth.crossover`."""
    races = [found for found in comparisons(record, op, "softmax") if found.status == "ok"]
    ours, theirs = ({found.frames: found.timings[side].median_ms for found in races} for side in (0, 1))
    return growth.crossover(ours, theirs) if races else None


def growth_curve(record: OpRecord, op: OpName) -> dict[int, float]:
    """Milliseconds of an op against frames, all lengths timed in turns; empty where that failed."""
    found = next(iter(comparisons(record, op, "growth")), None)
    return {timing.frames: timing.median_ms for timing in found.timings} if found else {}


def speed_up(comparison: OpComparison) -> float:
    """How many times as long as the op (the first call) the other call takes."""
    ours, theirs = comparison.timings
    return theirs.median_ms / ours.median_ms


def crossing(frames: float | None, lengths: list[int]) -> str:
    """A crossover in words: "1,020", "≤ 128" where the shortest length is won, "none up to 8,192"."""
    if frames is None:
        return f"none up to {max(lengths):,}"
    return f"≤ {min(lengths):,}" if frames == min(lengths) else f"{frames:,.0f}"


def comparisons(record: OpRecord, op: OpName, against: Comparison) -> list[OpComparison]:
    """An op's comparisons of one kind, in the record's order."""
    return [found for found in record.comparisons if (found.op, found.against) == (op, against)]
