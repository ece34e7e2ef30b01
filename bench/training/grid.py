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

from bench import corpora, outline
from bench.config import Cell, Direction, Encoder, Plan, Pretrained, Recipe, System, Task, content_id
from bench.corpora.manifest import Manifest
from bench.errors import SuiteError
from bench.evidence.records import FINISHED, RunRecord
from bench.evidence.store import Store
from bench.features import cache as feature_cache
from bench.features import plan as feature_plan
from bench.folders import Folders
from bench.model import layout
from bench.training import determinism, ranks, starting, teachers
from bench.training.job import Job
from bench.training.listening import check_augmentation, read_with
from bench.training.losses import require_targets
from bench.training.run import require_cell, run_missing, sweep_finished, write_failed
from bench.training.workers import Outcome, Workers


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
    """The plan with its teachers and pretrained encoders looked up: its cells' ids hold their digests.

    SuiteError where they cannot be had.
    """
    if plan.recipe.teacher:
        with ranks.first_goes_ahead():
            digests = teachers.adopt(plan.recipe.teacher, Store(folders.results))
        plan = plan.model_copy(update={"recipe": plan.recipe.model_copy(update={"teacher": digests})})
    if not isinstance(plan.features, Pretrained):
        return plan
    from bench.features.pretrained import resolve_features

    with ranks.first_goes_ahead():  # it may download them
        found = resolve_features(plan.features, folders.models)
    return plan.model_copy(update={"features": found})


def cells(plan: Plan, manifest_of: Callable[[str], Manifest]) -> list[Cell]:
    """Every cell of a plan: sizes × tasks × folds × seeds × samplers × directions × layouts, by cohort."""
    compared = [(one.encoder, systems(one)) for one in sized(plan)]
    return [
        Cell(
            task=task,
            seed=seed,
            system=system,
            features=plan.features,
            encoder=encoder,
            recipe=recipe,
        )
        for encoder, fitting in compared
        for seed in plan.seeds
        for task in _tasks(plan, manifest_of)
        for recipe in _recipes(plan)
        for system in fitting
    ]


def sized(plan: Plan) -> list[Plan]:
    """A plan of each size that is compared; where none is named the plan as it is.

    SuiteError where its encoder has no sizes.
    """
    if not plan.sizes:
        return [plan]
    if not isinstance(plan.encoder, Encoder):
        raise SuiteError(
            f"--sizes {' '.join(plan.sizes)}: sizes are those of the encoder that mixers share, and preset "
            f"{plan.name!r} has another; leave them out"
        )
    encoders = [plan.encoder.sized(name) for name in dict.fromkeys(plan.sizes)]
    return [plan.model_copy(update={"sizes": (), "encoder": encoder}) for encoder in encoders]


def systems(plan: Plan) -> tuple[System, ...]:
    """What a plan of one size compares: its layouts, or those of `layout.fitting`, × directions.

    SuiteError for one that its encoder cannot take.
    """
    found = dict.fromkeys(
        _system(layout.canonical(name), direction)
        for direction in plan.directions
        for name in plan.layouts or layout.fitting(plan.encoder)
    )
    for system in found:
        layout.check(system, plan.encoder)
    return tuple(found)


def _recipes(plan: Plan) -> list[Recipe]:
    """The plan's recipe with each sampler that is compared, or as it is; SuiteError where both are named."""
    if plan.samplers and plan.recipe.sampler != "uniform":
        raise SuiteError(
            f"--recipe.sampler {plan.recipe.sampler} stands beside samplers to compare "
            f"({', '.join(plan.samplers)}); name it with --samplers instead"
        )
    names = plan.samplers or (plan.recipe.sampler,)
    return [plan.recipe.model_copy(update={"sampler": name}).settled() for name in dict.fromkeys(names)]


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
    done = {record.id for record in store.runs() if record.status in FINISHED}
    missing = [cell for cell in planned if cell.id not in done]
    cohorts = groupby(missing, key=_cohort)
    return [Job(plan.name, tuple(group)) for _, group in cohorts]


def _cohort(cell: Cell) -> tuple[object, ...]:
    """What the cells of a cohort share, and no two cohorts of a plan."""
    return content_id(cell.task), cell.seed, cell.recipe.sampler, content_id(cell.encoder)


@dataclass(frozen=True)
class Grid:
    """A plan with its encoders looked up, its cells, and the cohorts of those that lack a record."""

    plan: Plan
    cells: list[Cell]
    todo: list[Job]
    manifest_of: Callable[[str], Manifest]


