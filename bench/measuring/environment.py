"""Where a number was made: processor, memory, system, packages and git commit, for every record.

    environment = describe(threads=1)
    environment.device                      # "AMD EPYC 9654 96-Core Processor"

Everything is read from the system and from package metadata; torch is never imported, so a report
can ask as cheaply as a training run.
"""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Literal

import psutil

from bench.errors import SuiteError
from bench.evidence.records import Environment

PACKAGES = (
    "einops",
    "fla-core",
    "flash-linear-attention",
    "lightning",
    "numpy",
    "onnxruntime",
    "pandas",
    "pyarrow",
    "scipy",
    "soundfile",
    "soxr",
    "torch",
    "torchmetrics",
    "transformers",
    "triton",
)
CHECKOUT = Path(__file__).resolve().parents[2]


def describe(threads: int, device_kind: Literal["cpu", "cuda"] = "cpu") -> Environment:
    """The machine as it is now; `threads` is what the caller computes with.

    SuiteError where `device_kind` is "cuda" and no GPU answers.
    """
    commit, dirty = git_state(CHECKOUT)
    return Environment(
        device=gpu_name() if device_kind == "cuda" else cpu_name(),
        device_kind=device_kind,
        cores=os.cpu_count() or 1,
        threads=threads,
        memory_bytes=psutil.virtual_memory().total,
        operating_system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages=installed(PACKAGES),
        git_commit=commit,
        git_dirty=dirty,
    )


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Model name of the processor; "unknown CPU (x86_64)" where the system does not say."""
    machine = platform.machine()
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return " ".join(value.split())
    processor = platform.processor()
    return f"unknown CPU ({machine})" if processor in ("", "unknown", machine) else f"{processor} ({machine})"


def gpu_name() -> str:
    """Model name of the first GPU that CUDA shows, from the driver's own tool."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    name = _output("nvidia-smi", f"--id={visible}", "--query-gpu=name", "--format=csv,noheader")
    if not name:
        raise SuiteError(
            "no NVIDIA GPU answers here (nvidia-smi names none); install its driver or run on the CPU"
        )
    return name.splitlines()[0].strip()


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of those of `names` that are installed, read from their metadata."""
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_state(checkout: Path) -> tuple[str, bool]:
    """Commit of `checkout` and whether its code differs from it; ("", False) where it is no checkout.

    `results/` is left out: writing a record must not make the next one look dirty.
    """
    if not (checkout / ".git").exists():
        return "", False
    git = ("git", "--no-optional-locks", "-C", str(checkout))
    commit = _output(*git, "rev-parse", "--verify", "HEAD")
    changes = _output(*git, "status", "--porcelain", "--", ".", ":(exclude)results")
    return commit, bool(commit and changes)


def _output(*command: str) -> str:
    """Standard output of a command, stripped; "" where it is missing, fails or takes over 10 s."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
