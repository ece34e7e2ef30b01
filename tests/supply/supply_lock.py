"""Writes requirements.lock and constraints-oldest.txt, after a change of constraints.txt or pyproject.toml.

    pip install uv
    python tests/supply/supply_lock.py             # asks the package index; downloads no package
    python tests/supply/supply_lock.py WHEEL…      # and allows these files: another build of a pinned version

requirements.lock has the versions of constraints.txt, what torch asks for beside them where it comes with
CUDA, and the SHA-256 of every file of each release, for all platforms. Another build (torch for processors
alone) stands beside what the index has, and stays as long as the version does.
constraints-oldest.txt has the lowest versions that pyproject.toml allows, without the extra `export`.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parents[2]
LOCK, OLDEST = ROOT / "requirements.lock", ROOT / "constraints-oldest.txt"
RESOLVE = ["uv", "pip", "compile", "--quiet", "--python-version", "3.11"]
PLAIN = ["--no-header", "--no-annotate"]
LOCKED = ["--all-extras", "--universal", "--generate-hashes", "--constraints", "constraints.txt"]
LOWEST = ["--extra", "pretrained", "--extra", "slurm", "--resolution", "lowest-direct"]
LOWEST += ["--python-platform", "linux"]
BUILD = "pip\nsetuptools\n"  # what installs the rest
PIN = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?P<rest>[^\n]*\n(?:    --hash=.*\n)*)", re.MULTILINE
)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
LOCK_HEAD = """\
# The versions of constraints.txt with the SHA-256 of their files, for every platform: ./run_all.sh locked
# Written by `python tests/supply/supply_lock.py`.
"""
OLDEST_HEAD = """\
# The lowest versions that pyproject.toml allows, on Linux with Python 3.11 or 3.12: ./run_all.sh oldest
# Written by `python tests/supply/supply_lock.py`.
"""

Hashes = dict[tuple[str, str], list[str]]  # by name and version


def hashes(text: str) -> Hashes:
    """The SHA-256s of every pin of a lock."""
    found: Hashes = {}
    for pin in PIN.finditer(text):
        found.setdefault((canonicalize_name(pin["name"]), pin["version"]), []).extend(
            HASH.findall(pin["rest"])
        )
    return found


def with_more(text: str, more: Hashes) -> str:
    """A lock with further SHA-256s for the versions that it pins."""

    def longer(pin: re.Match[str]) -> str:
        wanted = more.get((canonicalize_name(pin["name"]), pin["version"]), [])
        first, _, known = pin[0].partition("\n")
        new = (each for each in wanted if each not in known)
        return "\n".join([first, *(f"    --hash=sha256:{each} \\" for each in new), known])

    return PIN.sub(longer, text)


def of_files(wheels: list[Path]) -> Hashes:
    """The SHA-256s of wheels, under their version without the build's own part ("+cpu")."""
    found: Hashes = {}
    for wheel in wheels:
        name, version, _, _ = parse_wheel_filename(wheel.name)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        found.setdefault((name, version.public), []).append(digest)
    return found


def resolved(options: list[str], more: str = "") -> str:
    """What uv finds for pyproject.toml and for the requirements in `more`."""
    command = [*RESOLVE, *PLAIN, *options, "pyproject.toml", "-"]
    return subprocess.run(command, cwd=ROOT, input=more, stdout=subprocess.PIPE, text=True, check=True).stdout


def tools() -> list[str]:
    """What the tests need beside the suite."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [line for line in project["optional-dependencies"]["dev"] if not line.startswith("serbench")]


def main() -> None:
    """Write both files."""
    more = hashes(LOCK.read_text(encoding="utf-8")) if LOCK.exists() else {}
    for key, found in of_files([Path(name) for name in sys.argv[1:]]).items():
        more[key] = [*more.get(key, []), *found]
    text = resolved(LOCKED, more=BUILD)
    LOCK.write_text(LOCK_HEAD + with_more(text, more), encoding="utf-8")
    OLDEST.write_text(OLDEST_HEAD + resolved(LOWEST, more="\n".join(tools())), encoding="utf-8")


if __name__ == "__main__":
    main()
