"""Which implementation runs an op: pure torch, or fla's Triton kernel.

`"auto"` is torch on every device until each kernel has been checked against the torch op on a GPU; `"fla"`
asks for the kernel and needs CUDA tensors and the `gpu` extra. fla is imported only when a kernel runs.

    if choose(backend, q) == "fla": …
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal, get_args

from torch import Tensor

Backend = Literal["auto", "torch", "fla"]


def choose(backend: Backend, tensor: Tensor) -> Literal["torch", "fla"]:
    """The implementation to run for `tensor`; ValueError where the one asked for cannot run it."""
    if backend not in get_args(Backend):
        raise ValueError(f"backend={backend!r} is none of {', '.join(get_args(Backend))}")
    if backend != "fla":
        return "torch"
    if not tensor.is_cuda:
        raise ValueError(f"backend='fla' needs CUDA tensors and got {tensor.device.type}; use backend='auto'")
    if find_spec("fla") is None or find_spec("triton") is None:
        raise ValueError("backend='fla' needs flash-linear-attention and triton; install serbench[gpu]")
    return "fla"
