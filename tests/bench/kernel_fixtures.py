"""Comparisons for the tests of the kernel record; a light module, as every process of them imports it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from bench.config import KernelScope
from bench.evidence.kernels import KernelCase, KernelFinding, KernelRecord, KernelSetting
from bench.measuring import environment

TINY = KernelScope(
    lengths=(1, 19),
    head_sizes=((16, 16),),
    mixers=("retnet", "kda"),
    mixer_lengths=(9,),
    widths=(16,),
    stock_width=64,
    dtypes=("float32",),
    device="cpu",
)


def right(case: KernelCase) -> KernelFinding:
    """Every comparison is right."""
    return KernelFinding(case=case, status="ok", errors={"output": 1e-4}, bounds={"output": 5e-3})


def crashes_on_slots(case: KernelCase) -> KernelFinding:
    """One kernel takes its process with it, at its longest length."""
    if case.name == "slots" and case.frames == 19:
        os.kill(os.getpid(), signal.SIGSEGV)
    return right(case)


def counted(case: KernelCase, path: Path) -> KernelFinding:
    """Leaves a line in a file."""
    with path.open("a") as file:
        file.write(case.model_dump_json() + "\n")
    return right(case)


def made_record(scope: KernelScope, findings: list[KernelFinding]) -> KernelRecord:
    """A record as of a GPU."""
    packages = {"torch": "2.11.0", "triton": "3.7.1", "fla-core": "0.6.0"}
    setting = KernelSetting(**scope.model_dump(), hardware="NVIDIA Example", packages=packages)
    return KernelRecord(
        id=setting.id,
        setting=setting,
        compared="kernels",
        reference="torch",
        findings=tuple(findings),
        environment=environment.describe(1),
    )
