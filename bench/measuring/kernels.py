"""Are fla's kernels right on this GPU (`serbench profile kernels`), and which of them may be trusted then?

    summary = check_kernels(KernelScope(), Store(Path("results")))      # one record, filled as it goes
    trust_recorded(Store(Path("results")))         # `backend="auto"` runs those that it found right

A second call goes on where the first has stopped. The comparisons of one op or mixer run in one process, as
far as it lives: a kernel that crashes costs the comparison in hand, and a new process goes on with the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch

from bench.config import DeviceKind, KernelScope
from bench.errors import SuiteError
from bench.evidence.kernels import KernelCase, KernelFinding, KernelRecord, KernelSetting
from bench.evidence.store import Store, read
from bench.measuring import environment
from bench.measuring.claim import say_waiting, sole
from bench.measuring.counted import Counted
from bench.measuring.isolation import Failure, Guard, default_guard, outcomes
from bench.measuring.kernel_cases import cases
from bench.measuring.kernel_checks import check
from bench.progress import track
from mixers.ops import backend

DECIDING = ("torch", "triton", "fla-core", "flash-linear-attention")  # packages that a verdict holds for
WORDS: dict[DeviceKind, tuple[str, str]] = {
    "cuda": (
        "fla's kernels, and mixers that run them",
        "the torch ops in float32, mixers one utterance at a time",
    ),
    "cpu": (
        "the torch ops, and mixers; no kernel runs on a CPU",
        "frame loops in float64, and the mixers themselves in float64",
    ),
}

Check = Callable[[KernelCase], KernelFinding]


@dataclass
class Summary(Counted):
    """Comparisons made now, and those of them that are right."""

    record: KernelRecord
    made: int = 0
    right: int = 0

    def counts(self) -> tuple[str, ...]:
        return f"{self.made} comparisons made", f"{self.right} of them right"


def check_kernels(
    scope: KernelScope,
    store: Store,
    *,
    only: Sequence[KernelCase] | None = None,
    again: bool = False,
    seconds: float | None = None,
    guard: Guard | None = None,
    task: Check | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Make the comparisons of a scope, or `only` these of them, that the record lacks; it is written at each.

    `again`: those too whose process ended without an answer. None is begun after `seconds`. `task` makes one
    (a function that can be pickled). SuiteError where there is no GPU for it, or a record cannot be written.
    """
    with sole(store.root / "profiles", say_waiting):
        record = _recorded(scope, store)
        todo = record.left(cases(scope) if only is None else only, again)
        summary, start = Summary(record, left=len(todo)), clock()
        task = task or partial(check, device=scope.device)
        for finding in track(_findings(todo, guard or default_guard(), task), "checking kernels", len(todo)):
            _add(summary, finding)
            store.write(summary.record)
            if seconds is not None and clock() - start >= seconds:
                break
    return summary


def _add(summary: Summary, finding: KernelFinding) -> None:
    """Put a finding into the record, in the place of an earlier one."""
    kept = tuple(known for known in summary.record.findings if known.case != finding.case)
    summary.record = summary.record.model_copy(update={"findings": (*kept, finding)})
    summary.made += 1
    summary.right += finding.status == "ok"
    summary.left -= 1


def known(scope: KernelScope, hardware: str, store: Store) -> KernelRecord | None:
    """The record of a scope on a machine with the packages that are installed here, where there is one."""
    setting = setting_of(scope, hardware)
    path = store.kernel_path(setting.id)
    return read(path, KernelRecord) if path.is_file() else None


def setting_of(scope: KernelScope, hardware: str) -> KernelSetting:
    """What identifies such a record."""
    packages = environment.installed(DECIDING)
    return KernelSetting(**scope.model_dump(), hardware=hardware, packages=packages)


def trusted(store: Store) -> frozenset[str]:
    """Kernels that a record of this GPU and these packages found right in all of the default scope."""
    if not torch.cuda.is_available() or not store.paths("kernels"):
        return frozenset()
    record = known(KernelScope(), environment.gpu_name(), store)
    return frozenset() if record is None else record.trusted(cases(KernelScope()))


def decided(store: Store) -> frozenset[str]:
    """As `trusted`; SuiteError while comparisons are to be made: what nobody looked at is not wrong."""
    record = known(KernelScope(), environment.gpu_name(), store)
    if record is None or record.left(cases(KernelScope())):
        raise SuiteError(
            "profile: fla's kernels were not all compared here; run `serbench profile kernels` first"
        )
    return record.trusted(cases(KernelScope()))


def trust_recorded(store: Store) -> tuple[str, ...]:
    """Let `backend="auto"` run the trusted kernels in this process; returns which, none on a CPU."""
    names = trusted(store)
    backend.trust(names)  # type: ignore[arg-type]
    return tuple(sorted(names))


def _recorded(scope: KernelScope, store: Store) -> KernelRecord:
    """The record of this scope and machine as far as it is filled, or an empty one."""
    if scope.device == "cuda" and not torch.cuda.is_available():
        raise SuiteError("profile kernels: torch finds no CUDA device here; choose --device cpu")
    here = environment.describe(1, scope.device)
    setting, (compared, reference) = setting_of(scope, here.device), WORDS[scope.device]
    return known(scope, here.device, store) or KernelRecord(
        id=setting.id, setting=setting, compared=compared, reference=reference, environment=here
    )


def _findings(todo: Sequence[KernelCase], guard: Guard, task: Check) -> Iterator[KernelFinding]:
    """One finding a case, in order; the cases of one name and precision share a process while it lives."""
    for _, group in groupby(todo, key=lambda case: (case.of, case.name, case.direction, case.dtype)):
        left = list(group)
        while left:
            for outcome in outcomes(task, tuple(left), guard):
                case = left.pop(0)
                yield outcome if isinstance(outcome, KernelFinding) else _ended(case, outcome)


def _ended(case: KernelCase, failure: Failure) -> KernelFinding:
    reason = f"out of memory: {failure.reason}" if failure.status == "oom" else failure.reason
    return KernelFinding(case=case, status="failed", reason=reason)
