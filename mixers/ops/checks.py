"""What an op or a mixer may be given: one sentence for whoever gives something else.

    check_shapes(v=(v, "BTHV"), q=(q, "BTHK"), k=(k, "BTHK"), g=(g, "BTH", "BTHK"))
    check_frames(x, mask, d_model, dtypes)

A layout is a letter an axis, B utterances, T frames, H heads; equal letters are equal sizes, bound by the
tensors in the order given, and 1 is the size 1. Nothing is looked at but shapes, types and devices, so that
no check waits for a GPU; while a graph is traced (`torch.compile`, `torch.export`) nothing is checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


def check_shapes(**arguments: tuple[Any, ...]) -> None:
    """Each argument is (tensor, layout, other layouts that will do …); ValueError names the first misfit.

    Refused too: what is no floating-point tensor, devices that differ, and float64 beside anything else.
    """
    if torch.compiler.is_compiling():
        return
    for name, (tensor, *_) in arguments.items():
        _check_floats(name, tensor)
    fault = _misfit(tuple((name, value[0].shape, value[1:]) for name, value in arguments.items()))
    if fault:
        raise ValueError(fault)
    first, (leader, *_) = next(iter(arguments.items()))
    for name, (tensor, *_) in arguments.items():
        if tensor.device != leader.device:
            raise ValueError(f"{name} is on {tensor.device} and {first} on {leader.device}; move one of them")
        if (tensor.dtype is torch.float64) != (leader.dtype is torch.float64):
            raise ValueError(f"{name} is {tensor.dtype} and {first} {leader.dtype}; make all of them float64")


def check_frames(x: Any, mask: Any, d_model: int, dtypes: Iterable[torch.dtype]) -> None:
    """ValueError unless x is (B, T, d_model) of one of `dtypes` (empty: any), and mask None or bool (B, T).

    Under autocast, which casts as it goes, x may be of any floating-point type.
    """
    if torch.compiler.is_compiling():
        return
    _check_floats("x", x)
    if x.dim() != 3 or x.shape[-1] != d_model:
        raise ValueError(f"x is (B, T, D) with D = {d_model} and got shape {tuple(x.shape)}")
    if not x.numel():
        raise ValueError(f"x has at least one utterance and one frame, and got shape {tuple(x.shape)}")
    _check_dtype(x, dtypes)
    if mask is not None:
        _check_mask(mask, x)


def _check_floats(name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} is a tensor and got {type(value).__name__}")
    if not value.is_floating_point():
        raise ValueError(f"{name} is a floating-point tensor and got {value.dtype}")


def _check_dtype(x: Tensor, dtypes: Iterable[torch.dtype]) -> None:
    other = None
    for dtype in dtypes:
        if dtype == x.dtype:
            return
        other = other or dtype
    if other is not None and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(f"x is {x.dtype} and the mixer's parameters {other}; convert one of them with .to()")


def _check_mask(mask: Any, x: Tensor) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"mask is a bool tensor, True on real frames, and got {got}")
    if mask.shape != x.shape[:2]:
        raise ValueError(f"mask is (B, T) = {tuple(x.shape[:2])} and got shape {tuple(mask.shape)}")


@lru_cache(maxsize=1024)  # an op is called often with the same shapes
def _misfit(arguments: tuple[tuple[str, torch.Size, tuple[str, ...]], ...]) -> str | None:
    """What is wrong with the first of (name, shape, layouts) that has none of its layouts."""
    sizes: dict[str, int] = {}
    for name, shape, layouts in arguments:
        fitting = next((layout for layout in layouts if _fits(shape, layout, sizes)), None)
        if fitting is None:
            return f"{name} is {_said(layouts, sizes)} and got shape {tuple(shape)}"
        sizes.update(zip(fitting, shape, strict=True))
    return None


def _fits(shape: torch.Size, layout: str, sizes: dict[str, int]) -> bool:
    """Whether the shape has that layout, given the sizes of the letters met so far."""
    return len(shape) == len(layout) and all(
        size == (1 if letter == "1" else sizes.get(letter, size))
        for letter, size in zip(layout, shape, strict=True)
    )


def _said(layouts: tuple[str, ...], sizes: dict[str, int]) -> str:
    """(B, T, H, K) with B = 2, …: the layouts, and the sizes known of their letters."""
    known = [f"{a} = {sizes[a]}" for a in dict.fromkeys("".join(layouts)) if a in sizes]
    shapes = " or ".join(f"({', '.join(layout)})" for layout in layouts)
    return f"{shapes} with {', '.join(known)}" if known else shapes
