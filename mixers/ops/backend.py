"""Which implementation runs an op: pure torch, or fla's Triton kernel.

`"auto"` is torch on every device until each kernel has been checked against the torch op on a GPU; `"fla"`
asks for the kernel and needs CUDA tensors and the `gpu` extra. fla is imported only when a kernel runs.

    if choose(backend, q) == "fla":
        q, k, v = alike(q, k, v)
        o = chunk_gla(padded(q), padded(k), v, kernel_gate(padded(g)), scale=scale)[0]

The kernels of fla 0.6.0 ask more than the torch ops do, and the helpers here give it: one 16- or 32-bit
type for what is multiplied, head sizes that are multiples of 16, and gates that a sum over 64 frames in
float32 still tells apart.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import pad

Backend = Literal["auto", "torch", "fla"]

STEP = 16  # head sizes of the kernels: what a tile holds at least, and no odd tails in 16 bits
STRONGEST = -50.0  # the strongest log decay of a frame given to a kernel; e^−50 is nothing in float32


def choose(backend: Backend, tensor: Tensor) -> Literal["torch", "fla"]:
    """The implementation to run for `tensor`; ValueError where the one asked for cannot run it."""
    if backend not in get_args(Backend):
        raise ValueError(f"backend={backend!r} is none of {', '.join(get_args(Backend))}")
    if backend != "fla":
        return "torch"
    if not tensor.is_cuda:
        raise ValueError(f"backend='fla' needs CUDA tensors and got {tensor.device.type}; use backend='auto'")
    if tensor.dtype == torch.float64:
        raise ValueError("backend='fla' needs 16 or 32 bits and got torch.float64; use backend='torch'")
    if not installed():
        raise ValueError("backend='fla' needs flash-linear-attention and triton; install serbench[gpu]")
    return "fla"


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
