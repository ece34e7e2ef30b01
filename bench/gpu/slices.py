"""What there is to measure on a GPU, slice by slice, in the order of its use.

    for part in slices():
        part.name, part.about, part.part

Kernels first: what may be trusted decides what can be timed on them. Then the regime of speech emotion
recognition (1 to 30 s, encoders of 4 layers of width 512), the published figure (one layer of D = 1024, 10 s
to 1 h), training steps, and accuracy. Cells are disjoint: a system that runs no kernel of fla stands among
those on torch alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from bench import presets, profiles
from bench.config import CohortShape, Extractor, OpBackend, Plan, Precision, Pretrained, Profiling
from bench.gpu.parts import Kernels, Part, Shapes, Steps, Training
from bench.model import layout

HOUR_S = 3600.0
BACKENDS: tuple[OpBackend, ...] = ("fla", "torch")
PRECISIONS: tuple[Precision, ...] = ("bfloat16", "float32")
BOTH = ("bidirectional", "causal")
TASKS = {
    "ravdess/luna": "RAVDESS, Luna's five folds",
    "emodb-as-four/loso": "EMO-DB, four classes, leave one speaker out",
    "ravdess-to-emodb/cross": "trained on RAVDESS, tested on EMO-DB",
}
SEEDS = (0, 1, 2)
WAVLM = Extractor(name="microsoft/wavlm-large", width=1024, num_layers=24)
BERT = Extractor(name="google-bert/bert-large-uncased", width=1024, num_layers=24)


@dataclass(frozen=True)
class Slice:
    """Some work with a name, which the command line takes, and what it is about."""

    name: str
    about: str
    part: Part


def slices() -> list[Slice]:
    """All of them."""
    return [*_kernels(), *_speech(), *_paper(), *_training(), *_accuracy()]


def _kernels() -> Iterator[Slice]:
    from bench.measuring.kernel_cases import cases

    scope = profiles.kernel_scope("cuda")
    for of, name in dict.fromkeys((case.of, case.name) for case in cases(scope)):
        about = f"fla's {name} against the torch op" if of == "op" else f"mixer {name} on fla's kernels"
        yield Slice(f"kernels-{of}-{name}", about, Kernels(scope, of, name))


def _speech() -> Iterator[Slice]:
    plan = profiles.build("gpu")
    ways = [("eager", 1), ("graph", 1), ("compile", 1), ("eager", "throughput")]
    for (engine, batch), backend in product(ways, BACKENDS):
        layers = backend == "fla" and (engine, batch) == ("eager", 1)
        profiling = _timed(
            plan.profiling,
            engines=(engine,),
            batches=(batch,),
            backends=(backend,),
            targets=("mixer", "fla_layer", "encoder") if layers else ("mixer", "encoder"),
        )
        way = "throughput" if batch == "throughput" else engine
        about = f"1 to 30 s, 4 layers of width 512, {way}, on {backend}"
        yield _shapes(f"speech-{way}-{backend}", about, plan, profiling, backend)


def _paper() -> Iterator[Slice]:
    plan = profiles.build("paper")
    for dtype, backend in product(PRECISIONS, BACKENDS):
        profiling = _timed(
            plan.profiling,
            seconds=(*plan.profiling.seconds, HOUR_S),
            dtypes=(dtype,),
            backends=(backend,),
            targets=("mixer", "fla_layer") if backend == "fla" else ("mixer",),
        )
        about = f"one published layer of D = 1024, 10 s to 1 h, {dtype}, on {backend}"
        yield _shapes(f"paper-{dtype}-{backend}", about, plan, profiling, backend)


def _training() -> Iterator[Slice]:
    """Batches of 32 crops of 5.5 s, as both MSP-Podcast presets have them."""
    heard = {
        "controlled": Pretrained(speech=WAVLM, layers="softmax"),
        "paper": Pretrained(speech=WAVLM, layers="free", text=BERT),
    }
    for (name, features), dtype, backend in product(heard.items(), PRECISIONS, BACKENDS):
        plan = presets.build(name).model_copy(update={"features": features})
        profiling = _timed(
            Profiling(),
            seconds=(plan.recipe.max_train_s,),
            directions=BOTH,
            targets=("encoder",),
            works=("training",),
            batches=(plan.recipe.batch_size,),
            dtypes=(dtype,),
            backends=(backend,),
        )
        about = f"forward and backward of preset {name}'s models, {dtype}, on {backend}"
        yield _shapes(f"training-{name}-{dtype}-{backend}", about, plan, profiling, backend)
    shape = CohortShape(layouts=layout.standard())
    yield Slice("training-cohort", "whole steps: the cohort, and each system alone", Steps(shape))


def _accuracy() -> Iterator[Slice]:
    for task, about in TASKS.items():
        chosen = {"tasks": (task,), "seeds": SEEDS, "directions": BOTH}
        plan = presets.build("open").model_copy(update=chosen)
        flags = [["--tasks", task], ["--seeds", *map(str, SEEDS)], ["--directions", *BOTH]]
        yield Slice(
            f"accuracy-{task.replace('/', '-')}",
            about,
            Training(plan, tuple(word for words in flags for word in words)),
        )


def _timed(profiling: Profiling, **settings: object) -> Profiling:
    limits = {"device": "cuda", "time_limit_s": 0.5, "relative_interval": 0.01, "minutes": None}
    return Profiling(**profiling.model_dump() | limits | settings)


def _shapes(name: str, about: str, plan: Plan, profiling: Profiling, backend: OpBackend) -> Slice:
    """On fla, the layouts that run some kernel of it; on torch all."""
    from bench.measuring.kernel_cases import kernels_of_layout

    named = plan.layouts or layout.standard()
    if backend == "fla":
        named = tuple(text for text in named if kernels_of_layout(text, "causal", plan.encoder))
    part = Shapes(plan.model_copy(update={"profiling": profiling, "layouts": named}))
    return Slice(name, about, part)
