"""`serbench plan PRESET`: what a preset costs and how long it takes, here, on a node of 4 and on 32 like it.

    speech(plan, folders, hours=400)               # of every fold, by split
    rows(speed, cohorts, devices=(1, 4, 32))       # as an array of cohorts or of cells: device-hours, hours

A few steps are measured (`bench.measuring.real_time_factor`); all else is arithmetic, and the notes under the
table say which is which. A GPU's number comes from a GPU: where none was measured, the table is of this
processor.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError
from rich.table import Table

from bench import corpora
from bench.config import Encoder, Plan, Pretrained
from bench.console import plain_table
from bench.corpora.msp_release import RELEASES, SCORED
from bench.errors import SuiteError
from bench.evidence.store import atomic
from bench.folders import Folders
from bench.report import units

if TYPE_CHECKING:
    from bench.flags import PlanFlags
    from bench.measuring.real_time_factor import Speed

MSP_HOURS = 400.0  # of MSP-Podcast 2.0's 409, about: see `bench.measuring.utterances`
MSP_RELEASE = "2.0"


@dataclass(frozen=True)
class Speech:
    """Hours of speech in the splits of one fold; `assumed` where no corpus was read."""

    train: float
    dev: float
    test: float
    assumed: bool = False

    def heard(self, epochs: int) -> float:
        """Hours that a cohort hears: to train and to choose the epoch, and once more for the scores."""
        return epochs * (self.train + self.dev) + self.dev + self.test


@dataclass(frozen=True)
class Row:
    """One way of running a preset on so many devices."""

    devices: int
    array: Literal["cohorts", "cells"]
    jobs: int
    shared_by: int  # devices of one job
    device_hours: float  # busy, all together
    hours: float


def speech(plan: Plan, folders: Folders, hours: float | None) -> list[Speech]:
    """The speech of every fold of the plan; `hours` is the corpus's size where it is not at hand, or another.

    SuiteError where a corpus is needed and cannot be had.
    """
    found: list[Speech] = []
    for name in plan.tasks:
        corpus, _, protocol = name.partition("/")
        try:
            found += _read(plan, corpus, protocol, folders, hours)
        except SuiteError:
            if corpus != "msp_podcast":
                raise
            found.append(_published(hours or MSP_HOURS))
    return found


def _published(hours: float) -> Speech:
    """MSP-Podcast's hours, in its splits by their published counts."""
    counts = RELEASES[MSP_RELEASE].counts
    sizes = {split: counts[split, SCORED] for split in ("Train", "Development", "Test1", "Test2")}
    hour = hours / sum(sizes.values())
    return Speech(
        hour * sizes["Train"], hour * sizes["Development"], hour * (sizes["Test1"] + sizes["Test2"]), True
    )


def _read(plan: Plan, corpus: str, protocol: str, folders: Folders, hours: float | None) -> Iterator[Speech]:
    """Of a corpus at hand, by the headers of its recordings; scaled to `hours` where these are given."""
    from bench.features.hidden import recordings

    taken = {
        name: plan.corpus_options[name] for name in corpora.options(corpus) if name in plan.corpus_options
    }
    manifest = corpora.load(corpus, folders.data_root, taken, folders.cache)
    seconds = recordings(manifest, folders.cache, skip_bad=True).durations_s
    scale = 1.0 if hours is None else 3600 * hours / sum(seconds.values())
    folds = range(len(manifest.folds(protocol)))
    for fold in plan.folds or folds:
        if fold not in folds:
            raise SuiteError(f"{corpus}/{protocol} has folds 0 to {len(folds) - 1}, not {fold}")
        split = manifest.assign(protocol, fold)
        by_split = split.index.map(seconds).to_series(index=split.index).groupby(split).sum() * scale / 3600
        tests = sum(by_split.get(name, 0.0) for name in manifest.test_splits(protocol, fold))
        yield Speech(float(by_split.get("train", 0.0)), float(by_split.get("dev", 0.0)), float(tests))


