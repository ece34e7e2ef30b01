"""Parts that several mixers share: projections to heads, rotary positions, norms, gates, short convolutions.

Parameters that set gates, decays or norms are exempt from weight decay: they carry the attribute
`_no_weight_decay = True`, which an optimiser's parameter groups should respect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from mixers.contract import silence, widened
from mixers.ops import packing, portable


def exempt(parameter: nn.Parameter) -> nn.Parameter:
    """Mark a parameter as exempt from weight decay, and return it."""
    parameter._no_weight_decay = True  # type: ignore[attr-defined]
    return parameter


def wide(x: Tensor) -> Tensor:
    """x in float32, or float64 where it is: the precision of gates and norms under autocast."""
    return x.to(widened(x.dtype))


def matched(count: Callable[[int], int], d_model: int) -> int:
    """The width whose parameter count is nearest 4 · d_model², that of softmax attention."""
    return min(range(1, 2 * d_model + 1), key=lambda width: abs(count(width) - 4 * d_model**2))


def sized(name: str, given: int | None, otherwise: int) -> int:
    """The size that a mixer was given as option `name`, or its own; ValueError where it is no size."""
    if given is None:
        return otherwise
    if given < 1:
        raise ValueError(f"{name}={given} is no size; use at least 1, or None for the matched one")
    return given


class HeadProjection(nn.Module):
    """One linear map to several parts of `widths` numbers a head: (B, T, D) → tensors (B, T, H, width)."""

    def __init__(self, d_model: int, num_heads: int, widths: tuple[int, ...], bias: bool = False) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.sizes = [num_heads * width for width in widths]
        self.linear = nn.Linear(d_model, sum(self.sizes), bias=bias)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        parts = self.linear(x).split(self.sizes, -1)
        return tuple(part.unflatten(-1, (self.num_heads, -1)) for part in parts)


class LowRank(nn.Sequential):
    """A linear map through a narrow middle: d_model → rank → width."""

    def __init__(self, d_model: int, rank: int, width: int, bias: bool = False) -> None:
        super().__init__(nn.Linear(d_model, rank, bias=False), nn.Linear(rank, width, bias=bias))


class RMSNorm(nn.RMSNorm):
    """Root-mean-square norm over the last axis, at least in float32, exempt from weight decay."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__(width, eps=eps)
        exempt(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.rms_norm(wide(x), self.normalized_shape, wide(self.weight), self.eps).to(x.dtype)


def positions(T: int, mask: Tensor | None, device: torch.device) -> Tensor:
    """Frame numbers (1 or B, T) from 0, counting real frames alone."""
    if mask is None:
        return torch.arange(T, device=device)[None]
    return mask.cumsum(1) - 1


def rotary(x: Tensor, position: Tensor, base: float = 10_000.0) -> Tensor:
    """Rotate each pair (x_n, x_{n+K/2}) of x (B, T, H, K) by position · base^(−2n/K) (arXiv 2104.09864)."""
    half = x.shape[-1] // 2
    dtype = torch.promote_types(x.dtype, torch.float32)
    rates = base ** (-torch.arange(half, device=x.device, dtype=dtype) / half)
    angle = (position.unsqueeze(-1) * rates).unsqueeze(2)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class ShortConvolution(nn.Module):
    """Causal depthwise convolution over time, (B, T, C) → (B, T, C); padding must be zero and outermost.

    A stream keeps the last taps − 1 frames of its input, (B, taps − 1, C), zeros before the first.
    """

    def __init__(self, channels: int, taps: int = 4, bias: bool = False) -> None:
        super().__init__()
        bound = taps**-0.5
        self.weight = nn.Parameter(torch.empty(channels, taps).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return self._over(nn.functional.pad(x, (0, 0, self.weight.shape[1] - 1, 0)))

    def extend(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """The next frames (B, n, C) of a stream → their convolution, and the frames to keep after them."""
        frames = torch.cat([past, x], 1)
        return self._over(frames), frames[:, x.shape[1] :].clone()

    def _over(self, frames: Tensor) -> Tensor:
        """(B, taps − 1 + n, C) → (B, n, C)."""
        channels, taps = self.weight.shape
        images = frames.transpose(1, 2).unsqueeze(2)  # (B, C, 1, T), channels last: no copy, fast on a CPU
        kernels = self.weight.reshape(channels, 1, 1, taps)
        return nn.functional.conv2d(images, kernels, self.bias, groups=channels).squeeze(2).transpose(1, 2)


def logcumsumexp(x: Tensor) -> Tensor:
    """log Σ_{j ≤ t} exp x_j along the frames of x (B, T, …), in about 2·√T steps.

    Blocks of √T frames run side by side, then the blocks' ends are run over: several times faster on a
    CPU than `torch.logcumsumexp`, which goes number by number.
    """
    if portable.exporting():
        return portable.logcumsumexp(x)
    T = x.shape[1]
    c = math.ceil(math.sqrt(T))
    lowest = torch.finfo(x.dtype).min / 2
    padded = nn.functional.pad(x, (0, 0) * (x.dim() - 2) + (0, -T % c), value=lowest)
    inside = torch.stack(_running(padded.unflatten(1, (-1, c)).unbind(2)), 2)
    ends = inside[:, :, -1].unbind(1)
    before = torch.stack(_running((torch.full_like(ends[0], lowest), *ends[:-1])), 1)
    return torch.logaddexp(inside, before.unsqueeze(2)).flatten(1, 2)[:, :T]


def _running(steps: Sequence[Tensor]) -> list[Tensor]:
    return list(accumulate(steps, torch.logaddexp))


def packed(mix: Callable[[Tensor, Tensor | None], Tensor], x: Tensor, mask: Tensor | None) -> Tensor:
    """`mix(x, mask)` of a mixer that must not meet padding between real frames, as a convolution must not.

    The real frames of x (B, T, D) are moved to the front, in order, and their results back.
    """
    if mask is None:
        return mix(x, None)
    place = packing.places(mask)
    out = mix(packing.packed(silence(x, mask), place), packing.packed(mask, place))
    return packing.unpacked(out, place)


def unit(x: Tensor) -> Tensor:
    """x over its length along the last axis, at least in float32."""
    x = wide(x)
    return x * (x.square().sum(-1, keepdim=True) + 1e-6).rsqrt()


def inverse_softplus(x: Tensor) -> Tensor:
    """y with softplus(y) = x, for x > 0."""
    return x + torch.log(-torch.expm1(-x))


def log_uniform(size: int, low: float, high: float) -> Tensor:
    """Random numbers whose logarithm is uniform between log low and log high."""
    return torch.empty(size).uniform_(math.log(low), math.log(high)).exp()
