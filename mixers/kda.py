"""Kimi delta attention (KDA): a delta rule whose memory fades channel by channel.

    S_t = (I − β_t k_t k_tᵀ) diag(exp g_t) S_{t−1} + β_t k_t v_tᵀ          o_t = S_tᵀ q_t / √K
    g_t = −exp(A) · softplus(f_t + b)          β_t = σ(·)          f_t of low rank

q, k, v pass a causal convolution of 4 frames and swish, q and k are unit vectors; then a norm a head with
a low-rank sigmoid gate. Kimi Team 2025, "Kimi Linear" (arXiv 2510.26692). O(T) time, O(1) state.

Bidirectional: the convolution is part of what runs both ways, so the backward pass convolves the reversed
frames: a frame's features in the forward pass look back and in the backward pass look ahead.

Parameters: keys and values share one head width, the integer that brings the total nearest 4 · d² (about
0.8 · d / H); the two low-rank maps go through one head width, as published.

Stock is fla's layer at its defaults: a head width of 128, whatever d is. What differs from it then: both
directions, and padding, which the convolution passes over.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from mixers import ops
from mixers.contract import Direction, TokenMixer, widened
from mixers.ops.delta import extend, flops
from mixers.parts import (
    LowRank,
    RMSNorm,
    ShortConvolution,
    exempt,
    inverse_softplus,
    log_uniform,
    matched,
    packed,
    sized,
    unit,
    wide,
)
from mixers.registry import register

TAPS = 4


@register("kda", label="KDA", paper="arXiv 2510.26692")
class KDA(TokenMixer):
    """S_t = (I − β_t k_t k_tᵀ) diag(exp g_t) S_{t−1} + β_t k_t v_tᵀ; O(T) time, O(1) state (2510.26692)."""

    stock_names: ClassVar = {
        "qkv.weight": ("q_proj.weight", "k_proj.weight", "v_proj.weight"),
        "convolution.weight": ("q_conv1d.weight", "k_conv1d.weight", "v_conv1d.weight"),
        "fade.0.weight": ("f_proj.0.weight",),
        "fade.1.weight": ("f_proj.1.weight",),
        "rate.weight": ("b_proj.weight",),
        "A_log": ("A_log",),
        "dt_bias": ("dt_bias",),
        "gate.0.weight": ("g_proj.0.weight",),
        "gate.1.weight": ("g_proj.1.weight",),
        "gate.1.bias": ("g_proj.1.bias",),
        "norm.weight": ("o_norm.weight",),
        "out.weight": ("o_proj.weight",),
    }

    def __init__(
        self,
        d_model: int,
        num_heads: int = 4,
        direction: Direction = "bidirectional",
        key_dim: int | None = None,
    ) -> None:
        """`key_dim`: width of a head's keys and values; None is the matched one."""
        super().__init__(d_model, num_heads, direction)
        same_size = matched(lambda K: _parameters(d_model, num_heads, K), d_model)
        K = self.key_dim = sized("key_dim", key_dim, same_size)
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
        q, k, v = self._heads(self.convolution(self.stack(self.qkv(x))))
        g, beta = (self.stack(gate) for gate in self._gates(x))
        both = None if mask is None else self.stack(mask)
        return self._finished(self.read(ops.delta_rule, q, k, v, g, beta, mask=both), x)

    def _heads(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit queries, unit keys and values (B, T, H, K) of the convolved features (B, T, 3·H·K)."""
        q, k, v = silu(features).unflatten(-1, (3, self.num_heads, self.key_dim)).unbind(2)
        return unit(q), unit(k), v

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log decay (B, T, H, K) and writing rate β (B, T, H)."""
        fade = softplus(wide(self.fade(x)) + self.dt_bias).unflatten(-1, (self.num_heads, self.key_dim))
        return -self.A_log.exp().unsqueeze(-1) * fade, wide(self.rate(x)).sigmoid()

    def _finished(self, o: Tensor, x: Tensor) -> Tensor:
        gate = self.gate(x).unflatten(-1, (self.num_heads, self.key_dim)).sigmoid()
        return self.out((self.norm(o) * gate).flatten(2))

    @classmethod
    def stock_options(cls, d_model: int, num_heads: int) -> dict[str, Any]:
        return {"key_dim": 128}

    def init_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """The convolution's last inputs (B, 3, 3·H·K) and the memory (B, H, K, K)."""
        H, K = self.num_heads, self.key_dim
        return self.zeros(batch, TAPS - 1, 3 * H * K), self.zeros(batch, H, K, K, precise=True)

    def extend(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        past, memory = state
        features, past = self.convolution.extend(self.qkv(x), past)
        o, memory = extend(memory, *self._heads(features), *self._gates(x))
        return self._finished(o, x), (past, memory)

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        inner = self.num_heads * self.key_dim
        return inner * self.key_dim * widened(dtype).itemsize + 3 * inner * (TAPS - 1) * dtype.itemsize

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        convolution = 2 * T * self.convolution.weight.numel()
        recurrence = flops(T, self.num_heads, self.key_dim, self.key_dim)
        return self.projection_flops(T) + passes * (convolution + recurrence)


def _parameters(d: int, H: int, K: int) -> int:
    """Parameters of a KDA layer with H heads of width K."""
    projections = 4 * d * H * K + 2 * (d * K + K * H * K) + d * H
    return projections + 3 * TAPS * H * K + 2 * H * K + H + K
