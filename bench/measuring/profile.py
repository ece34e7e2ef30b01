"""The sweep: which shapes a profile has, and one record for each as soon as it is measured.

    summary = profile(plan.profiling, plan.features, plan.encoder, layouts, Store(Path("results")))

A curve is one system's growth with length; each runs in a process of its own, one at a time, because
two side by side would disturb each other's clock. Curves come in a seeded random order, so that a
machine that drifts does not do it on one mixer. Shapes with an `ok` record are left alone; a kill
loses the shape in hand, no more. A curve that fails or runs out of memory ends there, with a record
that says why, and the sweep goes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product, zip_longest

import mixers
from bench.config import AnyEncoder, AnyFeatures, Profiling, Recurrent, System
from bench.evidence.records import Environment, ProfileRecord, Shape
from bench.evidence.store import Store
from bench.measuring import environment
from bench.measuring.isolation import Failure, Guard, default_guard, outcomes
from bench.measuring.targets import Effort, Job, Measurement, Target, build, encoder_frames, measure
from bench.model import layout
from bench.progress import track

Curve = tuple[Shape, ...]  # one system, shortest utterance first


@dataclass
class Summary:
    """Shapes measured now, left alone because they had a record, failed, and not tried after a failure."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    untried: int = 0


def profile(
    profiling: Profiling,
    features: AnyFeatures,
    encoder: AnyEncoder,
    layouts: Sequence[str],
    store: Store,
    *,
    build_target: Callable[[Shape], Target] = build,
    guard: Guard | None = None,
    seed: int = 0,
) -> Summary:
    """Measure every missing shape of the profile and write its record; see `curves` for which these are.

    `build_target` makes a shape runnable (a module's function: it is pickled by name). SuiteError on a
    bad layout, before anything is timed, and where a record cannot be written.
    """
    here = environment.describe(profiling.threads)
    planned = curves(profiling, features, encoder, layouts, here.device)
    todo = missing(planned, store)
    random.Random(seed).shuffle(todo)
    summary = Summary(skipped=_size(planned) - _size(todo))
    measured = _sweep(todo, Effort(profiling.relative_interval, profiling.time_limit_s), build_target, guard)
    for shape, outcome in track(measured, "profiling", _size(todo)):
        if outcome is None:
            summary.untried += 1
            continue
        store.write(_record(shape, outcome, here))
        summary.failed += isinstance(outcome, Failure)
    summary.done = _size(todo) - summary.failed - summary.untried
    return summary


def curves(
    profiling: Profiling, features: AnyFeatures, encoder: AnyEncoder, layouts: Sequence[str], device: str
) -> list[Curve]:
    """Every curve of a profile: targets × directions × systems.

    "encoder" takes each layout; "mixer" takes each mixer that fills a layout alone, and its twins
    (unfused softmax beside softmax). A recurrent encoder holds no mixer.
    """
    whole = dict.fromkeys(layout.canonical(text) for text in layouts)
    for name, direction in product(whole, profiling.directions):
        layout.check(System(layout=name, direction=direction), encoder)
    mixed = () if isinstance(encoder, Recurrent) else whole
    alone = [name for name in mixed if len(set(layout.parse(name))) == 1]
    systems = {"mixer": [*alone, *_twins(alone)], "encoder": list(whole)}
    return [
        tuple(
            Shape(
                target=target,
                system=System(layout=name, direction=direction),
                seconds=seconds,
                features=features,
                encoder=encoder,
                device=device,
                threads=profiling.threads,
            )
            for seconds in sorted(set(profiling.seconds))
        )
        for target in profiling.targets
        for direction in profiling.directions
        for name in systems[target]
    ]


def missing(planned: Sequence[Curve], store: Store) -> list[Curve]:
    """What is left of each curve when shapes with an `ok` record are taken out; no empty curves."""
    done = {record.id for record in store.profiles() if record.status == "ok"}
    left = [tuple(shape for shape in curve if shape.id not in done) for curve in planned]
    return [curve for curve in left if curve]


def _twins(names: Sequence[str]) -> list[str]:
    others = [name for name in mixers.available() if name not in names]
    return [name for name in others if mixers.info(name).twin_of in names]


def _size(several: Sequence[Curve]) -> int:
    return sum(len(curve) for curve in several)


def _sweep(
    todo: Sequence[Curve], effort: Effort, build_target: Callable[[Shape], Target], guard: Guard | None
) -> Iterator[tuple[Shape, Measurement | Failure | None]]:
    """Every shape with its outcome, as it comes; None for those beyond the end of their curve."""
    for curve in todo:
        jobs = [Job(shape, effort, build_target) for shape in curve]
        yield from zip_longest(curve, outcomes(measure, jobs, guard or default_guard()))


def _record(shape: Shape, outcome: Measurement | Failure, here: Environment) -> ProfileRecord:
    fill = partial(
        ProfileRecord,
        id=shape.id,
        shape=shape,
        label=layout.label(shape.system.layout),
        frames=encoder_frames(shape),
        environment=here,
    )
    if isinstance(outcome, Failure):
        return fill(status=outcome.status, reason=outcome.reason)
    latency = outcome.latency
    return fill(
        status="ok",
        samples_ms=latency.samples_ms,
        median_ms=latency.median,
        median_low_ms=latency.low,
        median_high_ms=latency.high,
        converged=latency.converged,
        peak_bytes=outcome.peak_bytes,
        state_bytes=outcome.state_bytes,
        flops=outcome.flops,
        parameters=outcome.parameters,
    )
