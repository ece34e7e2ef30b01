"""SIGKILL: at the moments when something is put in place, and at random ones; and a clock set back meanwhile.

at_writes(stage, folder)           # a run that dies five times, each time elsewhere
at_random(stage, folder, 50)       # and at moments that nobody has chosen
"""

from __future__ import annotations

import random
import signal
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from ledger import Ledger, Row, gone, standing
from stage import Places, Run, Stage

MOMENTS = (  # at which a run dies: as it puts in place, or removes, whatever it writes, in this order
    ("dies_writing", "*/corpora/*", "before"),
    ("dies_writing", "*/features/*", "before"),
    ("dies_writing", "*/features/*", "after"),
    ("dies_writing", "*/last.ckpt", "before"),
    ("dies_writing", "*/previous.ckpt", "before"),
    ("dies_writing", "*/last.ckpt", "after"),
    ("dies_writing", "*/checkpoints/*.pt", "after"),
    ("dies_writing", "*/predictions/*", "before"),
    ("dies_writing", "*/runs/*", "before"),
    ("dies_writing", "*/runs/*", "after"),
    ("dies_removing_checkpoints",),
    ("dies_writing", "*/leaderboard.csv", "before"),
    ("dies_writing", "*/figures/*.pdf", "before"),
)
SHORTER = 0.8
EPOCHS = ("--recipe.epochs", "6")  # of what is killed at random


def at_writes(
    stage: Stage, folder: Path, ledger: Ledger, moments: tuple[tuple[str, ...], ...] = MOMENTS
) -> Row:
    """One run that is killed at each of these, and started again each time."""
    row = Row("SIGKILL as a file is put in place", "goes on where it was")
    report = any("leaderboard" in word for moment in moments for word in moment)
    places = Places(folder / "results", folder / "cache", report=report)
    for moment in moments:
        before = standing(places.results)
        ended = stage.finish(places, moment)
        row.tried += 1
        row.expect(ended.code == -signal.SIGKILL, f"{moment}: {ended.code}, {ended.said[-500:]}")
        row.lost += gone(before, places.results)
    row.expect((ended := stage.finish(places)).code == 0, f"at last: {ended.said[-500:]}")
    row.check(ledger, places.results, places.cache / "features", places.cache / "corpora")
    return row


def clock_set_back(stage: Stage, folder: Path, cache: Path, ledger: Ledger) -> Row:
    """A run is killed; it goes on as if 400 days earlier, and is killed; and ends as if 400 days later."""
    row = Row("clock set back, and forward", "goes on where it was")
    places = Places(folder / "results", cache)
    for days, dies_at in (("0", "*/previous.ckpt"), ("400", "*/predictions/*")):
        ended = stage.finish(places, ("clock_set_back", days), ("dies_writing", dies_at, "before"))
        row.expect(ended.code == -signal.SIGKILL, f"{days} days: {ended.code}, {ended.said[-500:]}")
    ended = stage.finish(places, ("clock_set_back", "-400"))
    row.tried += 1
    row.expect(ended.code == 0, f"400 days later: {ended.code}, {ended.said[-500:]}")
    row.check(ledger, places.results)
    return row


def at_random(stage: Stage, folder: Path, kills: int, seed: int = 0) -> list[Row]:
    """`kills` moments: four in five between the start and the last record, the others in the report."""
    draw = random.Random(seed)
    whole = Places(folder / "whole" / "results", folder / "whole" / "cache", EPOCHS)
    training = _training(stage, folder, whole, kills - kills // 5, draw)
    return [training, _report(stage, whole, kills // 5, draw)]


def _training(stage: Stage, folder: Path, whole: Places, kills: int, draw: random.Random) -> Row:
    """Runs from nothing that are killed and started again until they end, as many as it takes.

    About every other kill strikes the first process alone, whose cohorts have to follow.
    """
    row = Row("SIGKILL at a random moment of features, training and records", "goes on where it was")
    started = time.monotonic()
    row.expect(stage.finish(whole).code == 0, "the undisturbed run failed")
    whole_s, ledger = time.monotonic() - started, Ledger.of(whole.results)
    met: Counter[str] = Counter()
    chain = 0
    while row.tried < kills:
        chain += 1
        places = Places(folder / f"{chain}" / "results", folder / f"{chain}" / "cache", EPOCHS)
        left_s = whole_s
        while row.tried < kills:
            before, run, after_s = standing(places.results), stage.start(places), draw.uniform(0, left_s)
            if not _killed(run, after_s, alone=bool(draw.getrandbits(1))):
                whole_s *= SHORTER if left_s == whole_s else 1  # this machine is quicker than it was
                break
            left_s = max(left_s - after_s / 2, whole_s / 4)  # about: it goes on where it was
            row.tried += 1
            met[_stage(places)] += 1
            row.lost += gone(before, places.results)
        row.expect(stage.finish(places).code == 0, f"run {chain} does not end")
        row.check(ledger, places.results, places.cache / "features", places.cache / "corpora")
        print(f"killed {row.tried} of {kills} times", file=sys.stderr, flush=True)
    row.ends += f" ({', '.join(f'{count} {name}' for name, count in sorted(met.items()))})"
    return row


def _report(stage: Stage, whole: Places, kills: int, draw: random.Random) -> Row:
    """The report of finished records, killed and started again."""
    row = Row("SIGKILL at a random moment of the report", "is written again, to the same bytes")
    places = replace(whole, report=True)
    started = time.monotonic()
    stage.finish(places)
    took_s, ledger = time.monotonic() - started, Ledger.of(whole.results)
    texts = _texts(whole.results)
    while row.tried < kills:
        row.tried += _killed(stage.start(places), draw.uniform(0, took_s), alone=False)
    row.expect(stage.finish(places).code == 0, "the report fails")
    row.check(ledger, whole.results)
    row.changed += sum(_texts(whole.results).get(name) != text for name, text in texts.items())
    return row


def _killed(run: Run, after_s: float, alone: bool) -> bool:
    """Whether the run was there to be killed after so long; its cohorts are gone too when this returns."""
    run.process.join(after_s)
    if not run.alive():
        return False
    cohorts = run.children()
    run.signal(signal.SIGKILL, everyone=not alone)
    run.end()
    while any(_running(pid) for pid in cohorts):
        time.sleep(0.02)
    return True


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _stage(places: Places) -> str:
    """How far a run had come, by what it has written."""
    if list(places.results.glob("runs/*.json")):
        return "amid the records"
    if list(places.results.glob("predictions/*.parquet")) or list(places.results.glob("checkpoints/*.pt")):
        return "before the first record"
    if list(places.results.glob("checkpoints/cohort-*/last.ckpt")):
        return "in training"
    if list(places.cache.glob("features/*/index.parquet")):
        return "before the first epoch's end"
    return "in the cache"


def _texts(results: Path) -> dict[str, bytes]:
    """What a report writes, figures too, by name."""
    files = (*results.iterdir(), *results.glob("figures/*"))
    return {path.name: path.read_bytes() for path in files if path.is_file()}
