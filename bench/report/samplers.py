"""Samplers compared: one system, trained alike but for the sampler, with differences to uniform.

    sections(store, store.runs())     # one a system, corpus and recipe that several samplers have trained

In the leaderboard another sampler is another recipe, hence another table. Here it is the axis: a run is read
as if its sampler were its layout, and the tables are those of any comparison (`bench.report.tables`,
`bench.report.board`): paired on the same draws of speakers, with intervals and p-values adjusted for all
differences of the table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bench.config import Recipe, content_id
from bench.evidence.comparison import comparison
from bench.evidence.records import Label, RunRecord
from bench.evidence.store import Store
from bench.report.board import Row, Section, sections_of
from bench.report.tables import accuracy_of

HEAD = "Sampler"
HEADING = "Samplers compared"
INTRODUCTION = """\
One system trained with several samplers, all else alike; Δ is the difference to uniform, paired as above.
"""
UNIFORM = "uniform"
AXIS = ("sampler", "stages", "guide")  # in what the recipes of two samplers differ


def sections(store: Store, runs: Sequence[RunRecord]) -> list[Section]:
    """The comparisons of samplers, real corpora first; SuiteError where a record is damaged."""
    found = []
    for some in _along_samplers(runs):
        accuracy = accuracy_of(store, _as_systems(some), UNIFORM)
        name = some[0].label.text + (", causal" if some[0].config.system.direction == "causal" else "")
        found += [_named(section, name) for section in sections_of(accuracy, pd.DataFrame())]
    return sorted(found, key=lambda section: (section.synthetic, section.title))


def _along_samplers(runs: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """Runs of one system and recipe but for the sampler, where uniform and another were used."""
    if len({run.config.recipe.sampler for run in runs}) < 2:
        return []
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        groups[content_id(comparison(_recast(run, ""))) + content_id(run.config.system)].append(run)
    used = {name: {run.config.recipe.sampler for run in some} for name, some in groups.items()}
    return [some for name, some in groups.items() if UNIFORM in used[name] and len(used[name]) > 1]


def _as_systems(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Runs with their samplers in the place of layouts; one with several settings has one each."""
    variants: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        variants[run.config.recipe.sampler].add(_variant(run))
    several = {sampler for sampler, found in variants.items() if len(found) > 1}
    return [
        _recast(run, f"{sampler} {_variant(run)[:8]}" if sampler in several else sampler)
        for run, sampler in ((run, run.config.recipe.sampler) for run in runs)
    ]


def _variant(run: RunRecord) -> str:
    """Hash of a sampler's own settings."""
    kept = {name: getattr(run.config.recipe.settled(), name) for name in AXIS}
    return content_id(Recipe(**kept))


def _recast(run: RunRecord, sampler: str) -> RunRecord:
    """A run whose layout is the name of a sampler, and whose recipe has none."""
    cell = run.config
    usual: dict[str, Any] = {name: Recipe.model_fields[name].default for name in AXIS}
    config = cell.model_copy(
        update={
            "recipe": cell.recipe.model_copy(update=usual),
            "system": cell.system.model_copy(update={"layout": sampler}),
        }
    )
    label = Label(text=sampler.replace("_", "-").capitalize(), mixers=run.label.mixers)
    return run.model_copy(update={"config": config, "label": label})


def _named(section: Section, system: str) -> Section:
    """The section of a system, its column of systems being one of samplers."""
    rows = tuple(
        Row({HEAD if head == "System" else head: text for head, text in row.cells.items()}, row.leads)
        for row in section.rows
    )
    finding = section.finding.replace("No system", "No sampler").replace("other system", "other sampler")
    return replace(section, title=f"{system}: {section.title}", finding=finding, rows=rows)
