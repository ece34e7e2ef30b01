"""Gated DeltaNet: a delta rule whose memory fades at one data-dependent rate a head.

    S_t = exp(g_t) (I − β_t k_t k_tᵀ) S_{t−1} + β_t k_t v_tᵀ          o_t = S_tᵀ q_t / √K
    g_t = −exp(A) · softplus(a_t + b)          β_t = σ(·)

q, k, v pass a causal convolution of 4 frames and swish, q and k are unit vectors; then a norm a head and a
swish gate. Yang et al. 2024 (arXiv 2412.06464). O(T) time, O(1) state.

Bidirectional: the convolution is part of what runs both ways, so the backward pass convolves the reversed
frames: a frame's features in the forward pass look back and in the backward pass look ahead.

Parameters: values, gate and output of width d and keys of about d/2 (the published proportion 1 : 2), the
head width being the integer that brings the total nearest 4 · d². Differs from fla's layer: those widths
(its keys are ¾ d and its values 1½ d); decay rates that start in [1, 16], as Mamba-2's, not [0, 16];
both directions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from mixers import ops
from mixers.contract import Direction, TokenMixer, widened
from mixers.ops import delta
from mixers.parts import (
    RMSNorm,
    ShortConvolution,
    exempt,
    inverse_softplus,
    log_uniform,
    matched,
    packed,
    unit,
    wide,
)
from mixers.registry import register

TAPS = 4


@register("gated_deltanet", label="Gated DeltaNet", paper="arXiv 2412.06464", extra=True)
class GatedDeltaNet(TokenMixer):
    """S_t = exp(g_t) (I − β_t k_t k_tᵀ) S_{t−1} + β_t k_t v_tᵀ; O(T) time, O(1) state (arXiv 2412.06464)."""

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        d, H, V = d_model, num_heads, self.head_dim
        rest = 3 * d**2 + TAPS * d + 2 * H * (d + 1) + V
        K = self.key_dim = matched(lambda K: 2 * H * K * (d + TAPS) + rest, d)
        self.sizes = [H * K, H * K, d]
        self.qkv = nn.Linear(d, sum(self.sizes), bias=False)
        self.convolution = ShortConvolution(sum(self.sizes), TAPS)
        self.fade = nn.Linear(d, H, bias=False)
        self.rate = nn.Linear(d, H, bias=False)
        self.A_log = exempt(nn.Parameter(torch.empty(H).uniform_(1, 16).log()))
        self.dt_bias = exempt(nn.Parameter(inverse_softplus(log_uniform(H, 1e-3, 1e-1))))
        self.gate = nn.Linear(d, d, bias=False)
        self.norm = RMSNorm(V)
        self.out = nn.Linear(d, d, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return packed(self._mix, x, mask)

    def _mix(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = self._heads(self.convolution(self.stack(self.qkv(x))))
        g, beta = (self.stack(gate) for gate in self._gates(x))
        both = None if mask is None else self.stack(mask)
        return self._finish(self.read(ops.delta_rule, q, k, v, g, beta, mask=both), x)

    def _heads(self, convolved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = silu(convolved).split(self.sizes, -1)
        q, k, v = (part.unflatten(-1, (self.num_heads, -1)) for part in parts)
        return unit(q), unit(k), v

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log decay and rate of writing, (B, T, H) each."""
        g = -self.A_log.exp() * softplus(wide(self.fade(x)) + self.dt_bias)
        return g, wide(self.rate(x)).sigmoid()

    def _finish(self, o: Tensor, x: Tensor) -> Tensor:
        gate = silu(self.gate(x)).unflatten(-1, (self.num_heads, -1))
        return self.out((self.norm(o) * gate).flatten(2))

    def init_state(self, batch: int) -> tuple[Tensor, Tensor]:
        memory = self.zeros(batch, self.num_heads, self.key_dim, self.head_dim, precise=True)
        return self.zeros(batch, TAPS - 1, sum(self.sizes)), memory

    def extend(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        convolved, past = self.convolution.extend(self.qkv(x), state[0])
        o, memory = delta.extend(state[1], *self._heads(convolved), *self._gates(x))
        return self._finish(o, x), (past, memory)

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        memory = widened(dtype).itemsize * self.key_dim * self.d_model
        return memory + dtype.itemsize * (TAPS - 1) * sum(self.sizes)

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        convolution = 2 * T * self.convolution.weight.numel()
        recurrence = delta.flops(T, self.num_heads, self.key_dim, self.head_dim)
        return self.projection_flops(T) + passes * (convolution + recurrence)
