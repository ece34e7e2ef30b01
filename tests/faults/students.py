"""What befalls one student, or one process: NaN, no memory, a kill, a reader that hangs."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ledger import Ledger, Row
from stage import Places, Stage, wait_for

Plants = Sequence[tuple[str, ...]]
STRUCK = "softmax"  # the student; its mate is retnet
DIVERGED = (("nan", STRUCK), ("nan_on_dev", STRUCK))
WITHOUT_MEMORY = (
    ("out_of_memory", STRUCK, "training_step", "cuda"),
    ("out_of_memory", STRUCK, "training_step", "cpu"),
    ("out_of_memory", STRUCK, "validation_step", "cuda"),
    ("out_of_memory", STRUCK, "scoring", "cpu"),
)


def diverged(stage: Stage, folder: Path, cache: Path, ledger: Ledger, plants: Plants = DIVERGED) -> Row:
    """The loss of a student becomes NaN, or what it says of the dev split."""
    row = Row("loss or outputs of a student NaN", "records it as diverged; its mates are the same bytes")
    return _struck(stage, folder, cache, ledger, plants, "diverged", row)


def without_memory(
    stage: Stage, folder: Path, cache: Path, ledger: Ledger, plants: Plants = WITHOUT_MEMORY
) -> Row:
    """A student runs out of memory: in training, on the dev split, where it is scored."""
    row = Row("one student out of memory", "records it as oom; its mates are the same bytes")
    return _struck(stage, folder, cache, ledger, plants, "oom", row)


def _struck(
    stage: Stage, folder: Path, cache: Path, ledger: Ledger, plants: Plants, status: str, row: Row
) -> Row:
    for number, plant in enumerate(plants):
        places = Places(folder / str(number) / "results", cache)
        ended = stage.finish(places, plant)
        row.tried += 1
        row.expect(ended.code == 1, f"{plant}: {ended.code}: {ended.said[-500:]}")
        found = {record["config"]["system"]["layout"]: record for record in _records(places.results)}
        row.expect(found[STRUCK]["status"] == status, f"{plant}: {found[STRUCK]['status']}")
        row.expect(bool(found[STRUCK]["reason"]), f"{plant}: without a reason")
        mates = Ledger(
            {name: each for name, each in ledger.records.items() if each["label"] != found[STRUCK]["label"]},
            {name: each for name, each in ledger.digests.items() if found[STRUCK]["id"] not in name},
        )
        row.check(mates, places.results)
    return row


def _records(results: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in results.glob("runs/*.json")]


def killed_worker(stage: Stage, folder: Path, cache: Path, ledger: Ledger) -> Row:
    """The process of a cohort is killed, as the system does where memory is short."""
    row = Row("worker killed", "records why, exit code 1; goes on from the checkpoint when started again")
    places = Places(folder / "results", cache)
    run = stage.start(places)
    row.expect(wait_for(lambda: any(places.results.glob("checkpoints/*/last.ckpt")), run), "not met")
    (worker,) = run.children()
    os.kill(worker, signal.SIGKILL)
    ended = run.end()
    row.tried += 1
    row.expect(ended.code == 1, f"{ended.code}: {ended.said[-500:]}")
    failed = [record["reason"] for record in _records(places.results) if record["status"] == "failed"]
    row.expect(bool(failed) and all("SIGKILL" in reason for reason in failed), f"reasons: {failed}")
    row.expect((ended := stage.finish(places)).code == 0, f"again: {ended.said[-500:]}")
    row.check(ledger, places.results)
    return row


def hung_reader(stage: Stage, folder: Path, cache: Path, ledger: Ledger) -> Row:
    """The reading of a batch never ends."""
    row = Row("hung reader", "gives up with one sentence, exit code 2; goes on when started again")
    places = Places(folder / "results", cache)
    ended = stage.finish(places, ("hung_reader",))
    row.tried += 1
    row.expect(ended.code == 2 and ended.clean, f"{ended.code}: {ended.said[-500:]}")
    row.expect("reading a batch has taken over" in ended.last, ended.last)
    row.expect((ended := stage.finish(places)).code == 0, f"again: {ended.said[-500:]}")
    row.check(ledger, places.results)
    return row
