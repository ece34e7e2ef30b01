"""Real frames to the front and back, for what cannot be told where padding stands: a convolution, a kernel.

    place = places(mask)
    out = unpacked(run(packed(x, place)), place)

Sizes depend on nothing but the shapes, so nothing waits for the device and a CUDA graph can hold it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def places(mask: Tensor) -> Tensor:
    """Where each frame goes, (B, T): real frames to the front in order, padded ones after them."""
    real = mask.cumsum(1)
    return torch.where(mask, real - 1, real[:, -1:] + (~mask).cumsum(1) - 1)


def packed(x: Tensor, place: Tensor) -> Tensor:
    """The frames of x (B, T, …) at their places (B, T)."""
    return torch.zeros_like(x).scatter(1, _over(x, place), x)


def unpacked(x: Tensor, place: Tensor) -> Tensor:
    """Undo `packed`."""
    return x.gather(1, _over(x, place))


def _over(x: Tensor, place: Tensor) -> Tensor:
    return place.reshape(place.shape + (1,) * (x.dim() - 2)).expand_as(x)
