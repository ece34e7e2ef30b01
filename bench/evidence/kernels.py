"""Whether fla's kernels are right: one record a GPU and set of packages, filled comparison by comparison.

    record.left(planned)            # what is still to be compared
    record.trusted(planned)         # kernels of which all that was planned was compared, and right

An error is the RMSE over the RMS of the reference, as in fla's own tests. A kernel may be wrong on one GPU or
with one version of Triton and right with the next (fla issue 640), so all of these identify a record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from bench.config import DeviceKind, Direction, KernelScope, Precision, Settings, content_id
from bench.evidence.records import Environment

Padding = Literal["none", "right", "left", "scattered"]


class KernelCase(Settings):
    """One comparison: an op on one kernel, or a mixer that runs some; forward and gradients."""

    of: Literal["op", "mixer"]
    name: str  # the kernel, or the mixer
    kernels: tuple[str, ...]  # that it runs, or would on a GPU
    dtype: Precision
    frames: int
    key_dim: int = 0  # of an op
    value_dim: int = 0
    direction: Direction | None = None  # of a mixer
    width: int = 0
    stock: bool = False  # of published size
    padding: Padding = "none"


class KernelFinding(Settings):
    """What came of a comparison.

    "ok": every error within its bound. "failed": one is not, or (no errors) the process ended without an
    answer. "unsupported": the kernel says itself that it does not do this.
    """

    case: KernelCase
    status: Literal["ok", "failed", "unsupported"]
    reason: str = ""
    errors: dict[str, float] = Field(default_factory=dict)  # "output", and of each gradient by what it is of
    bounds: dict[str, float] = Field(default_factory=dict)
    wall_s: float = 0.0

    @property
    def final(self) -> bool:
        """Whether asking again would give the same answer: a process that ended may have run out of time."""
        return self.status != "failed" or bool(self.errors)

    @property
    def worst(self) -> tuple[str, float, float] | None:
        """What came nearest to its bound or farthest beyond, its error and its bound."""
        if not self.errors:
            return None
        name = max(self.errors, key=lambda name: self.errors[name] / self.bounds[name])
        return name, self.errors[name], self.bounds[name]


class KernelSetting(KernelScope):
    """What is compared, on which machine and with which packages: all that identifies a record."""

    hardware: str  # Environment.device
    packages: dict[str, str]  # torch, triton, fla-core

    @property
    def id(self) -> str:
        """Hash of the setting; the record's file name."""
        return content_id(self)


class KernelRecord(Settings):
    """All comparisons on one machine; `compared` and `reference` say in words what with what."""

    kind: Literal["kernels"] = "kernels"
    schema_version: Literal[1] = 1
    id: str
    setting: KernelSetting
    compared: str
    reference: str
    findings: tuple[KernelFinding, ...] = ()
    environment: Environment

    @property
    def device(self) -> DeviceKind:
        """Where it ran: on a CPU there are no kernels, and nothing to trust."""
        return self.setting.device

    def left(self, planned: Sequence[KernelCase], again: bool = False) -> list[KernelCase]:
        """The cases without a finding; with `again` also those whose finding may change."""
        settled = {finding.case for finding in self.findings if finding.final or not again}
        return [case for case in planned if case not in settled]

    def trusted(self, planned: Sequence[KernelCase]) -> frozenset[str]:
        """Kernels that ran in some planned case, and were right in every one that runs them."""
        if self.device != "cuda":
            return frozenset()
        right = {finding.case for finding in self.findings if finding.status == "ok"}
        doubtful = {kernel for case in planned if case not in right for kernel in case.kernels}
        return frozenset(kernel for case in planned for kernel in case.kernels) - doubtful
