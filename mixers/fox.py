"""Forgetting attention (FoX): softmax attention whose scores fade with the forget gates passed on the way.

    f_t = σ(w·x_t + b)          one a head;  c = cumulative sum of log f
    o_i = Σ_{j ≤ i} softmax_j(q_i·k_j / √K + c_i − c_j) v_j

Lin et al. 2025, "Forgetting Transformer" (arXiv 2503.02130). O(T²) time, O(T) state; the gates
stand in for positions. Bidirectional: one softmax over all frames with the bias −|c_i − c_j|. Parameters:
4 · d² and the gates' (d + 1) · H. Differs from fla's layer: as many key/value heads as query heads; both
directions. Like it, no output gate and no norm.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from mixers import ops
from mixers.contract import Direction, TokenMixer, silence
from mixers.ops.softmax import flops
from mixers.parts import HeadProjection, exempt, wide
from mixers.registry import register


@register("fox", label="FoX", paper="arXiv 2503.02130", complexity="O(T²)")
class FoX(TokenMixer):
    """o_i = Σ_j softmax_j(q_i·k_j / √K − |c_i − c_j|) v_j, c the summed log gates; O(T²) (2503.02130)."""

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        self.qkv = HeadProjection(d_model, num_heads, (self.head_dim,) * 3)
        self.forget = nn.Linear(d_model, num_heads)
        exempt(self.forget.bias)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = silence(x, mask)
        q, k, v = self.qkv(x)
        g = logsigmoid(wide(self.forget(x)))
        o = ops.forgetting_attention(q, k, v, g, causal=not self.bidirectional, mask=mask)
        return self.out(o.flatten(2))

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return T * (2 * self.d_model * dtype.itemsize + 4 * self.num_heads)

    def flops(self, T: int) -> int:
        return self.projection_flops(T) + flops(T, self.num_heads, self.head_dim, self.head_dim)
