"""Kimi delta attention (KDA): a delta rule whose memory fades channel by channel.

    S_t = (I − β_t k_t k_tᵀ) diag(exp g_t) S_{t−1} + β_t k_t v_tᵀ          o_t = S_tᵀ q_t / √K
    g_t = −exp(A) · softplus(f_t + b)          β_t = σ(·)          f_t of low rank

q, k, v pass a causal convolution of 4 frames and swish, q and k are unit vectors; then a norm a head with
a low-rank sigmoid gate. Kimi Team 2025, "Kimi Linear" (arXiv 2510.26692). O(T) time, O(1) state.

Bidirectional: the convolution is part of what runs both ways, so the backward pass convolves the reversed
frames: a frame's features in the forward pass look back and in the backward pass look ahead.

Parameters: keys and values share one head width, the integer that brings the total nearest 4 · d² (about
0.8 · d / H); the two low-rank maps go through one head width, as published. Differs from fla's layer:
that width; both directions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from mixers import ops
from mixers.contract import Direction, TokenMixer
from mixers.ops.delta import flops
from mixers.parts import (
    LowRank,
    RMSNorm,
    ShortConvolution,
    exempt,
    inverse_softplus,
    log_uniform,
    matched,
    packed,
    wide,
)
from mixers.registry import register

TAPS = 4


@register("kda", label="KDA", paper="arXiv 2510.26692")
class KDA(TokenMixer):
    """S_t = (I − β_t k_t k_tᵀ) diag(exp g_t) S_{t−1} + β_t k_t v_tᵀ; O(T) time, O(1) state (2510.26692)."""

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        K = self.key_dim = matched(lambda K: _parameters(d_model, num_heads, K), d_model)
        inner = num_heads * K
        self.qkv = nn.Linear(d_model, 3 * inner, bias=False)
        self.convolution = ShortConvolution(3 * inner, TAPS)
        self.fade = LowRank(d_model, K, inner)
        self.rate = nn.Linear(d_model, num_heads, bias=False)
        self.A_log = exempt(nn.Parameter(torch.empty(num_heads).uniform_(1, 16).log()))
        self.dt_bias = exempt(nn.Parameter(inverse_softplus(log_uniform(inner, 1e-3, 1e-1))))
        self.gate = LowRank(d_model, K, inner, bias=True)
        self.norm = RMSNorm(K)
        self.out = nn.Linear(inner, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return packed(self._mix, x, mask)

    def _mix(self, x: Tensor, mask: Tensor | None) -> Tensor:
        heads = (self.num_heads, self.key_dim)
        q, k, v = silu(self.convolution(self.stack(self.qkv(x)))).unflatten(-1, (3, *heads)).unbind(2)
        fade = softplus(wide(self.fade(x)) + self.dt_bias).unflatten(-1, heads)
        g = self.stack(-self.A_log.exp().unsqueeze(-1) * fade)
        beta = self.stack(wide(self.rate(x)).sigmoid())
        both = None if mask is None else self.stack(mask)
        o = self.read(ops.delta_rule, _unit(q), _unit(k), v, g, beta, mask=both)
        gate = self.gate(x).unflatten(-1, heads).sigmoid()
        return self.out((self.norm(o) * gate).flatten(2))

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        inner = self.num_heads * self.key_dim
        return 4 * inner * self.key_dim + 3 * inner * (TAPS - 1) * dtype.itemsize

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        convolution = 2 * T * self.convolution.weight.numel()
        recurrence = flops(T, self.num_heads, self.key_dim, self.key_dim)
        return self.projection_flops(T) + passes * (convolution + recurrence)


def _unit(x: Tensor) -> Tensor:
    """x over its length along the last axis, in float32."""
    x = wide(x)
    return x * (x.square().sum(-1, keepdim=True) + 1e-6).rsqrt()


def _parameters(d: int, H: int, K: int) -> int:
    """Parameters of a KDA layer with H heads of width K."""
    projections = 4 * d * H * K + 2 * (d * K + K * H * K) + d * H
    return projections + 3 * TAPS * H * K + 2 * H * K + H + K
