"""The report: leaderboard and figures, made from the records of a results folder and nothing else.

    write_report(Path("results"))     # leaderboard.md, leaderboard.csv, figures/*.png, figures/*.pdf

A pure function of the records: a second run writes the same bytes. Needs pandas and matplotlib; imports no
torch, no mixers, and asks for no data.
"""

from __future__ import annotations

from pathlib import Path

from bench.errors import SuiteError
from bench.evidence.store import Store, atomic
from bench.report import figures, leaderboard
from bench.report.tables import accuracy_table, profile_table


def write_report(results: Path) -> list[Path]:
    """Write everything that the records under `results` allow and return the paths written.

    Runs give the leaderboard and the recall figure, profiles give latency and memory, both give the Pareto
    figure, op benchmarks give a figure each. SuiteError where there are none of these, or where a record or
    its predictions are damaged.
    """
    store = Store(results)
    accuracy, profiles, ops = accuracy_table(store), profile_table(store), store.ops()
    if accuracy.empty and profiles.empty and not ops:
        raise SuiteError(
            f"{results}: no records to report on; run `serbench run demo` or name another folder"
        )
    written = []
    if len(accuracy):
        written.append(_write(results / "leaderboard.md", leaderboard.markdown(accuracy, profiles)))
        written.append(_write(results / "leaderboard.csv", leaderboard.csv(accuracy, profiles)))
    for name, figure in figures.draw(accuracy, profiles):
        written += figures.save(figure, results / "figures" / name)
    return written + write_op_figures(results)


def write_op_figures(results: Path) -> list[Path]:
    """Write the figures of the op benchmarks under `results` and return the paths written."""
    drawn = figures.draw_ops(Store(results).ops())
    return [path for name, figure in drawn for path in figures.save(figure, results / "figures" / name)]


def _write(path: Path, text: str) -> Path:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
