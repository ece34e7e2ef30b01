"""Sliding-window attention: softmax attention over the frames near by, and over no others.

    o_i = Σ_j softmax_j(q_i·k_j / √K) v_j          over i − R ≤ j ≤ i, or |i − j| ≤ R

Beltagy et al. 2020 (Longformer, arXiv 2004.05150). O(T) time; a stream keeps the keys and values of R
frames. R = 64 is 2.6 s of speech at 25 frames a second, and layers add up: four of them see 10 s to a side.
Parameters: 4 · d², those of `softmax`, from which it differs in what it sees alone. Differs from fla's
layer: no rotary positions; padding and direction are handled, and only real frames are counted as distance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mixers import ops
from mixers.contract import Direction, TokenMixer
from mixers.ops import window
from mixers.parts import HeadProjection, packed
from mixers.registry import register


@register("window", label="Sliding window", paper="arXiv 2004.05150", extra=True)
class Window(TokenMixer):
    """o_i = Σ_j softmax_j(q_i·k_j / √K) v_j over |i − j| ≤ R; O(T) time, O(R) state (arXiv 2004.05150)."""

    def __init__(
        self,
        d_model: int,
        num_heads: int = 4,
        direction: Direction = "bidirectional",
        reach: int = 64,
    ) -> None:
        super().__init__(d_model, num_heads, direction)
        if reach < 1:
            raise ValueError(f"reach={reach} must be at least 1 frame")
        self.reach = reach
        self.qkv = HeadProjection(d_model, num_heads, (self.head_dim,) * 3)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return packed(self._mix, x, mask)

    def _mix(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = self.qkv(x)
        o = ops.window_attention(q, k, v, self.reach, causal=not self.bidirectional, mask=mask)
        return self.out(o.flatten(2))

    def init_state(self, batch: int) -> tuple[Tensor, Tensor]:
        nothing = self.zeros(batch, 0, self.num_heads, self.head_dim)
        return nothing, nothing

    def extend(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        q, k, v = self.qkv(x)
        o, state = window.extend(state, q, k, v, self.reach)
        return self.out(o.flatten(2)), state

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return 2 * min(T, self.reach) * self.d_model * dtype.itemsize

    def flops(self, T: int) -> int:
        sizes = (self.num_heads, self.head_dim, self.head_dim)
        return self.projection_flops(T) + window.flops(T, *sizes, self.reach, not self.bidirectional)
