"""The environment: against the system's own tools, and where they are missing."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.errors import SuiteError
from bench.evidence.records import Environment, Gpu
from bench.measuring import environment
from bench.measuring.environment import (
    container,
    cpu_flags,
    cpu_max_mhz,
    cpu_name,
    describe,
    describe_gpu,
    git_state,
    installed,
)

ANSWER = "NVIDIA H200, 570.86.15, 143771, 700.00, Enabled, 1980, 3201"


@pytest.fixture
def driver_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A nvidia-smi that answers with the text of the file that this gives, and writes down its arguments."""
    folder = tmp_path / "driver"
    folder.mkdir()
    tool, answer = folder / "nvidia-smi", folder / "answer"
    tool.write_text(f'#!/bin/sh\necho "$@" > {folder / "arguments"}\ncat {answer}\n')
    tool.chmod(0o755)
    answer.write_text(f"{ANSWER}\n")
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    return answer


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    command = ("git", "-C", str(folder), *who, *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout with one committed file."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("a = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


def test_describing_the_machine_imports_no_torch() -> None:
    script = "import sys, bench.measuring.environment as e; e.describe(1); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_this_machine_is_described_in_full() -> None:
    here = describe(threads=3)
    assert here.device
    assert here.device_kind == "cpu"
    assert here.threads == 3
    assert here.cores >= 1
    assert here.memory_bytes > 1 << 28
    assert here.python == platform.python_version()
    assert here.packages["numpy"] == np.__version__
    assert here.cpu == here.device
    assert 1 <= (here.usable_cores or 1) <= here.cores
    assert here.gpu is None


def test_record_of_an_environment_reads_back(driver_tool: Path) -> None:
    here = describe(1, device_kind="cuda")
    assert Environment.model_validate_json(here.model_dump_json()) == here


def test_environment_of_an_older_record_still_loads() -> None:
    older = {
        "device": "AMD EPYC",
        "device_kind": "cpu",
        "cores": 2,
        "threads": 1,
        "memory_bytes": 1 << 34,
        "operating_system": "Linux 6.1",
        "python": "3.11.7",
        "packages": {"torch": "2.11.0"},
    }
    loaded = Environment.model_validate(older)
    assert (loaded.cpu_flags, loaded.gpu, loaded.container) == ((), None, "")


def test_packages_that_are_not_installed_are_absent() -> None:
    assert installed(("numpy", "no-such-package-anywhere")) == {"numpy": np.__version__}


def test_processor_is_named_by_its_model(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC  9654 96-Core Processor\n")
    assert cpu_name(cpuinfo) == "AMD EPYC 9654 96-Core Processor"


@pytest.mark.parametrize("processor", ["", "unknown", platform.machine()])
def test_processor_that_nothing_names_is_said_to_be_unknown(
    processor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "processor", lambda: processor)
    assert cpu_name(tmp_path / "absent") == f"unknown CPU ({platform.machine()})"


def test_asking_for_a_gpu_where_none_answers_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SuiteError, match="no NVIDIA GPU answers"):
        describe(1, device_kind="cuda")


def test_gpu_is_the_first_that_cuda_shows(driver_tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert environment.gpu_name() == "NVIDIA H200"
    assert "--id=2" in (driver_tool.parent / "arguments").read_text()


def test_gpu_is_described_as_its_driver_says(driver_tool: Path) -> None:
    here = describe(1, device_kind="cuda")
    assert here.device == "NVIDIA H200"
    assert here.cpu == cpu_name()
    assert here.gpu == Gpu(
        name="NVIDIA H200",
        driver="570.86.15",
        memory_bytes=143_771 << 20,
        power_limit_w=700.0,
        ecc=True,
        sm_clock_mhz=1980,
        memory_clock_mhz=3201,
    )


def test_facts_that_a_gpu_does_not_tell_are_absent(driver_tool: Path) -> None:
    driver_tool.write_text("NVIDIA T1000, 550.1, 4096, [N/A], [N/A], 2100, [Not Supported]\n")
    gpu = describe_gpu()
    assert (gpu.power_limit_w, gpu.ecc, gpu.memory_clock_mhz) == (None, None, None)
    assert gpu.sm_clock_mhz == 2100


def test_error_correction_that_is_off_is_no_unknown(driver_tool: Path) -> None:
    driver_tool.write_text(ANSWER.replace("Enabled", "Disabled"))
    assert describe_gpu().ecc is False


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        (
            "flags\t\t: fpu avx avx2 fma avx512f avx512_bf16 amx_bf16",
            ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16"),
        ),
        ("Features\t: fp asimd sve bf16 crc32", ("asimd", "bf16", "sve")),
        ("model name\t: something", ()),
    ],
    ids=["x86", "Arm", "not said"],
)
def test_processor_flags_that_decide_speed_are_named(
    tmp_path: Path, line: str, flags: tuple[str, ...]
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{line}\n\nprocessor\t: 1\n{line}\n")
    assert cpu_flags(cpuinfo) == flags


def test_highest_clock_is_in_megahertz_and_absent_where_not_said(tmp_path: Path) -> None:
    assert cpu_max_mhz(tmp_path) is None
    (tmp_path / "cpuinfo_max_freq").write_text("3700000\n")
    assert cpu_max_mhz(tmp_path) == 3700.0


@pytest.mark.parametrize(
    ("trace", "kind"),
    [
        (".dockerenv", "docker"),
        ("run/.containerenv", "podman"),
        ("proc/self/cgroup", "kubernetes"),
        ("etc/hostname", ""),
    ],
)
def test_container_is_known_by_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: str, kind: str
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    (tmp_path / trace).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / trace).write_text("0::/kubepods.slice/pod1\n" if kind == "kubernetes" else "")
    assert container(tmp_path) == kind


def test_commit_is_the_one_that_git_names(checkout: Path) -> None:
    assert git_state(checkout) == (git(checkout, "rev-parse", "HEAD"), False)


def test_changed_code_is_dirty(checkout: Path) -> None:
    (checkout / "code.py").write_text("a = 2\n")
    assert git_state(checkout)[1]


def test_new_code_is_dirty(checkout: Path) -> None:
    (checkout / "mixer.py").write_text("")
    assert git_state(checkout)[1]


def test_written_results_leave_the_code_clean(checkout: Path) -> None:
    (checkout / "results").mkdir()
    (checkout / "results" / "record.json").write_text("{}")
    assert not git_state(checkout)[1]


def test_folder_inside_a_foreign_checkout_has_no_commit(checkout: Path) -> None:
    (checkout / "site-packages").mkdir()
    assert git_state(checkout / "site-packages") == ("", False)


def test_checkout_without_a_commit_or_without_git_never_fails(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "--quiet")
    assert git_state(empty) == ("", False)
    monkeypatch.setenv("PATH", "")
    assert git_state(checkout) == ("", False)
