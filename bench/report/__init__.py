"""The report: leaderboard, page, model card and figures, from the records of a results folder alone.

    write_report(Path("results"))     # leaderboard.*, costs.*, exports.*, gpu.md, index.html, figures/, …
    write_tables(Path("results"))     # all but the figures

A pure function of the records and of `reported.csv`, the published numbers (`bench.evidence.reported`): a
second run writes the same bytes. Needs pandas and matplotlib; imports no torch, no mixers, and asks for no
data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.errors import SuiteError
from bench.evidence.cohorts import CohortRecord
from bench.evidence.kernels import KernelRecord
from bench.evidence.records import OpRecord, RunRecord, SweepRecord
from bench.evidence.reported import Reported, read
from bench.evidence.store import Store, atomic
from bench.report import (
    curve_table,
    data_files,
    exports,
    figures,
    gpu_page,
    latex,
    leaderboard,
    model_card,
    page,
    samplers,
    sizes,
)
from bench.report.board import Section
from bench.report.details import Details
from bench.report.sweeps import note as sweep_note
from bench.report.tables import BASELINE, every_profile, plain, score_tables


@dataclass(frozen=True)
class Evidence:
    """All that a report is made of."""

    runs: list[RunRecord]
    accuracy: pd.DataFrame
    groups: pd.DataFrame
    profiles: pd.DataFrame  # those that stand beside accuracy
    costs: pd.DataFrame  # all profiles
    sweeps: list[SweepRecord]
    ops: list[OpRecord]
    kernels: list[KernelRecord]
    cohorts: list[CohortRecord]
    exports: pd.DataFrame  # files held against their checkpoints
    files: pd.DataFrame  # the same across sizes
    reported: list[Reported]
    details: Details  # what figures alone show
    baseline: str
    sampled: list[Section]  # samplers compared


def write_report(results: Path, baseline: str = BASELINE) -> list[Path]:
    """Write everything that the records under `results` allow and return the paths written.

    Runs give the leaderboard and the model card, profiles the costs, either the page, checked exports a
    table, checked kernels and timed training steps `gpu.md`; which figures they give:
    `bench.report.figures.catalogue`. `baseline` is the layout that systems are compared with. SuiteError
    where there are none of these, where a record or its predictions are damaged, or where no run is of the
    baseline's layout.
    """
    evidence = _read(results, baseline)
    written = _write_tables(results, evidence)
    for entry in figures.entries(_material(evidence)):
        written += figures.write(entry, results / "figures")
    return written


def write_tables(results: Path, baseline: str = BASELINE) -> list[Path]:
    """Write the leaderboard in its formats and the model card; see `write_report`."""
    return _write_tables(results, _read(results, baseline))


def figure_entries(results: Path, baseline: str = BASELINE) -> list[figures.Entry]:
    """Every figure that the records under `results` allow, not yet drawn; SuiteError as `write_report`."""
    return figures.entries(_material(_read(results, baseline)))


def _material(evidence: Evidence) -> figures.Material:
    return figures.Material(
        accuracy=evidence.accuracy,
        costs=evidence.costs,
        ops=evidence.ops,
        details=evidence.details,
        files=evidence.files,
        reported=evidence.reported,
        baseline=evidence.baseline,
    )


def _read(results: Path, baseline: str) -> Evidence:
    store = Store(results)
    numbers = results / "reported.csv"
    runs, details = store.runs(), Details()
    accuracy, groups = score_tables(store, runs, baseline, details.add)
    costs, ops = every_profile(store), store.ops()
    kernels, cohorts = store.kernels(), store.cohorts()
    exported, files = exports.exports(store), sizes.size_table(store)
    if accuracy.empty and costs.empty and exported.empty and not (ops or kernels or cohorts):
        raise SuiteError(
            f"{results}: no records to report on; run `serbench run demo` or name another folder"
        )
    layouts = sorted(set(accuracy.get("layout", ())))
    if baseline != BASELINE and baseline not in layouts:
        raise SuiteError(
            f"no run of the baseline {baseline!r}; there is {', '.join(layouts) or 'none at all'}"
        )
    return Evidence(
        runs=runs,
        accuracy=sizes.with_files(accuracy, files),
        groups=groups,
        profiles=plain(costs),
        costs=costs,
        sweeps=store.sweeps(),
        ops=ops,
        kernels=kernels,
        cohorts=cohorts,
        exports=exported,
        files=files,
        reported=read(numbers) if numbers.is_file() else [],
        details=details,
        baseline=baseline,
        sampled=samplers.sections(store, runs),
    )


def _write_tables(results: Path, evidence: Evidence) -> list[Path]:
    accuracy, profiles = evidence.accuracy, evidence.profiles
    texts = _accuracy_texts(evidence) if len(accuracy) else {}
    if len(accuracy) or len(profiles):
        texts["index.html"] = page.html(evidence.runs, accuracy, profiles, evidence.reported)
    if len(evidence.costs):
        table = curve_table.curves(evidence.costs)
        texts["costs.md"] = curve_table.markdown(table, evidence.sweeps)
        texts["costs.csv"] = curve_table.csv(table)
    if gpu := gpu_page.markdown(evidence.kernels, evidence.cohorts):
        texts["gpu.md"] = gpu
    if len(evidence.exports):
        texts["exports.md"] = exports.markdown(evidence.exports)
        texts["exports.csv"] = exports.csv(evidence.exports)
    if len(evidence.files):
        texts["sizes.csv"] = sizes.csv(evidence.files)
    return [_write(results / name, text) for name, text in texts.items()]


def _accuracy_texts(evidence: Evidence) -> dict[str, str]:
    """What is written where there are runs, by file name."""
    accuracy, profiles = evidence.accuracy, evidence.profiles
    texts = {
        "leaderboard.md": leaderboard.markdown(
            accuracy, profiles, evidence.reported, evidence.sampled, sizes.sections(evidence.files)
        )
        + sweep_note(evidence.sweeps),
        "leaderboard.csv": data_files.csv(accuracy, profiles),
        "leaderboard.tex": latex.tables(accuracy, profiles, evidence.reported),
        "leaderboard.json": data_files.json_text(accuracy, evidence.groups, profiles),
    }
    card = model_card.markdown(accuracy, evidence.groups, evidence.runs)
    return texts | ({"MODEL_CARD.md": card} if card else {})


def write_op_figures(results: Path) -> list[Path]:
    """Write the figures of the op benchmarks under `results` and return the paths written."""
    drawn = figures.draw_ops(Store(results).ops())
    return [path for name, figure in drawn for path in figures.save(figure, results / "figures" / name)]


def _write(path: Path, text: str) -> Path:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
