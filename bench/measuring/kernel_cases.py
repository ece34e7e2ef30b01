"""Which comparisons show that fla's kernels are right, and which kernels a mixer runs.

    planned = cases(KernelScope())              # ops first, kernel by kernel, then mixers
    kernels_of("kda", "causal")                 # {"delta_rule"}, found by running it
    kernels_of_layout("mamba2*3 softmax", "bidirectional")

A mixer that runs no kernel (softmax, convolution) has nothing to compare on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import product
from typing import get_args

import torch

import mixers
from bench.config import AnyEncoder, Direction, KernelScope, Pooled, Recurrent
from bench.errors import SuiteError
from bench.evidence.kernels import KernelCase
from bench.model import layout
from mixers.ops import backend
from mixers.ops.backend import KERNELS, Kernel

HEADS = 4
SIZED_FRAMES = 100  # of the comparisons at other head sizes than the first
PADDED_FRAMES = 300  # of those of padded batches


@cache
def cases(scope: KernelScope) -> tuple[KernelCase, ...]:
    """Every comparison of a scope, each once; SuiteError for a mixer that there is not."""
    for name in scope.mixers:
        if name not in mixers.available():
            known = ", ".join(mixers.available())
            raise SuiteError(f"profile kernels: no mixer {name!r}; there is {known}")
    planned = [*_of_ops(scope), *_of_mixers(scope)]
    return tuple(dict.fromkeys(planned))


def _of_ops(scope: KernelScope) -> Iterator[KernelCase]:
    first, *others = scope.head_sizes
    shapes = [(frames, first) for frames in scope.lengths]
    shapes += [(min(SIZED_FRAMES, max(scope.lengths)), size) for size in others]
    for kernel, dtype, (frames, (K, V)) in product(KERNELS, scope.dtypes, shapes):
        yield KernelCase(
            of="op", name=kernel, kernels=(kernel,), dtype=dtype, frames=frames, key_dim=K, value_dim=V
        )


def _of_mixers(scope: KernelScope) -> Iterator[KernelCase]:
    for name, direction in product(scope.mixers or mixers.available(), get_args(Direction)):
        kernels = tuple(sorted(kernels_of(name, direction)))
        if scope.device == "cuda" and not kernels:
            continue
        for dtype, shape in product(scope.dtypes, _shapes(scope, name)):
            yield KernelCase(
                of="mixer", name=name, kernels=kernels, direction=direction, dtype=dtype, **shape
            )


def _shapes(scope: KernelScope, name: str) -> Iterator[dict]:
    """The first width at every length, all of them padded on every side, the published size once."""
    yield from ({"frames": frames, "width": scope.widths[0]} for frames in scope.mixer_lengths)
    padded = min(PADDED_FRAMES, max(scope.mixer_lengths))
    for width, padding in product(scope.widths, ("right", "left", "scattered")):
        yield {"frames": padded, "width": width, "padding": padding}
    with suppress(NotImplementedError):
        mixers.info(name).cls.stock_options(scope.stock_width, HEADS)
        yield {"frames": padded, "width": scope.stock_width, "stock": True, "padding": "right"}


@cache
def kernels_of(name: str, direction: Direction) -> frozenset[Kernel]:
    """The kernels that a mixer would run on a GPU that has all of them; none if it refuses the direction."""
    with torch.random.fork_rng(devices=[]), torch.no_grad(), backend.asking() as asked, suppress(ValueError):
        mixers.build(name, 8 * HEADS, HEADS, direction).eval()(torch.zeros(1, 4, 8 * HEADS))
    return frozenset(asked)


def kernels_of_layout(text: str, direction: Direction, encoder: AnyEncoder) -> frozenset[Kernel]:
    """The same of every mixer in a layout; none where the encoder holds no mixer."""
    if isinstance(encoder, Recurrent | Pooled):
        return frozenset()
    return frozenset().union(*(kernels_of(name, direction) for name in layout.parse(text)))
