"""Ctrl-C and SIGTERM: the run ends at once, cleanly, with one sentence and the signal's exit code."""

from __future__ import annotations

import signal
from pathlib import Path

from ledger import Ledger, Row, gone, standing
from stage import Places, Stage, wait_for

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
MOMENTS = {  # what there is when the signal comes
    "in the cache": lambda places: any(places.cache.glob("*/.*.unfinished")),
    "as the cohort starts": lambda places: any(places.results.glob("work/claims/*")),
    "in training": lambda places: any(places.results.glob("checkpoints/cohort-*/last.ckpt")),
    "in the report": lambda places: (places.results / "leaderboard.md").exists(),
}


def stopped(
    stage: Stage,
    folder: Path,
    ledger: Ledger,
    number: signal.Signals,
    moments: tuple[str, ...] = tuple(MOMENTS),
) -> Row:
    """One run that is stopped at these moments, by a signal to all its processes, as a terminal sends it."""
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    row = Row(name, f"ends with one sentence, exit code {CODES[number]}")
    places = Places(folder / "results", folder / "cache", report="in the report" in moments)
    for moment in moments:
        before, run = standing(places.results), stage.start(places)
        row.expect(wait_for(lambda there=MOMENTS[moment]: there(places), run), f"{moment}: not met")
        cohorts = run.children()
        run.signal(number)
        ended = run.end()
        row.tried += 1
        row.expect(
            ended.code == CODES[number] and ended.clean, f"{moment}: {ended.code}, {ended.said[-500:]}"
        )
        row.expect(not any(Path(f"/proc/{pid}").exists() for pid in cohorts), f"{moment}: a cohort lives on")
        row.lost += gone(before, places.results)
    row.expect(stage.finish(places).code == 0, "the same command does not go on")
    row.check(ledger, places.results, places.cache / "features", places.cache / "corpora")
    return row
