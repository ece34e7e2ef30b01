"""Whether fla's kernels were right, as words and a table: a line an op or mixer, direction and precision.

verdict(record)          # "NVIDIA H200 (torch 2.11.0, …): 740 of 746 comparisons right, 6 failed"
failures(record)         # a line each, with what was wrong or why there is no answer
section(record)          # Markdown
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from bench.evidence.kernels import KernelCase, KernelFinding, KernelRecord
from bench.report import units

_HEADS = (
    "Of",
    "Direction",
    "Precision",
    "Frames",
    "Comparisons",
    "Right",
    "Nearest to its bound",
    "Error",
    "Bound",
)
_LEFT = ("Of", "Direction", "Precision", "Nearest to its bound")
_DIRECTIONS = {"causal": "causal", "bidirectional": "both ways", None: units.MISSING}


def verdict(record: KernelRecord) -> str:
    """How many comparisons were made and right, of what, where."""
    packages = ", ".join(f"{name} {version}" for name, version in record.setting.packages.items())
    counts = {status: _count(record.findings, status) for status in ("ok", "failed", "unsupported")}
    beside = "".join(f", {counts[name]} {name}" for name in ("failed", "unsupported") if counts[name])
    where = f"{record.setting.hardware} ({packages})"
    return f"{where}: {counts['ok']} of {units.counted(len(record.findings), 'comparison')} right{beside}"


def failures(record: KernelRecord) -> list[str]:
    """What was not right, a line each."""
    found = [finding for finding in record.findings if finding.status != "ok"]
    return [f"{said(finding.case)}: {finding.status}: {finding.reason}" for finding in found]


def said(case: KernelCase) -> str:
    """ "op head_gate, bfloat16, 100 frames, heads 43/64"; "mixer kda, causal, float32, 300 frames, …"."""
    parts = [f"{case.of} {case.name}", case.direction or "", case.dtype, units.counted(case.frames, "frame")]
    if case.of == "op":
        parts.append(f"heads {case.key_dim}/{case.value_dim}")
    else:
        parts.append(f"width {case.width}{', published size' if case.stock else ''}")
        parts.append("" if case.padding == "none" else f"padding {case.padding}")
    return ", ".join(filter(None, parts))


def section(record: KernelRecord) -> str:
    """The record as Markdown: the verdict, the table, what was not right."""
    rules = [":--" if head in _LEFT else "--:" for head in _HEADS]
    lines = [list(_HEADS), rules, *(_cells(list(rows)) for _, rows in groupby(_sorted(record), key=_place))]
    parts = [
        f"### {verdict(record)}",
        f"Compared: {record.compared}. With: {record.reference}.",
        "\n".join(f"| {' | '.join(line)} |" for line in lines),
    ]
    wrong = failures(record)
    return "\n\n".join([*parts, *(["\n".join(f"- {line}" for line in wrong)] if wrong else [])]) + "\n"


def _sorted(record: KernelRecord) -> list[KernelFinding]:
    """By place; ops first, in the order in which they first came."""
    order = list(dict.fromkeys((finding.case.of, finding.case.name) for finding in record.findings))
    return sorted(
        record.findings,
        key=lambda finding: (order.index((finding.case.of, finding.case.name)), *_place(finding)),
    )


def _place(finding: KernelFinding) -> tuple[str, str, str, str]:
    case = finding.case
    return case.of, case.name, case.direction or "", case.dtype


def _cells(rows: Sequence[KernelFinding]) -> list[str]:
    """One line of the table; the error shown is the one that is most of its bound."""
    case, frames = rows[0].case, [row.case.frames for row in rows]
    known = [(*row.worst, row.case) for row in rows if row.worst]
    what, error, bound = units.MISSING, units.MISSING, units.MISSING
    if known:
        name, value, limit, where = max(known, key=lambda each: each[1] / each[2])
        what, error, bound = f"{name}, {units.counted(where.frames, 'frame')}", f"{value:.2g}", f"{limit:.2g}"
    return [
        f"{case.of} {case.name}",
        _DIRECTIONS[case.direction],
        case.dtype,
        " to ".join(f"{length:,}" for length in sorted({min(frames), max(frames)})),
        str(len(rows)),
        str(_count(rows, "ok")),
        what,
        error,
        bound,
    ]


def _count(findings: Sequence[KernelFinding], status: str) -> int:
    return sum(finding.status == status for finding in findings)
