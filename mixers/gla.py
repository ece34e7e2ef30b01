"""Gated linear attention (GLA): linear attention whose memory fades channel by channel, as the input says.

    S_t = diag(α_t) S_{t−1} + k_t v_tᵀ          α_t = σ(·)^(1/16)          of low rank
    o_t = S_tᵀ q_t / √K

then a norm a head and a swish gate. Yang et al. 2023 (arXiv 2312.06635), section 4. O(T) time, O(1)
state. Parameters: values, gate and output of width d and keys of about d/2, as published, the head width
being the integer that brings the total nearest 4 · d²; the decays go through 16 numbers. Differs from fla's
layer: that head width; both directions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, silu

from mixers import ops
from mixers.contract import Direction, TokenMixer, silence, widened
from mixers.ops import linear
from mixers.parts import HeadProjection, RMSNorm, exempt, matched, wide
from mixers.registry import register

RANK, SLOWER = 16, 16  # of the decay's map, and its exponent's denominator


@register("gla", label="GLA", paper="arXiv 2312.06635", extra=True)
class GLA(TokenMixer):
    """S_t = diag(α_t) S_{t−1} + k_t v_tᵀ, o_t = S_tᵀ q_t / √K; O(T) time, O(1) state (arXiv 2312.06635)."""

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        V = self.head_dim
        rest = 3 * d_model**2 + RANK * d_model + V
        self.key_dim = matched(lambda K: (2 * d_model + RANK + 1) * num_heads * K + rest, d_model)
        self.parts = HeadProjection(d_model, num_heads, (self.key_dim, self.key_dim, V, V))
        to_gates = nn.Linear(RANK, num_heads * self.key_dim)
        exempt(to_gates.bias)
        self.fade = nn.Sequential(nn.Linear(d_model, RANK, bias=False), to_gates)
        self.norm = RMSNorm(V)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = silence(x, mask)
        q, k, v, gate = self.parts(x)
        o = self.both_ways(ops.gated_linear_attention, q, k, v, self._decay(x), mask=mask)
        return self._finish(o, gate)

    def _decay(self, x: Tensor) -> Tensor:
        """log α, (B, T, H, K)."""
        return logsigmoid(wide(self.fade(x))).unflatten(-1, (self.num_heads, -1)) / SLOWER

    def _finish(self, o: Tensor, gate: Tensor) -> Tensor:
        return self.out((self.norm(o) * silu(gate)).flatten(2))

    def init_state(self, batch: int) -> Tensor:
        return self.zeros(batch, self.num_heads, self.key_dim, self.head_dim, precise=True)

    def extend(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v, gate = self.parts(x)
        o, state = linear.extend(state, q, k, v, self._decay(x))
        return self._finish(o, gate), state

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return widened(dtype).itemsize * self.key_dim * self.d_model

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        recurrence = linear.flops(T, self.num_heads, self.key_dim, self.head_dim, True)
        return self.projection_flops(T) + passes * recurrence
