"""Which implementation runs an op: pure torch, or fla's Triton kernel.

`"auto"` is torch, but for the kernels that whoever has checked them on this GPU says may be trusted; `"fla"`
asks for the kernel and needs CUDA tensors and the `gpu` extra. fla is imported only when a kernel runs.

    trust({"head_gate", "delta_rule"})                  # from now on, in this process, on CUDA
    if choose(backend, q, "head_gate") == "fla":
        q, k, v = alike(q, k, v)
        o = chunk_gla(padded(q), padded(k), v, kernel_gate(padded(g)), scale=scale)[0]

The kernels of fla 0.6.0 ask more than the torch ops do, and the helpers here give it: one 16- or 32-bit
type for what is multiplied, head sizes that are multiples of 16, and gates that a sum over 64 frames in
float32 still tells apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import pad

Backend = Literal["auto", "torch", "fla"]
Kernel = Literal["head_gate", "channel_gate", "slots", "delta_rule", "dplr", "fox", "fox_both_ways"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)

STEP = 16  # head sizes of the kernels: what a tile holds at least, and no odd tails in 16 bits
WIDEST: dict[Kernel, int] = {"delta_rule": 256, "fox": 256}  # keys that the kernel takes
STRONGEST = -50.0  # the strongest log decay of a frame given to a kernel; e^−50 is nothing in float32


_trusted: frozenset[Kernel] = frozenset()
_asked: set[Kernel] | None = None


def trust(kernels: Iterable[Kernel]) -> None:
    """From now on `"auto"` runs these kernels where it can, and torch for all others; none at first.

    ValueError for a kernel that there is not.
    """
    global _trusted
    named = frozenset(kernels)
    unknown = sorted(named - set(KERNELS))
    if unknown:
        raise ValueError(f"no kernel {unknown[0]!r}; there is {', '.join(KERNELS)}")
    _trusted = named


@contextmanager
def asking() -> Iterator[set[Kernel]]:
    """The kernels for which the ops have asked while the block ran, whatever was chosen."""
    global _asked
    before, _asked = _asked, set()
    try:
        yield _asked
    finally:
        _asked = before


def choose(backend: Backend, tensor: Tensor, kernel: Kernel) -> Literal["torch", "fla"]:
    """The implementation to run for queries `tensor` (B, T, H, K); ValueError where none does as asked."""
    if backend not in get_args(Backend):
        raise ValueError(f"backend={backend!r} is none of {', '.join(get_args(Backend))}")
    if _asked is not None:
        _asked.add(kernel)
    if backend == "auto":
        return "fla" if kernel in _trusted and _runs(kernel, tensor) else "torch"
    if backend == "torch":
        return "torch"
    if not tensor.is_cuda:
        raise ValueError(f"backend='fla' needs CUDA tensors and got {tensor.device.type}; use backend='auto'")
    if tensor.dtype == torch.float64:
        raise ValueError("backend='fla' needs 16 or 32 bits and got torch.float64; use backend='torch'")
    if not installed():
        raise ValueError("backend='fla' needs flash-linear-attention and triton; install serbench[gpu]")
    return "fla"


def _runs(kernel: Kernel, tensor: Tensor) -> bool:
    """Whether the kernel takes such queries."""
    narrow = tensor.shape[-1] <= WIDEST.get(kernel, tensor.shape[-1])
    return tensor.is_cuda and tensor.dtype != torch.float64 and narrow and installed()


@cache
def installed() -> bool:
    """Whether fla and triton are there; neither is imported."""
    return find_spec("fla") is not None and find_spec("triton") is not None


def alike(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in the narrowest of their types: kernels multiply one type, and autocast leaves several."""
    narrowest = min((x.dtype for x in tensors), key=lambda dtype: dtype.itemsize)
    return tuple(x.to(narrowest) for x in tensors)


def padded(x: Tensor) -> Tensor:
    """x with zeros up to a multiple of `STEP` on its last axis: inert in queries, keys, values and gates."""
    short = -x.shape[-1] % STEP
    return pad(x, (0, short)) if short else x


def kernel_gate(g: Tensor) -> Tensor:
    """Log decay g ≤ 0 in float32, none stronger than `STRONGEST`.

    The kernels take differences of cumulative sums over 64 frames, in which one gate of −10⁴ would cost
    the others their digits, and one of −10³⁰ (a mixer that starts over) all of them.
    """
    return g.float().clamp(min=STRONGEST)


@cache
def gated_backward_refused() -> bool:
    """Whether fla refuses the backward of `chunk_simple_gla` with gates: Hopper, triton 3.4 to 3.7.0.

    Its gradients are wrong there (fla issue 640). Needs fla and a GPU.
    """
    from fla.utils import IS_NVIDIA_HOPPER, TRITON_ABOVE_3_4_0, TRITON_ABOVE_3_7_1

    return bool(IS_NVIDIA_HOPPER and TRITON_ABOVE_3_4_0 and not TRITON_ABOVE_3_7_1)
