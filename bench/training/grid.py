"""A plan becomes cells, cells become cohorts, and the cohorts that are missing are run.

    grid.run(presets.build("open"), folders, workers=2)

Cells that have a record are left alone; cells that lack one are grouped into cohorts. A cohort that
fails leaves a record with the reason for each of its cells, and the next run tries them again.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from bench import corpora
from bench.config import Cell, Direction, Plan, Pretrained, System, Task, content_id
from bench.corpora.manifest import Manifest
from bench.errors import SuiteError
from bench.evidence.records import RunRecord
from bench.evidence.store import Store
from bench.features import cache as feature_cache
from bench.features import plan as feature_plan
from bench.folders import Folders
from bench.measuring import environment
from bench.model import layout
from bench.training import ranks
from bench.training.listening import check_augmentation
from bench.training.losses import require_targets
from bench.training.run import Job, blank_record, run_cohort
from bench.training.workers import Outcome, Workers

DONE = {"ok", "diverged", "oom"}  # a failed cell is tried again


@dataclass
class Summary:
    """What a run did: cells trained now, cells that had a record, and cells that failed, with reasons."""

    trained: int = 0
    already_done: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)

    def add(self, job: Job, record: RunRecord) -> None:
        """Count one record of a job."""
        if record.status == "ok":
            self.trained += 1
        else:
            self.failed.append((f"{job.name} {record.label.text}", record.reason))


def resolved(plan: Plan, folders: Folders) -> Plan:
    """The plan with its pretrained encoders looked up, so that its cells' ids hold their digests.

    SuiteError where they cannot be had.
    """
    if not isinstance(plan.features, Pretrained):
        return plan
    from bench.features.pretrained import resolve_features

    with ranks.first_goes_ahead():  # it may download them
        found = resolve_features(plan.features, folders.models)
    return plan.model_copy(update={"features": found})


def cells(plan: Plan, manifest_of: Callable[[str], Manifest]) -> list[Cell]:
    """Every cell of a plan: tasks × folds × seeds × directions × layouts, cohort by cohort."""
    systems = dict.fromkeys(
        _system(layout.canonical(name), direction)
        for direction in plan.directions
        for name in plan.layouts or layout.standard()
    )
    for system in systems:
        layout.check(system, plan.encoder)
    return [
        Cell(
            task=task,
            seed=seed,
            system=system,
            features=plan.features,
            encoder=plan.encoder,
            recipe=plan.recipe,
        )
        for seed in plan.seeds
        for task in _tasks(plan, manifest_of)
        for system in systems
    ]


def _system(name: str, direction: Direction | Literal["published"]) -> System:
    """A layout in a direction; "published": as in arXiv 2603.15120, softmax both ways and all else causal."""
    if direction == "published":
        direction = "bidirectional" if name == "softmax" else "causal"
    return System(layout=name, direction=direction)


def _tasks(plan: Plan, manifest_of: Callable[[str], Manifest]) -> list[Task]:
    tasks = []
    for name in plan.tasks:
        corpus, _, protocol = name.partition("/")
        full = manifest_of(corpus).protocol(protocol)
        folds = range(len(manifest_of(corpus).folds(full)))
        options = _options(plan, corpus)
        for fold in plan.folds or folds:
            if fold not in folds:
                raise SuiteError(
                    f"{name} has folds 0 to {len(folds) - 1}, not {fold}; choose others with --folds"
                )
            tasks.append(Task(corpus=corpus, protocol=full, fold=fold, corpus_options=options))
    return tasks


def manifest(plan: Plan, corpus: str, folders: Folders) -> Manifest:
    """A corpus of the plan, with the plan's options."""
    return corpora.load(corpus, folders.data_root, _options(plan, corpus), folders.cache)


