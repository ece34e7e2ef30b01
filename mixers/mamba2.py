"""Mamba-2: a selective state space model, which is linear attention with one data-dependent gate a head.

    S_t = exp(−exp(A) Δ_t) S_{t−1} + B_t (Δ_t x_t)ᵀ          o_t = S_tᵀ C_t + D x_t
    Δ_t = softplus(· + b)          one a head;  B_t, C_t shared by all heads

x, B, C pass a causal convolution of 4 frames and swish; then a norm of o · swish(z) and the output map.
Dao and Gu 2024 (arXiv 2405.21060), "state space duality". O(T) time, O(1) state.

Bidirectional: the convolution is part of what runs both ways, so the backward pass convolves the reversed
frames; the skip D x is taken once, from the forward pass.

Parameters: a state of d/H numbers a channel and an inner width H · P, P being the integer that brings the
total nearest 4 · d² (inner width about 1.15 · d).

Stock is fla's layer at its defaults, which the study did not run: an inner width of 2 · d in heads of 64 and
a state of 128, whatever `num_heads` is. What differs from it then: both directions, padding, which the
convolution passes over, and no limits to Δ (the layer's default ones limit nothing).
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from mixers import ops
from mixers.contract import Direction, TokenMixer, widened
from mixers.ops.linear import extend, flops
from mixers.parts import (
    RMSNorm,
    ShortConvolution,
    exempt,
    inverse_softplus,
    log_uniform,
    matched,
    packed,
    sized,
    wide,
)
from mixers.registry import register

TAPS = 4


@register("mamba2", label="Mamba-2", paper="arXiv 2405.21060")
class Mamba2(TokenMixer):
    """S_t = exp(−exp(A) Δ_t) S_{t−1} + B_t (Δ_t x_t)ᵀ, o_t = S_tᵀ C_t + D x_t; O(T) time (2405.21060)."""

    stock_names: ClassVar = {
        "project.weight": ("in_proj.weight",),
        "convolution.weight": ("conv1d.weight",),
        "convolution.bias": ("conv1d.bias",),
        "A_log": ("A_log",),
        "dt_bias": ("dt_bias",),
        "D": ("D",),
        "norm.weight": ("norm.weight",),
        "out.weight": ("out_proj.weight",),
    }

    def __init__(
        self,
        d_model: int,
        num_heads: int = 4,
        direction: Direction = "bidirectional",
        state_dim: int | None = None,
        value_heads: int | None = None,
        value_dim: int | None = None,
    ) -> None:
        """`state_dim` N: None is d / `num_heads`. `value_heads` of width `value_dim` make the inner width.

        None is `num_heads` of them, and the matched width.
        """
        super().__init__(d_model, num_heads, direction)
        N = self.state_dim = sized("state_dim", state_dim, self.head_dim)
        H = self.value_heads = sized("value_heads", value_heads, num_heads)
        same_size = matched(lambda P: _parameters(d_model, H, P, N), d_model)
        self.value_dim = sized("value_dim", value_dim, same_size)
        self.inner = H * self.value_dim
        self.sizes = [self.inner, self.inner + 2 * N, H]
        self.project = nn.Linear(d_model, sum(self.sizes), bias=False)
        self.convolution = ShortConvolution(self.sizes[1], TAPS, bias=True)
        self.A_log = exempt(nn.Parameter(torch.empty(H).uniform_(1, 16).log()))
        self.dt_bias = exempt(nn.Parameter(inverse_softplus(log_uniform(H, 1e-3, 1e-1))))
        self.D = exempt(nn.Parameter(torch.ones(H)))
        self.norm = RMSNorm(self.inner)
        self.out = nn.Linear(self.inner, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return packed(self._mix, x, mask)

    def _mix(self, x: Tensor, mask: Tensor | None) -> Tensor:
        z, features, dt = self.project(x).split(self.sizes, -1)
        u, tensors = self._selected(self.convolution(self.stack(features)), self.stack(self._steps(dt)))
        both = None if mask is None else self.stack(mask)
        o = self.read(partial(ops.gated_linear_attention, scale=1.0), *tensors, mask=both)
        return self._finished(o, u[: x.shape[0]], z)

    def _steps(self, dt: Tensor) -> Tensor:
        return softplus(wide(dt) + self.dt_bias)

    def _selected(self, features: Tensor, dt: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
        """The inner x (B, T, H, P); and C, B (B, T, 1, N), Δ x (B, T, H, P) and log decay (B, T, H)."""
        u, B, C = silu(features).split([self.inner, self.state_dim, self.state_dim], -1)
        u = u.unflatten(-1, (self.value_heads, self.value_dim))
        return u, (C.unsqueeze(2), B.unsqueeze(2), u * dt.unsqueeze(-1), -self.A_log.exp() * dt)

    def _finished(self, o: Tensor, u: Tensor, z: Tensor) -> Tensor:
        o = o + self.D.unsqueeze(-1) * u
        return self.out(self.norm(o.flatten(2) * silu(z)).to(z.dtype))

    @classmethod
    def stock_options(cls, d_model: int, num_heads: int) -> dict[str, Any]:
        if d_model % 32:
            raise ValueError(f"d_model={d_model}: twice of it must make heads of 64; use a multiple of 32")
        return {"state_dim": 128, "value_heads": d_model // 32, "value_dim": 64}

    def init_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """The convolution's last inputs (B, 3, H·P + 2·N) and the memory (B, H, N, P)."""
        memory = (self.value_heads, self.state_dim, self.value_dim)
        return self.zeros(batch, TAPS - 1, self.sizes[1]), self.zeros(batch, *memory, precise=True)

    def extend(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        past, memory = state
        z, features, dt = self.project(x).split(self.sizes, -1)
        features, past = self.convolution.extend(features, past)
        u, tensors = self._selected(features, self._steps(dt))
        o, memory = extend(memory, *tensors, scale=1.0)
        return self._finished(o, u, z), (past, memory)

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        memory = self.inner * self.state_dim * widened(dtype).itemsize
        return memory + self.sizes[1] * (TAPS - 1) * dtype.itemsize

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        convolution = 2 * T * self.convolution.weight.numel()
        recurrence = flops(T, self.value_heads, self.state_dim, self.value_dim, False, key_heads=1)
        return self.projection_flops(T) + passes * (convolution + recurrence)


def _parameters(d: int, H: int, P: int, N: int) -> int:
    """Parameters of a Mamba-2 layer with H heads of width P and a state of N."""
    inner = H * P
    return d * (3 * inner + 2 * N + H) + (TAPS + 1) * (inner + 2 * N) + 3 * H + inner
