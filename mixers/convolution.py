"""Gated depthwise convolution: a filter a channel, the same for every input; what fixed weights can do.

    y_t = W (c_t ∘ swish(z_t))          c_t = Σ_{s = 0 … R} w_s ∘ u_{t−s}          u, z maps of x

A baseline of our own: the gated unit of Dauphin et al. 2017 (arXiv 1612.08083) around a depthwise
convolution over time. O(T) time; a stream keeps R frames. Bidirectional: c_t sums over −R ≤ s ≤ R with the
weight w_|s|, so that each frame counts once and both directions have the same parameters. R = 32 is 1.3 s
of speech at 25 frames a second; a layer sees no further.

Parameters: an inner width of about 4/3 · d, the integer that brings the total nearest 4 · d².
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from mixers.contract import Direction, TokenMixer, halves
from mixers.parts import ShortConvolution, matched, packed
from mixers.registry import register


@register("convolution", label="Convolution", extra=True)
class Convolution(TokenMixer):
    """y_t = W (Σ_s w_s ∘ u_{t−s} ∘ swish(z_t)), s = 0 … R, or |s| ≤ R; O(T) time, O(R) state."""

    def __init__(
        self,
        d_model: int,
        num_heads: int = 4,
        direction: Direction = "bidirectional",
        reach: int = 32,
    ) -> None:
        super().__init__(d_model, num_heads, direction)
        if reach < 1:
            raise ValueError(f"reach={reach} must be at least 1 frame")
        self.reach = reach
        self.inner = matched(lambda width: width * (3 * d_model + reach + 1), d_model)
        self.project = nn.Linear(d_model, 2 * self.inner, bias=False)
        self.convolution = ShortConvolution(self.inner, reach + 1)
        self.out = nn.Linear(self.inner, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return packed(self._mix, x, mask)

    def _mix(self, x: Tensor, mask: Tensor | None) -> Tensor:
        u, z = self.project(x).chunk(2, -1)
        c = self.convolution(self.stack(u))
        if self.bidirectional:
            ahead, back = halves(c)
            c = ahead + back.flip(1) - self.convolution.weight[:, -1] * u
        return self.out(c * silu(z))

    def init_state(self, batch: int) -> Tensor:
        return self.zeros(batch, self.reach, self.inner)

    def extend(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        u, z = self.project(x).chunk(2, -1)
        c, state = self.convolution.extend(u, state)
        return self.out(c * silu(z)), state

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return self.reach * self.inner * dtype.itemsize

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        return self.projection_flops(T) + passes * 2 * T * self.convolution.weight.numel()
