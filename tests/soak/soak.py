"""A long run: training, profiling and reporting over and over in one process, to see whether anything grows.

    python tests/soak/soak.py --minutes 60 --out soak          # samples.csv, soak.png, verdict.txt
    python tests/soak/soak.py --judge soak                     # the verdict on samples that are there

Exit code 0: memory, handles and files are flat; 1: something leaks, or the work failed; 3: too few rounds to
tell. Ctrl-C or SIGTERM end the run with the verdict on what was seen so far; after anything harder `--judge`
gives it. One core is enough; a round takes some twenty seconds of it.

This file imports little, since every process that is measured imports it.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Watch memory and handles over a long run.")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="folder to write to (default: soak)")
    parser.add_argument("--judge", type=Path, metavar="DIR", help="watch nothing: judge the samples in DIR")
    asked = parser.parse_args()
    import soak_run

    if asked.judge:
        sys.exit(soak_run.judged(asked.judge))
    from soak_work import Round

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(soak_run.watch(Round(asked.out / "work"), asked.out, 60 * asked.minutes))


if __name__ == "__main__":
    main()
