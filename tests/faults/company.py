"""Several runs of one command, started at once, on one results folder and one cache that is still empty."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from ledger import Ledger, Row
from stage import Places, Stage, wait_for


def together(stage: Stage, folder: Path, ledger: Ledger, count: int) -> Row:
    """`count` runs; every cell is trained by one of them, and features are computed by one."""
    row = Row(
        f"{count} runs at once on one results folder", "waits for the others; each cell is trained once"
    )
    places = Places(folder / "results", folder / "cache")
    runs = [stage.start(places) for _ in range(count)]
    trained = 0
    for run in runs:
        ended = run.end()
        row.tried += 1
        row.expect(ended.code == 0, f"{ended.code}: {ended.said[-500:]}")
        trained += sum(map(int, re.findall(r"(\d+) trained", ended.said)))
    row.expect(trained == len(ledger.records), f"{trained} cells were trained of {len(ledger.records)}")
    row.check(ledger, places.results, places.cache / "features", places.cache / "corpora")
    return row


def one_of_two_killed(stage: Stage, folder: Path, cache: Path, ledger: Ledger) -> Row:
    """Two runs; who trains is killed, and who waited takes over."""
    row = Row("one of two runs killed", "takes over from the checkpoint of the other")
    places = Places(folder / "results", cache)
    first = stage.start(places)
    row.expect(wait_for(lambda: any(places.results.glob("checkpoints/*/last.ckpt")), first), "not met")
    second = stage.start(places)
    first.signal(signal.SIGKILL)
    ended = second.end()
    row.tried += 1
    row.expect(ended.code == 0, f"{ended.code}: {ended.said[-500:]}")
    row.check(ledger, places.results)
    return row
