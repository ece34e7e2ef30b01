"""HGRN2: a gated linear RNN whose keys are what its forget gates let go.

    S_t = diag(f_t) S_{t−1} + (1 − f_t) v_tᵀ          f_t = σ(·)
    o_t = S_tᵀ swish(q_t) / √K

then a norm and the output map. Qin et al. 2024 (arXiv 2404.07904). O(T) time, O(1) state.
Parameters: four maps of width d, as published. Differs from fla's layer: both directions. Like it without
lower bounds, the forget gates may be anything in (0, 1): in the paper that is the first layer; the layers
above it have bounds learned together, and a mixer does not know its layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, silu

from mixers import ops
from mixers.contract import Direction, TokenMixer, silence, widened
from mixers.ops import linear
from mixers.parts import HeadProjection, RMSNorm, wide
from mixers.registry import register


@register("hgrn2", label="HGRN2", paper="arXiv 2404.07904", extra=True)
class HGRN2(TokenMixer):
    """S_t = diag(f_t) S_{t−1} + (1 − f_t) v_tᵀ, o_t = S_tᵀ q_t / √K; O(T) time, O(1) state (2404.07904)."""

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        self.parts = HeadProjection(d_model, num_heads, (self.head_dim,) * 3)
        self.norm = RMSNorm(d_model)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        features = self._features(silence(x, mask))
        return self._finish(self.both_ways(ops.gated_linear_attention, *features, mask=mask))

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """q, k = 1 − f, v and log f."""
        q, f, v = self.parts(x)
        return silu(q), wide(-f).sigmoid(), v, logsigmoid(wide(f))

    def _finish(self, o: Tensor) -> Tensor:
        return self.out(self.norm(o.flatten(2)))

    def init_state(self, batch: int) -> Tensor:
        return self.zeros(batch, self.num_heads, self.head_dim, self.head_dim, precise=True)

    def extend(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        o, state = linear.extend(state, *self._features(x))
        return self._finish(o), state

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return widened(dtype).itemsize * self.d_model * self.head_dim

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        recurrence = linear.flops(T, self.num_heads, self.head_dim, self.head_dim, True)
        return self.projection_flops(T) + passes * recurrence
