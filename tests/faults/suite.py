"""Everything that may go wrong, tried: nothing lost, and the same result.

    python tests/faults/suite.py                       # ten minutes on a core
    python tests/faults/suite.py --kills 5 --table faults.md

The table goes to standard output and to `results/faults.md`.

Each fault meets a real `serbench run` on a tiny corpus. The run is then given again, undisturbed, and its
records (but for times), predictions and weights are compared byte for byte with those of a run that nothing
has happened to. Exits with 1 where a promise is broken. The faults are in the files beside this one, one
group each; `test_faults.py` tries each once.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import company
import damage
import disks
import kills
import stops
import students
from ledger import Ledger, Row, markdown
from stage import Places, Stage

HEADING = """\
# Faults

Each fault meets `serbench run` on a tiny corpus; the same command is then given again, undisturbed. Lost:
records that the end lacks, or that stood before and were touched. Changed: records (but for times),
predictions and weights that are not those of an undisturbed run, byte for byte.
Made by `python tests/faults/suite.py`.

"""


def rows(stage: Stage, folder: Path, count: int) -> Iterator[Row]:
    """Every fault in turn; `count` kills at random moments."""
    whole = Places(folder / "whole" / "results", folder / "whole" / "cache")
    ended = stage.finish(whole)
    if ended.code:
        raise RuntimeError(f"the undisturbed run failed: {ended.said}")
    cache, ledger = whole.cache, Ledger.of(whole.results)
    yield kills.at_writes(stage, folder / "writes", ledger)
    yield from kills.at_random(stage, folder / "random", count)
    yield stops.stopped(stage, folder / "ctrl-c", ledger, signal.SIGINT)
    yield stops.stopped(stage, folder / "sigterm", ledger, signal.SIGTERM)
    yield disks.full(stage, folder / "full", ledger)
    yield disks.forbidden(stage, folder / "forbidden", cache, ledger)
    yield kills.clock_set_back(stage, folder / "clock", cache, ledger)
    yield company.together(stage, folder / "two", ledger, 2)
    yield company.together(stage, folder / "eight", ledger, 8)
    yield company.one_of_two_killed(stage, folder / "heir", cache, ledger)
    yield damage.flipped_cache(stage, folder / "flipped", cache, ledger)
    yield damage.damaged_checkpoint(stage, folder / "damaged", cache, ledger)
    yield students.diverged(stage, folder / "diverged", cache, ledger)
    yield students.without_memory(stage, folder / "oom", cache, ledger)
    yield students.killed_worker(stage, folder / "worker", cache, ledger)
    yield students.hung_reader(stage, folder / "hung", cache, ledger)
    yield damage.vanished_recording(stage, folder / "vanished")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Try every fault and write the table.")
    parser.add_argument("--kills", type=int, default=50, help="at random moments")
    parser.add_argument("--table", type=Path, default=Path("results/faults.md"), help="where it is written")
    flags = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="serbench-faults-") as folder, Stage() as stage:
        for row in rows(stage, Path(folder), flags.kills):
            print(markdown([row]).splitlines()[2], *row.wrong, sep="\n  ", flush=True)
            found.append(row)
    table = markdown(found)
    flags.table.write_text(HEADING + table, encoding="utf-8")
    print(f"\n{table}\n{flags.table}")
    return 0 if all(row.held for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
