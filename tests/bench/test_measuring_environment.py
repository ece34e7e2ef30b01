"""The environment: against the system's own tools, and where they are missing."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.errors import SuiteError
from bench.measuring import environment
from bench.measuring.environment import cpu_name, describe, git_state, installed


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


def test_gpu_is_named_by_the_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\necho "NVIDIA $1"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert environment.gpu_name() == "NVIDIA --id=2"


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
