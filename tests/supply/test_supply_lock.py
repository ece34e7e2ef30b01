"""Every file that an installation may download is known by its SHA-256, and no advisory is passed over."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from supply_audit import EXPLAINED, verdict
from supply_lock import LOCK, OLDEST, PIN, ROOT, hashes, of_files, with_more

LOCKED = hashes(LOCK.read_text(encoding="utf-8"))
REPORTS = sorted(Path(sys.prefix).glob("report-*.json"))  # run_all.sh keeps what pip says of its downloads


def pins(path: Path) -> dict[str, str]:
    """Name and version of every pin of a file."""
    found = PIN.finditer(path.read_text(encoding="utf-8"))
    return {canonicalize_name(pin["name"]): pin["version"] for pin in found}


def downloads() -> dict[tuple[str, str], str]:
    """The SHA-256 of every archive that was downloaded into this environment, by name and version."""
    found = {}
    for report in REPORTS:
        for item in json.loads(report.read_text(encoding="utf-8"))["install"]:
            digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
            version = item["metadata"]["version"].partition("+")[0]
            if digest:
                found[canonicalize_name(item["metadata"]["name"]), version] = digest
    return found


def test_the_lock_holds_every_constraint_in_its_version():
    assert set(pins(ROOT / "constraints.txt").items()) <= set(LOCKED)


def test_every_locked_version_has_a_hash():
    assert [pin for pin, known in LOCKED.items() if not known] == []


@pytest.mark.skipif(not REPORTS, reason="this environment was not installed by run_all.sh")
def test_what_was_downloaded_here_is_in_the_lock():
    pinned = {pin: digest for pin, digest in downloads().items() if pin in LOCKED}
    assert {pin for pin, digest in pinned.items() if digest not in LOCKED[pin]} == set()


def test_the_oldest_versions_are_those_that_the_project_declares():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = pins(OLDEST)
    for wanted in map(Requirement, project["dependencies"]):
        assert oldest[canonicalize_name(wanted.name)] in wanted.specifier
        (low,) = (part.version for part in wanted.specifier if part.operator == ">=")
        stated = re.escape(low)
        assert re.match(rf"{stated}(\.|$)", oldest[canonicalize_name(wanted.name)]), wanted


def test_another_build_of_a_version_stands_beside_what_the_index_has(tmp_path):
    wheel = tmp_path / "torch-2.13.0+mine-py3-none-any.whl"
    wheel.write_bytes(b"another build")
    digest = hashlib.sha256(b"another build").hexdigest()
    text = LOCK.read_text(encoding="utf-8")
    longer = hashes(with_more(text, of_files([wheel])))
    assert set(longer["torch", "2.13.0"]) == {*LOCKED["torch", "2.13.0"], digest}
    assert longer | {("torch", "2.13.0"): []} == LOCKED | {("torch", "2.13.0"): []}


def test_pip_refuses_a_file_that_the_lock_does_not_know(tmp_path):
    """pip itself, offline: a package whose file is not the one that was locked."""
    package = tmp_path / "einops-0.8.2-py3-none-any.whl"
    package.write_bytes(b"not what was locked")
    (tmp_path / "wanted.txt").write_text("einops==0.8.2\n")
    command = ["install", "--dry-run", "--no-index", "--find-links", str(tmp_path), "--no-deps"]
    options = ["--ignore-installed", "--require-hashes", "-r", str(tmp_path / "wanted.txt"), "-c", str(LOCK)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *command, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.search("DO NOT MATCH|Hashes are required", done.stderr), done.stderr


def test_an_open_advisory_fails_the_audit_and_an_explained_one_does_not(monkeypatch, capsys):
    bad = {"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}
    assert verdict([bad]) == 1
    monkeypatch.setitem(EXPLAINED, "X-1", "the function is not called")
    assert verdict([bad]) == 0
    assert "the function is not called" in capsys.readouterr().out


def test_packages_that_could_not_be_looked_up_are_not_called_clean(capsys):
    assert verdict([{"name": "a", "version": "1", "skip_reason": "not found"}]) == 0
    assert "0 of 1 packages were looked up" in capsys.readouterr().out
