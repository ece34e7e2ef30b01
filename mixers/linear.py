"""Linear attention: softmax attention with the exponential of q·k replaced by a product of features.

    S_t = S_{t−1} + φ(k_t) v_tᵀ          z_t = z_{t−1} + φ(k_t)          φ(x) = elu(x) + 1
    o_t = S_tᵀ φ(q_t) / (z_tᵀ φ(q_t))

Katharopoulos et al. 2020 (arXiv 2006.16236), section 3.4. O(T) time, O(1) state: nothing fades. z is
carried as one more column of S, whose values are 1. Bidirectional: the weighted mean over all frames, the
published form without a causal mask. Parameters: 4 · d², as softmax attention. Differs from fla's layer:
the published features and normaliser, where fla's default has an elementwise product of two learned maps
and a norm a head; both directions.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, pad

from mixers import ops
from mixers.contract import Direction, TokenMixer, silence, widened
from mixers.ops import linear
from mixers.parts import HeadProjection, wide
from mixers.registry import register

LEAST = 1e-6  # added to the sum of weights, which is zero before the first real frame


@register("linear", label="Linear", paper="arXiv 2006.16236", extra=True)
class LinearAttention(TokenMixer):
    """S_t = S_{t−1} + φ(k_t) v_tᵀ, o_t = S_tᵀ φ(q_t) over its weights' sum; O(T), O(1) state (2006.16236)."""

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        self.qkv = HeadProjection(d_model, num_heads, (self.head_dim,) * 3)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        attention = partial(ops.gated_linear_attention, scale=1.0)
        sums = self.both_ways(attention, *self._features(silence(x, mask)), mask=mask)
        return self._mean(sums, x)

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """φ(q), φ(k), v with a column of ones, and log decays of 0."""
        q, k, v = self.qkv(x)
        q, k = elu(wide(q)) + 1, elu(wide(k)) + 1
        return q, k, pad(wide(v), (0, 1), value=1.0), torch.zeros_like(q[..., 0])

    def _mean(self, sums: Tensor, x: Tensor) -> Tensor:
        o = sums[..., :-1] / (sums[..., -1:] + LEAST)
        return self.out(o.flatten(2).to(x.dtype))

    def init_state(self, batch: int) -> Tensor:
        return self.zeros(batch, self.num_heads, self.head_dim, self.head_dim + 1, precise=True)

    def extend(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        sums, state = linear.extend(state, *self._features(x), scale=1.0)
        return self._mean(sums, x), state

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return widened(dtype).itemsize * self.d_model * (self.head_dim + 1)

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        recurrence = linear.flops(T, self.num_heads, self.head_dim, self.head_dim + 1, False)
        return self.projection_flops(T) + passes * recurrence