def rows(
    speed: Speed, cohorts: Sequence[float], devices: Sequence[int], most_shared: int = 1
) -> Iterator[Row]:
    """The two ways on each number of devices; `cohorts` are the hours of speech that each hears.

    A cohort is shared by as many devices as there are for each, up to `most_shared`.
    """
    students = list(speed.students.values())
    for count in devices:
        shared_by = max(1, min(most_shared, count // max(1, len(cohorts))))
        whole = [hours * speed.cohort for hours in cohorts]
        single = [hours * (speed.shared + student) for hours in cohorts for student in students]
        together = makespan([hours / shared_by for hours in whole], count // shared_by)
        yield Row(count, "cohorts", len(whole), shared_by, sum(whole), together)
        yield Row(count, "cells", len(single), 1, sum(single), makespan(single, count))


def makespan(jobs: Sequence[float], workers: int) -> float:
    """When the last job ends, if each worker that is free takes the longest that is left."""
    free = [0.0] * workers
    for hours in sorted(jobs, reverse=True):
        heapq.heapreplace(free, free[0] + hours)
    return max(free)


def of_each_size(flags: PlanFlags) -> list[PlanFlags]:
    """The flags with the plan of each size compared; SuiteError where one file is to serve several."""
    from bench.training.grid import sized

    plans = sized(flags.plan)
    if len(plans) > 1 and (flags.save or flags.measured):
        raise SuiteError("plan: --save and --measured are of one size; name it with --sizes")
    return [flags.model_copy(update={"plan": plan}) for plan in plans]


def forecast(flags: PlanFlags) -> tuple[Table, list[str]]:
    """The table of a preset, and what to know of its numbers, one sentence each."""
    folders, plan = flags.places.folders(), flags.plan
    amounts = speech(plan, folders, flags.hours)
    speed = _speed(flags, folders)
    cohorts = [amount.heard(plan.recipe.epochs) for amount in amounts for _ in plan.seeds]
    cuda = speed.environment.device_kind == "cuda"
    found = rows(speed, cohorts, flags.devices, flags.gpus if cuda else 1)
    return _table(plan, speed, list(found), flags.price), list(_notes(plan, speed, amounts, flags))


def _speed(flags: PlanFlags, folders: Folders) -> Speed:
    """Measured now, or read from a file; SuiteError where that is of other work."""
    from bench.measuring.real_time_factor import Speed, Work, measure
    from bench.training.grid import systems

    wanted = systems(flags.plan)
    if flags.measured is None:
        speed = measure(flags.plan, wanted, folders.models)
    else:
        try:
            speed = Speed.model_validate_json(flags.measured.read_bytes())
        except (OSError, ValidationError) as error:
            raise SuiteError(
                f"{flags.measured}: no measurement of `serbench plan --save`; make one, or leave it out"
            ) from error
        if speed.work != Work.of(flags.plan, wanted).id:
            raise SuiteError(
                f"{flags.measured}: measured with other settings or systems; measure again with --save"
            )
    if flags.save is not None:
        with atomic(flags.save) as temporary:
            temporary.write_text(speed.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return speed


def device(plan: Plan, speed: Speed) -> str:
    """What one device is: a GPU, a core, or under a frozen encoder a whole processor."""
    here = speed.environment
    if here.device_kind == "cuda":
        return here.device
    if isinstance(plan.features, Pretrained):
        return f"machine with {here.threads} threads of {here.device}"
    return f"core of {here.device}"


def _table(plan: Plan, speed: Speed, found: Sequence[Row], price: float | None) -> Table:
    columns = ["devices", "array over", "jobs", "devices a job", "device-hours", "time"]
    size = plan.encoder.size if isinstance(plan.encoder, Encoder) else ""
    table = plain_table(
        f"{plan.name}{size and f' {size}'}: a device is one {device(plan, speed)}",
        [*columns, "cost"] if price else columns,
        right=("devices", "jobs", "devices a job", "device-hours", "time", "cost"),
    )
    for row in found:
        cells = (str(row.devices), row.array, str(row.jobs), str(row.shared_by), _number(row.device_hours))
        cost = (_number(row.device_hours * price),) if price else ()
        table.add_row(*cells, duration(row.hours), *cost)
    return table


def _notes(plan: Plan, speed: Speed, amounts: Sequence[Speech], flags: PlanFlags) -> Iterator[str]:
    here, made = speed.environment, " and ".join(speed.random_weights)
    load = "" if here.load_1min is None else f", load {here.load_1min:g}"
    yield (
        f"Measured on {here.device}, {here.threads} threads{load}: steps of {len(speed.students)} systems on "
        f"{speed.batch} × {speed.seconds:g} s, {speed.precision}"
        + (f", random weights in the size of {made}." if made else ".")
    )
    yield (
        f"A second of speech takes {_ms(speed.cohort)}: {_ms(speed.shared)} shared by all systems, the rest "
        f"their own; for one system alone it takes {_ms(speed.shared + min(speed.students.values()))} to "
        f"{_ms(speed.shared + max(speed.students.values()))}."
    )
    assumed = f", {flags.hours or MSP_HOURS:g} h a corpus assumed" * amounts[0].assumed
    yield (
        f"Extrapolated to {len(amounts) * len(plan.seeds)} cohorts of {plan.recipe.epochs} epochs, "
        f"{_number(_heard(plan, amounts))} h of speech{assumed}: at most, since training crops what is "
        f"longer than {plan.recipe.max_train_s:g} s, and dev and test count at the cost of training."
    )
    yield "Not measured: disk and loop, larger batches, and several devices, which count as so many of one."
    if here.device_kind == "cpu":
        yield (
            "No GPU was measured, so nothing here is the time of one: run this on a GPU node with "
            "--save FILE, and anywhere with --measured FILE."
        )


def _heard(plan: Plan, amounts: Sequence[Speech]) -> float:
    """Hours of speech that all cohorts hear together."""
    return len(plan.seeds) * sum(amount.heard(plan.recipe.epochs) for amount in amounts)


def _ms(seconds: float) -> str:
    return units.milliseconds(1000 * seconds)


def duration(hours: float) -> str:
    """Hours for people: "12 min", "7.5 h", "3.1 days"."""
    if hours < 1:
        return f"{max(1, round(60 * hours))} min"
    return f"{_number(hours)} h" if hours < 72 else f"{_number(hours / 24)} days"


def _number(value: float) -> str:
    """Two significant digits or whole numbers."""
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"