def look(plan: Plan, folders: Folders) -> Grid:
    """Find what a plan lacks, and write its cells down for `serbench status`.

    Corpora are loaded here and features looked at, so that bad input stops a run before it starts.
    """
    manifests: dict[str, Manifest] = {}

    def manifest_of(corpus: str) -> Manifest:
        if corpus not in manifests:
            manifests[corpus] = manifest(plan, corpus, folders)
        return manifests[corpus]

    plan = resolved(plan, folders)
    check_augmentation(plan.features, plan.recipe)
    planned = cells(plan, manifest_of)
    todo = jobs(plan, planned, Store(folders.results))
    starting.check([cell for job in todo for cell in job.cells], folders.results, folders.models)
    for corpus in _corpora(todo):
        require_targets(plan.recipe, manifest_of(corpus))
        for warning in manifest_of(corpus).warnings if ranks.first() else ():
            print(f"serbench: {corpus}: {warning}", file=sys.stderr)
    for job in todo:
        first, utterances = job.cells[0], manifest_of(job.cells[0].task.corpus)
        require_cell(first, utterances)
        teachers.teacher(first, utterances.emotions, Store(folders.results), folders.models)
    if ranks.first():
        outline.write(folders, plan.name, [outlined(cell) for cell in planned])
    return Grid(plan, planned, todo, manifest_of)


def outlined(cell: Cell) -> outline.OutlinedCell:
    """What `serbench status` shows of a cell."""
    cohort, system = Job("", (cell,)).name, layout.named(cell.system, cell.features)
    return outline.OutlinedCell(id=cell.id, cohort=cohort, system=system)


def _corpora(todo: list[Job]) -> Counter[str]:
    """The corpora that are missing something, with the number of their cohorts."""
    return Counter(job.cells[0].task.corpus for job in todo)


def run(plan: Plan, folders: Folders, workers: int, threads: int = 1) -> Summary:
    """Train every missing cell of the plan; returns what was done.

    Features are cached first. Cells that another process is training meanwhile are left to it, then waited
    for, and trained here if they fail there.
    """
    if folders.deterministic:
        determinism.reserve_workspace()
    grid = look(plan, folders)
    prepare(grid, folders)
    summary, seen, left = Summary(), set(), grid.todo
    for wait in (False, True):
        if left and wait and ranks.first():
            count = sum(len(job.cells) for job in left)
            print(f"serbench: waiting for {count} cells that another process is training", file=sys.stderr)
        for job, outcome in _outcomes(left, folders, workers, threads, wait):
            if isinstance(outcome, str):
                corpus = grid.manifest_of(job.cells[0].task.corpus)
                outcome = write_failed(job, corpus, folders, threads, outcome)
            for record in outcome:
                summary.add(job, record)
                seen.add(record.id)
        left = ranks.told(_without(left, seen, Store(folders.results)))
    summary.already_done = len(grid.cells) - len(seen)
    if ranks.first():
        sweep_finished(folders)
    return summary


def prepare(grid: Grid, folders: Folders) -> None:
    """Bring the features of what is missing into the cache, or say that they come as training goes."""
    for corpus, cohorts in _corpora(grid.todo).items():
        _prepare(grid.manifest_of(corpus), grid.plan, folders, cohorts)


def _without(todo: list[Job], seen: set[str], store: Store) -> list[Job]:
    """The cells that have been trained neither here nor elsewhere, cohort by cohort."""
    left = [
        Job(
            job.preset,
            tuple(cell for cell in job.cells if cell.id not in seen and not store.finished(cell.id)),
        )
        for job in todo
    ]
    return [job for job in left if job.cells]


def _prepare(manifest: Manifest, plan: Plan, folders: Folders, cohorts: int) -> None:
    """Bring a corpus's features into the cache, or say that they will be computed as training goes."""
    if not isinstance(plan.features, Pretrained):
        with ranks.first_goes_ahead():
            feature_cache.prepare(
                manifest, plan.features, folders.cache, skip_bad=folders.skip_bad, verify=ranks.first()
            )
        return
    passes, where, decision = cohorts * (plan.recipe.epochs + 1), ranks.device_in_use(), None
    folders = read_with(plan.recipe, folders)
    if ranks.first():
        decision = feature_plan.decide(manifest, plan.features, folders, passes, where)
        print(f"serbench: {decision.sentence}", file=sys.stderr)
    if ranks.told(decision).choice == "cache":
        feature_plan.build(manifest, plan.features, folders, where, ranks.own(), ranks.count())
        ranks.meet()
        feature_plan.build(manifest, plan.features, folders, where)  # nothing, on a disk that all share
        ranks.meet()


def _outcomes(
    todo: list[Job], folders: Folders, workers: int, threads: int, wait: bool
) -> Iterator[tuple[Job, Outcome]]:
    """Each cohort's outcome: several at a time or, as one of many processes, one after the other."""
    if not todo:
        return
    if ranks.count() > 1:
        ranks.meet()  # and all have seen the same records
        yield from ((job, run_missing(job, folders, wait=wait)) for job in todo)
        return
    with Workers(workers, folders, threads) as pool:
        yield from pool.run(todo, wait)
