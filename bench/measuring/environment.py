"""Where a number was made: processor, memory, system, packages and git commit, for every record.

    environment = describe(threads=1)
    environment.device                      # "AMD EPYC 9654 96-Core Processor"
    environment.cpu_flags                   # ("avx2", "avx512f", "avx512_bf16")

Everything is read from the system, the GPU's driver and package metadata; torch is never imported, so a
report can ask as cheaply as a training run. What is not said is left empty.
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
from bench.evidence.records import Environment, Gpu
from bench.measuring import cgroup
from bench.measuring.cgroup import ROOT, read
from bench.measuring.nvml import first_visible

PACKAGES = (
    "einops",
    "fla-core",
    "flash-linear-attention",
    "lightning",
    "numpy",
    "nvidia-ml-py",
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
CPU_FLAGS = (
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",  # Arm
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
    "sve2",
)
GPU_FACTS = (
    "name",
    "driver_version",
    "memory.total",
    "enforced.power.limit",
    "ecc.mode.current",
    "clocks.max.sm",
    "clocks.max.memory",
)
CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")
CHECKOUT = Path(__file__).resolve().parents[2]


def describe(threads: int, device_kind: Literal["cpu", "cuda"] = "cpu") -> Environment:
    """The machine as it is now; `threads` is what the caller computes with.

    SuiteError where `device_kind` is "cuda" and no GPU answers.
    """
    commit, dirty = git_state(CHECKOUT)
    gpu = describe_gpu() if device_kind == "cuda" else None
    return Environment(
        device=gpu.name if gpu else cpu_name(),
        device_kind=device_kind,
        cores=os.cpu_count() or 1,
        threads=threads,
        memory_bytes=psutil.virtual_memory().total,
        operating_system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages=installed(PACKAGES),
        git_commit=commit,
        git_dirty=dirty,
        cpu=cpu_name(),
        cpu_flags=cpu_flags(),
        physical_cores=psutil.cpu_count(logical=False),
        usable_cores=usable_cores(),
        cpu_max_mhz=cpu_max_mhz(),
        cpu_governor=read(CPUFREQ / "scaling_governor").strip(),
        load_1min=load_1min(),
        memory_limit_bytes=memory_limit_bytes(),
        container=container(),
        gpu=gpu,
    )


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Model name of the processor; "unknown CPU (x86_64)" where the system does not say."""
    machine = platform.machine()
    for line in read(cpuinfo).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return " ".join(value.split())
    processor = platform.processor()
    return f"unknown CPU ({machine})" if processor in ("", "unknown", machine) else f"{processor} ({machine})"


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Those of CPU_FLAGS that the processor has, in that order."""
    for line in read(cpuinfo).splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):  # x86, Arm
            return tuple(flag for flag in CPU_FLAGS if flag in value.split())
    return ()


def cpu_max_mhz(cpufreq: Path = CPUFREQ) -> float | None:
    """The highest clock that the first processor may take."""
    kilohertz = read(cpufreq / "cpuinfo_max_freq").strip()
    return int(kilohertz) / 1e3 if kilohertz.isdigit() else None


def usable_cores() -> int | None:
    """Logical processors that this process may run on; None where the system does not bind processes."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def load_1min() -> float | None:
    """Mean number of runnable processes over the last minute; None on Windows."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def memory_limit_bytes() -> int | None:
    """The control group's bound on memory; None where there is none below the machine's memory."""
    limit = cgroup.memory_limit_bytes()
    return limit if limit is not None and limit < psutil.virtual_memory().total else None


def container(root: Path = ROOT) -> str:
    """What kind of container this process runs in, by the traces that each leaves; "" where none shows."""
    if "KUBERNETES_SERVICE_HOST" in os.environ or "kubepods" in read(root / "proc" / "self" / "cgroup"):
        return "kubernetes"
    if (root / "run" / ".containerenv").exists():
        return "podman"
    return "docker" if (root / ".dockerenv").exists() else ""


def gpu_name() -> str:
    """Model name of the first GPU that CUDA shows, from the driver's own tool."""
    return describe_gpu().name


def describe_gpu() -> Gpu:
    """The first GPU that CUDA shows, as the driver's own tool describes it; SuiteError where none answers."""
    query = f"--query-gpu={','.join(GPU_FACTS)}"
    answer = _output("nvidia-smi", f"--id={first_visible()}", query, "--format=csv,noheader,nounits")
    if not answer:
        raise SuiteError(
            "no NVIDIA GPU answers here (nvidia-smi names none); install its driver or run on the CPU"
        )
    values = [value.strip() for value in answer.splitlines()[0].split(",")]
    facts = dict(zip(GPU_FACTS, values, strict=False))
    mebibytes = _number(facts.get("memory.total"))
    sm, memory = (_number(facts.get(f"clocks.max.{clock}")) for clock in ("sm", "memory"))
    return Gpu(
        name=facts["name"],
        driver=facts.get("driver_version"),
        memory_bytes=None if mebibytes is None else int(mebibytes) << 20,
        power_limit_w=_number(facts.get("enforced.power.limit")),
        ecc={"Enabled": True, "Disabled": False}.get(facts.get("ecc.mode.current", "")),
        sm_clock_mhz=None if sm is None else int(sm),
        memory_clock_mhz=None if memory is None else int(memory),
    )


def _number(text: str | None) -> float | None:
    """A number as the driver's tool writes it; None for "[N/A]" and the like."""
    try:
        return float(text or "")
    except ValueError:
        return None


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