def _options(plan: Plan, corpus: str) -> dict[str, int]:
    """The options of a plan that a corpus takes; SuiteError for one that no corpus takes."""
    known = {option for name in corpora.names() for option in corpora.options(name)}
    for option in plan.corpus_options:
        if option not in known:
            raise SuiteError(f"no corpus takes option {option!r}; there is {', '.join(sorted(known))}")
    taken = corpora.options(corpus)
    return {option: value for option, value in plan.corpus_options.items() if option in taken}


def jobs(plan: Plan, planned: list[Cell], store: Store) -> list[Job]:
    """Cohorts of the cells that have no finished record."""
    done = {record.id for record in store.runs() if record.status in DONE}
    missing = [cell for cell in planned if cell.id not in done]
    cohorts = groupby(missing, key=lambda cell: (content_id(cell.task), cell.seed))
    return [Job(plan.name, tuple(group)) for _, group in cohorts]


def run(plan: Plan, folders: Folders, workers: int, threads: int = 1) -> Summary:
    """Train every missing cell of the plan; returns what was done.

    Corpora are loaded and features cached here first, so that bad input stops the run before it starts.
    """
    manifests: dict[str, Manifest] = {}

    def manifest_of(corpus: str) -> Manifest:
        if corpus not in manifests:
            manifests[corpus] = manifest(plan, corpus, folders)
        return manifests[corpus]

    plan, store = resolved(plan, folders), Store(folders.results)
    check_augmentation(plan.features, plan.recipe)
    planned = cells(plan, manifest_of)
    todo = jobs(plan, planned, store)
    named = Counter(job.cells[0].task.corpus for job in todo)
    for corpus in named:
        require_targets(plan.recipe, manifest_of(corpus))
    for corpus, cohorts in named.items():
        for warning in manifest_of(corpus).warnings:
            if ranks.first():
                print(f"serbench: {corpus}: {warning}", file=sys.stderr)
        _prepare(manifest_of(corpus), plan, folders, cohorts)
    summary = Summary(already_done=len(planned) - sum(len(job.cells) for job in todo))
    for job, outcome in _outcomes(todo, folders, workers, threads):
        if isinstance(outcome, str):
            outcome = _failed(job, manifest_of(job.cells[0].task.corpus), store, threads, outcome)
        for record in outcome:
            summary.add(job, record)
    return summary


def _prepare(manifest: Manifest, plan: Plan, folders: Folders, cohorts: int) -> None:
    """Bring a corpus's features into the cache, or say that they will be computed as training goes."""
    if not isinstance(plan.features, Pretrained):
        with ranks.first_goes_ahead():
            feature_cache.prepare(manifest, plan.features, folders.cache, skip_bad=folders.skip_bad)
        return
    passes, where, decision = cohorts * (plan.recipe.epochs + 1), ranks.device_in_use(), None
    if ranks.first():
        decision = feature_plan.decide(manifest, plan.features, folders, passes, where)
        print(f"serbench: {decision.sentence}", file=sys.stderr)
    if ranks.told(decision).choice == "cache":
        feature_plan.build(manifest, plan.features, folders, where, ranks.own(), ranks.count())
        ranks.meet()
        feature_plan.build(manifest, plan.features, folders, where)  # nothing, on a disk that all share
        ranks.meet()


def _outcomes(todo: list[Job], folders: Folders, workers: int, threads: int) -> Iterator[tuple[Job, Outcome]]:
    """Each cohort's outcome: several at a time or, as one of many processes, one after the other."""
    if ranks.count() > 1:
        ranks.meet()  # and all have seen the same records
        yield from ((job, run_cohort(job, folders)) for job in todo)
        return
    with Workers(workers, folders, threads) as pool:
        yield from pool.run(todo)


def _failed(job: Job, manifest: Manifest, store: Store, threads: int, reason: str) -> list[RunRecord]:
    """Write and return a failed record for every cell of a job."""
    machine = environment.describe(threads)
    records = [blank_record(cell, job.preset, manifest, machine, "failed", reason) for cell in job.cells]
    for record in records:
        store.write(record)
    return records
