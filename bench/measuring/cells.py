"""Which shapes a profile has, and which it cannot have: the plan of a sweep, before anything is timed.

    check(profiling)                                                     # what this machine lacks, at once
    planned = curves(profiling, features, encoder, layouts, device)      # one system over all lengths each

What the machine lacks is refused with a sentence before the sweep; what means nothing (a bidirectional
stream, a CUDA graph of an ONNX file) is left out of it; what only running can tell is a row with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product
from typing import Any, Literal

import torch

import mixers
from bench.config import (
    STREAMS,
    AnyEncoder,
    AnyFeatures,
    Direction,
    Engine,
    Features,
    OpBackend,
    Pooled,
    Precision,
    Pretrained,
    ProfileTarget,
    Profiling,
    Recurrent,
    System,
    Work,
)
from bench.errors import SuiteError
from bench.evidence.records import Shape
from bench.measuring.kernel_cases import kernels_of_layout
from bench.measuring.utterances import LOGNORMAL, lognormal
from bench.model import layout
from mixers import stock

Curve = tuple[Shape, ...]  # one system, shortest utterance first

PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "cpu": ("float32", "bfloat16"),
    "cuda": ("float32", "tf32", "bfloat16", "float16"),
}
EXPORT: tuple[Engine, ...] = ("onnx", "onnx-int8")


@dataclass(frozen=True)
class Way:
    """How a system is worked: one value of each axis that is varied alone."""

    work: Work
    batch: int | Literal["throughput", "ragged"]
    dtype: Precision
    engine: Engine
    backend: OpBackend


def check(profiling: Profiling) -> None:
    """SuiteError with one sentence where this machine cannot do what the profile names."""
    device = profiling.device
    for dtype in profiling.dtypes:
        if dtype not in PRECISIONS[device]:
            known = ", ".join(PRECISIONS[device])
            raise SuiteError(f"profile: no {dtype} on {device}; choose from {known} or another device")
    if "graph" in profiling.engines and device != "cuda":
        raise SuiteError(
            "profile: engine graph is a CUDA graph, which needs device cuda; choose another engine"
        )
    if "fla" in profiling.backends and device != "cuda":
        raise SuiteError("profile: backend fla is of CUDA kernels, which need device cuda; choose another")
    if set(EXPORT) & set(profiling.engines):
        for package in ("onnx", "onnxscript", "onnxruntime"):
            if find_spec(package) is None:
                raise SuiteError(f"profile: engine onnx needs {package}; install serbench[export]")
    if device == "cuda" and not torch.cuda.is_available():
        raise SuiteError(
            "profile: torch finds no CUDA device here; choose device cpu or mend the installation"
        )


def curves(
    profiling: Profiling, features: AnyFeatures, encoder: AnyEncoder, layouts: Sequence[str], device: str
) -> list[Curve]:
    """Every curve of a profile, each once: ways × targets × directions × systems.

    "encoder" and "model" take each layout; "mixer" takes each mixer that fills a layout alone, and its twins
    (unfused softmax beside softmax), which in a stream read alike; "fla_layer" those of them that stand for a
    layer of fla. A recurrent encoder holds no mixer. A system that runs no kernel is the same with backend
    "fla" as without. SuiteError for an unknown mixer, and where nothing that is named goes together.
    """
    whole = list(dict.fromkeys(layout.canonical(text) for text in layouts))
    for name, direction in product(whole, profiling.directions):
        layout.check(System(layout=name, direction=direction), encoder)
    alone = [name for name in whole if len(set(layout.parse(name))) == 1]
    layers = [name for name in alone if name in stock.LAYERS]
    systems = {
        "mixer": [*alone, *_twins(alone)],
        "fla_layer": layers,
        "encoder": whole,
        "model": whole,
    }
    planned, refused = dict[Curve, None](), dict[str, None]()
    for way in ways(profiling):
        for target in profiling.targets:
            for direction in _directions(profiling, way, target):
                reason = senseless(way, target, features, encoder, profiling.device)
                if reason:
                    refused[reason] = None
                    continue
                for name in alone if way.work in STREAMS else systems[target]:
                    system = System(layout=name, direction=direction)
                    shapes = _shapes(profiling, features, encoder, device, way, target, system)
                    planned[tuple(shapes)] = None
    if not planned and refused:
        raise SuiteError(f"profile: nothing to measure, for {next(iter(refused))}")
    return list(planned)


def ways(profiling: Profiling) -> Iterator[Way]:
    """The first value of every axis together, then each other value with the rest at their first."""
    axes: dict[str, tuple[Any, ...]] = {
        "work": profiling.works,
        "batch": profiling.batches,
        "dtype": profiling.dtypes,
        "engine": profiling.engines,
        "backend": profiling.backends,
    }
    first = Way(**{name: values[0] for name, values in axes.items()})
    yield first
    for name, values in axes.items():
        others = [value for value in dict.fromkeys(values) if value != getattr(first, name)]
        yield from (replace(first, **{name: value}) for value in others)


def senseless(
    way: Way, target: ProfileTarget, features: AnyFeatures, encoder: AnyEncoder, device: str
) -> str:
    """Why such a cell means nothing; empty where it does."""
    if target in ("mixer", "fla_layer") and isinstance(encoder, Recurrent | Pooled):
        return f"a {encoder.kind} encoder holds no mixer"
    if target == "fla_layer" and way.backend != "fla":
        return "a layer of fla runs on backend fla"
    if isinstance(features, Pretrained) and features.tuned != "nothing":
        return "a speech encoder that is trained with its reader is timed as a whole, once exported"
    if target == "model" and not isinstance(features, Features):
        return "target model needs log-mel features"
    if way.work in STREAMS and (target != "mixer" or way.batch != 1 or way.engine != "eager"):
        return "a stream is of one mixer, batch 1, run eagerly"
    if way.work == "training" and way.engine not in ("eager", "compile"):
        return f"engine {way.engine} has no backward pass"
    if way.engine in EXPORT and (way.dtype != "float32" or device != "cpu"):
        return f"engine {way.engine} runs float32 on the CPU"
    if way.engine in EXPORT and target == "model" and way.batch != 1:
        return "a model from waveforms is exported for batch 1"
    return ""


def _directions(profiling: Profiling, way: Way, target: ProfileTarget) -> tuple[Direction, ...]:
    """Those asked for; a stream is causal whatever these are, and so is a layer of fla."""
    causal = way.work in STREAMS or target == "fla_layer"
    return ("causal",) if causal else profiling.directions


def _twins(names: Sequence[str]) -> list[str]:
    others = [name for name in mixers.available() if name not in names]
    return [name for name in others if mixers.info(name).twin_of in names]


def _shapes(
    profiling: Profiling,
    features: AnyFeatures,
    encoder: AnyEncoder,
    device: str,
    way: Way,
    target: ProfileTarget,
    system: System,
) -> Iterator[Shape]:
    ragged = (profiling.utterances_s or lognormal()) if way.batch == "ragged" else ()
    kernels = target == "fla_layer" or kernels_of_layout(system.layout, system.direction, encoder)
    lengths = profiling.heard_s if way.work in STREAMS else (max(ragged),) if ragged else profiling.seconds
    for seconds in sorted(set(lengths)):
        yield Shape(
            target=target,
            system=system,
            seconds=seconds,
            features=features,
            encoder=encoder,
            batch=len(ragged) if way.batch == "ragged" else way.batch,
            dtype=way.dtype,
            device=device,
            threads=profiling.threads,
            device_kind=profiling.device,
            work=way.work,
            engine=way.engine,
            utterances_s=ragged,
            drawn_from=(profiling.drawn_from or LOGNORMAL) if ragged else "",
            backend=way.backend if kernels else "torch",
        )
