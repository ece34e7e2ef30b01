"""`results/gpu.md`: what holds on a GPU before anything is timed on it, and what a training step costs there.

text = markdown(store.kernels(), store.cohorts())      # "" where there is neither
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.evidence.cohorts import COHORT, CohortRecord, CohortRun
from bench.evidence.kernels import KernelRecord
from bench.report import kernel_table, units

_INTRODUCTION = """\
# Kernels and training steps

Written by `serbench report` from the records in this folder. Latency and memory against length: `costs.md`.
"""
_KERNELS = """\
## Are the kernels right?

Error: root mean square of the difference over that of the reference, of the output and of every gradient.
Bounds are those of flash-linear-attention's own tests; to a mixer's is added the error that its precision
alone costs. `backend="auto"` runs a kernel only where everything that runs it was right on that GPU with
those packages.
"""
_STEPS = """\
## What does a training step cost?

Median over the epochs after the first; a sample is an epoch's mean step. Memory: the peak that was allocated,
the frozen encoder's and the students' weights included.
"""


def markdown(kernels: Sequence[KernelRecord], cohorts: Sequence[CohortRecord]) -> str:
    """Both parts, a section a record."""
    parts = []
    if kernels:
        parts += [_KERNELS, *(kernel_table.section(record) for record in kernels)]
    if cohorts:
        parts += [_STEPS, *(_section(record) for record in cohorts)]
    return "\n".join([_INTRODUCTION, *parts]) if parts else ""


def _section(record: CohortRecord) -> str:
    shape = record.setting
    title = (
        f"### {shape.hardware}: batches of {shape.batch_size} × {shape.seconds:g} s, {shape.precision}, "
        f"under a frozen encoder like {shape.encoder_kind} ({shape.encoder_size})"
    )
    alone = [run.step_ms for run in record.runs if run.name != COHORT and run.step_ms is not None]
    lines = [["Trained", "Step", "Memory", "Note"], [":--", "--:", "--:", ":--"]]
    lines += [_cells(run, alone, len(shape.layouts)) for run in record.runs]
    return f"{title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cells(run: CohortRun, alone: Sequence[float], students: int) -> list[str]:
    note = f"{run.status}: {run.reason}" if run.status != "ok" else ""
    if run.name == COHORT and run.step_ms is not None and len(alone) == students:
        note = f"{units.significant(run.step_ms / sum(alone))} of all {students} one after the other"
    step = units.MISSING if run.step_ms is None else units.milliseconds(run.step_ms)
    memory = units.MISSING if run.peak_bytes is None else units.memory(run.peak_bytes)
    return ["all side by side" if run.name == COHORT else run.name, step, memory, note.replace("|", "\\|")]
