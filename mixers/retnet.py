"""Retention (RetNet): linear attention whose memory fades at a fixed rate a head.

    S_t = γ_h S_{t−1} + k_t v_tᵀ          γ_h = 1 − 2^(−5−h)
    o_t = S_tᵀ q_t / √K                   q, k turned by rotary positions

then a norm a head and a swish gate. Sun et al. 2023 (arXiv 2307.08621), eq. 6 and 8. O(T) time, O(1)
state. Parameters: values, gate and output of width d and keys of about half (the published proportion 1 :
2) make 4 · d². Differs from fla's layer: expand_k ½ and expand_v 1 instead of 1 and 2; both directions.
The rotation is by the frame's position in both passes, so that a reader tells the frames before it from
those after it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from mixers import ops
from mixers.contract import Direction, TokenMixer, silence
from mixers.ops.linear import flops
from mixers.parts import HeadProjection, RMSNorm, matched, positions, rotary
from mixers.registry import register


@register("retnet", label="RetNet", paper="arXiv 2307.08621")
class RetNet(TokenMixer):
    """S_t = γ_h S_{t−1} + k_t v_tᵀ, o_t = S_tᵀ q_t / √K; O(T) time, O(1) state (arXiv 2307.08621)."""

    log_decay: Tensor

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        V = self.head_dim
        self.key_dim = 2 * matched(lambda half: 3 * d_model**2 + 4 * d_model * num_heads * half + V, d_model)
        self.parts = HeadProjection(d_model, num_heads, (self.key_dim, self.key_dim, V, V))
        self.norm = RMSNorm(V)
        self.out = nn.Linear(d_model, d_model, bias=False)
        heads = torch.arange(num_heads, dtype=torch.float64)
        self.register_buffer("log_decay", torch.log1p(-(2.0 ** (-5 - heads))).float())

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v, gate = self.parts(silence(x, mask))
        position = positions(x.shape[1], mask, x.device)
        q, k = rotary(q, position), rotary(k, position)
        decay = self.log_decay.expand(*x.shape[:2], -1)
        o = self.both_ways(ops.gated_linear_attention, q, k, v, decay, mask=mask)
        return self.out((self.norm(o) * silu(gate)).flatten(2))

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return 4 * self.num_heads * self.key_dim * self.head_dim

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        return self.projection_flops(T) + passes * flops(
            T, self.num_heads, self.key_dim, self.head_dim, False
        )
