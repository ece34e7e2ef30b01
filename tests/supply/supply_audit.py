"""Asks the advisory database of the package index about every version in requirements.lock.

    python tests/supply/supply_audit.py         # exit code 1: a known vulnerability that is not in EXPLAINED

pip-audit does the asking, from an environment of its own. Where the database cannot be reached, or does not
know a package, this is said, and nothing is claimed of it: exit code 0, so that work without network goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
TOOL = "pip-audit==2.10.1"
EXPLAINED: dict[str, str] = {}  # by the advisory's id: why it does not reach us
ASK = ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json"]


def main() -> int:
    """Ask, and say what was found."""
    with tempfile.TemporaryDirectory(prefix="serbench-audit-") as folder:
        venv.create(folder, with_pip=True)
        python = [str(Path(folder) / "bin" / "python"), "-m"]
        got = subprocess.run([*python, "pip", "install", "--quiet", TOOL], capture_output=True, check=False)
        if got.returncode:
            print(f"audit: {TOOL} cannot be had here, so nothing was checked")
            return 0
        command = [*python, "pip_audit", *ASK, "--requirement", str(LOCK)]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answer = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (asked.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"audit: the advisory database cannot be asked from here, so nothing was checked: {last}")
        return 0
    return verdict(answer)


def verdict(packages: list[dict[str, Any]]) -> int:
    """Print what pip-audit found of each package; 1 where something is not explained."""
    open_ones = 0
    for package in packages:
        for advisory in package.get("vulns", []):
            why = EXPLAINED.get(advisory["id"])
            fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
            named = f"{package['name']} {package['version']}: {advisory['id']}"
            print(f"audit: {named}, fixed in {fixed}; {why or 'OPEN'}")
            open_ones += why is None
    unknown = [package for package in packages if "skip_reason" in package]
    asked = len(packages) - len(unknown)
    print(f"audit: {asked} of {len(packages)} packages were looked up, {open_ones} advisories are open")
    if unknown:
        print(f"audit: nothing is claimed of the others; {unknown[0]['name']}: {unknown[0]['skip_reason']}")
    return 1 if open_ones else 0


if __name__ == "__main__":
    sys.exit(main())
