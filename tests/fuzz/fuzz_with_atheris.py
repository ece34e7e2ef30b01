"""Coverage-guided fuzzing of one target: mutates files, keeps those that reach new code, stops at a crash.

    pip install atheris
    python tests/fuzz/fuzz_with_atheris.py audio -runs=200000 [FOLDER OF SEEDS]

Other options are libFuzzer's. Seeds are made by `seeds.py` where no folder is given. A crash is written to
`crash-…`: mend the reader, move the file to `tests/fuzz/crashes/TARGET-what.bin`, and it is a test.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bench"]):
    from seeds import write_seeds
    from targets import TARGETS


def main() -> None:
    """Fuzz the target that the first argument names."""
    name, *options = sys.argv[1:]
    target, scratch = TARGETS[name], Path(tempfile.mkdtemp(prefix="fuzz_"))
    seeds = scratch / "seeds"
    if all(option.startswith("-") for option in options):
        options.append(str(write_seeds(name, seeds)))
    work = scratch / "work"
    work.mkdir()
    atheris.Setup([sys.argv[0], *options], lambda content: target(content, work))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
