"""What the suite depends on: pinned, at least as new as it says, and under licences that are listed.

    python tests/test_supply_chain.py        # writes LICENCES.md again, after a change of constraints.txt

The table is made from the metadata of the installed packages; of one that is not installed here (those for a
GPU) the row stays, so run it where all are.
"""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "LICENCES.md"
PIN = re.compile(r"^([\w.-]+)==(\S+)$", re.MULTILINE)
ROW = re.compile(r"^\| ([\w.-]+) \| (\d\S*) \| (.+) \|$", re.MULTILINE)
UNKNOWN = "not said in its metadata"
HEAD = """\
# Licences of what serbench uses

Written by `python tests/test_supply_chain.py` from the metadata of the packages that `constraints.txt` pins.
Most are needed by the tests or by an extra alone: `pyproject.toml` says which. None of them is distributed
with serbench.

| package | version | licence |
|:--|:--|:--|
"""


def pins() -> dict[str, str]:
    """Every pinned package with its version."""
    return dict(PIN.findall((ROOT / "constraints.txt").read_text(encoding="utf-8")))


def listed() -> dict[str, tuple[str, str]]:
    """Version and licence by package, as the table has them."""
    text = TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""
    return {name: (version, licence) for name, version, licence in ROW.findall(text)}


def licence(package: metadata.Distribution) -> str:
    """What a package's metadata say: its SPDX expression, classifiers, own words or file."""
    said = package.metadata
    if said["License-Expression"]:
        return str(said["License-Expression"])
    kinds = [
        line for line in said.get_all("Classifier", []) if line.startswith("License :: OSI Approved :: ")
    ]
    if kinds:
        return ", ".join(sorted(line.rpartition(" :: ")[2] for line in kinds))
    words = (said["License"] or "").strip().splitlines() or _file(package)
    return words[0].replace("|", "/")[:80] if words else UNKNOWN


def _file(package: metadata.Distribution) -> list[str]:
    """The lines of a package's licence file."""
    files = [path for path in package.files or [] if path.name.upper().startswith("LICEN")]
    return (files[0].read_text().strip().splitlines()) if files else []


def found() -> dict[str, str]:
    """The licence of every pinned package that is installed in the version that is pinned."""
    licences = {}
    for name, version in pins().items():
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if package.version.partition("+")[0] == version:
            licences[name] = licence(package)
    return licences


def declared() -> list[Requirement]:
    """The packages that serbench itself asks for, of its own and of every extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    return [
        Requirement(line) for line in [*project["dependencies"], *extras] if not line.startswith("serbench")
    ]


def test_the_table_lists_every_pinned_package_in_its_version():
    assert {name: version for name, (version, _) in listed().items()} == pins()


def test_licences_are_those_of_the_installed_packages():
    table = listed()
    assert {name: table[name][1] for name in found()} == found()


def test_every_licence_is_known():
    assert [name for name, (_, licence) in listed().items() if licence == UNKNOWN] == []


@pytest.mark.parametrize("wanted", declared(), ids=lambda wanted: wanted.name)
def test_what_is_pinned_is_as_new_as_what_is_asked_for(wanted):
    versions = {canonicalize_name(name): version for name, version in pins().items()}
    if wanted.name == "triton":  # comes with torch, in the version that fits it
        return
    assert versions[canonicalize_name(wanted.name)] in wanted.specifier


def test_every_package_that_the_suite_needs_to_run_states_its_oldest_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = [Requirement(line).specifier for line in project["dependencies"]]
    assert all(any(part.operator == ">=" for part in specifier) for specifier in oldest)


def write() -> None:
    """Write the table."""
    kept, licences = listed(), found()
    rows = [
        f"| {name} | {version} | {licences.get(name) or kept.get(name, ('', UNKNOWN))[1]} |"
        for name, version in pins().items()
    ]
    TABLE.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
