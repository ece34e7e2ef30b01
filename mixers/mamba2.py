"""Mamba-2: a selective state space model, which is linear attention with one data-dependent gate a head.

    S_t = exp(−exp(A) Δ_t) S_{t−1} + B_t (Δ_t x_t)ᵀ          o_t = S_tᵀ C_t + D x_t
    Δ_t = softplus(· + b)          one a head;  B_t, C_t shared by all heads

x, B, C pass a causal convolution of 4 frames and swish; then a norm of o · swish(z) and the output map.
Dao and Gu 2024 (arXiv 2405.21060), "state space duality". O(T) time, O(1) state.

Bidirectional: the convolution is part of what runs both ways, so the backward pass convolves the reversed
frames; the skip D x is taken once, from the forward pass.

Parameters: a state of d/H numbers a channel and an inner width H · P, P being the integer that brings the
total nearest 4 · d² (inner width about 1.15 · d). Differs from fla's layer: those widths instead of 2 · d
and 128; both directions.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from mixers import ops
from mixers.contract import Direction, TokenMixer
from mixers.ops.linear import flops
from mixers.parts import (
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


@register("mamba2", label="Mamba-2", paper="arXiv 2405.21060")
class Mamba2(TokenMixer):
    """S_t = exp(−exp(A) Δ_t) S_{t−1} + B_t (Δ_t x_t)ᵀ, o_t = S_tᵀ C_t + D x_t; O(T) time (2405.21060)."""

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        self.state_dim = self.head_dim
        self.value_dim = matched(lambda P: _parameters(d_model, num_heads, P, self.state_dim), d_model)
        self.inner = num_heads * self.value_dim
        self.sizes = [self.inner, self.inner + 2 * self.state_dim, num_heads]
        self.project = nn.Linear(d_model, sum(self.sizes), bias=False)
        self.convolution = ShortConvolution(self.sizes[1], TAPS, bias=True)
        self.A_log = exempt(nn.Parameter(torch.empty(num_heads).uniform_(1, 16).log()))
        self.dt_bias = exempt(nn.Parameter(inverse_softplus(log_uniform(num_heads, 1e-3, 1e-1))))
        self.D = exempt(nn.Parameter(torch.ones(num_heads)))
        self.norm = RMSNorm(self.inner)
        self.out = nn.Linear(self.inner, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return packed(self._mix, x, mask)

    def _mix(self, x: Tensor, mask: Tensor | None) -> Tensor:
        z, features, dt = self.project(x).split(self.sizes, -1)
        features = silu(self.convolution(self.stack(features)))
        u, B, C = features.split([self.inner, self.state_dim, self.state_dim], -1)
        u = u.unflatten(-1, (self.num_heads, self.value_dim))
        dt = self.stack(softplus(wide(dt) + self.dt_bias))
        both = None if mask is None else self.stack(mask)
        ssd = partial(ops.gated_linear_attention, scale=1.0)
        v, decay = u * dt.unsqueeze(-1), -self.A_log.exp() * dt
        o = self.read(ssd, C.unsqueeze(2), B.unsqueeze(2), v, decay, mask=both)
        o = o + self.D.unsqueeze(-1) * u[: x.shape[0]]
        return self.out(self.norm(o.flatten(2) * silu(z)))

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return 4 * self.inner * self.state_dim + self.sizes[1] * (TAPS - 1) * dtype.itemsize

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        convolution = 2 * T * self.convolution.weight.numel()
        recurrence = flops(T, self.num_heads, self.state_dim, self.value_dim, False, key_heads=1)
        return self.projection_flops(T) + passes * (convolution + recurrence)


def _parameters(d: int, H: int, P: int, N: int) -> int:
    """Parameters of a Mamba-2 layer with H heads of width P and a state of N."""
    inner = H * P
    return d * (3 * inner + 2 * N + H) + (TAPS + 1) * (inner + 2 * N) + 3 * H + inner
