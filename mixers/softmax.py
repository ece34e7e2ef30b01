"""Softmax attention: every frame reads every frame (or every earlier one), and keeps them all.

    o_i = Σ_j softmax_j(q_i·k_j / √K) v_j

Vaswani et al. 2017 (arXiv 1706.03762). O(T²) time; a stream keeps the keys and values of all frames. It
knows no positions: the encoder around it gives them. Parameters: 4 · d² (queries, keys, values, output;
no biases), which sets the size that the other mixers match.

`softmax` runs the fused kernel; `softmax_unfused` is its twin with the same parameters and numbers that
holds the T × T weights, as the published comparison did. Differs from fla's layer: no rotary positions;
padding and direction are handled.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mixers import ops
from mixers.contract import Direction, TokenMixer, silence
from mixers.ops.softmax import flops
from mixers.parts import HeadProjection
from mixers.registry import register


@register("softmax", label="Softmax", paper="arXiv 1706.03762", complexity="O(T²)")
class Softmax(TokenMixer):
    """o_i = Σ_j softmax_j(q_i·k_j / √K) v_j, fused; O(T²) time, O(T) state (arXiv 1706.03762)."""

    attention = staticmethod(ops.softmax_attention)

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        self.qkv = HeadProjection(d_model, num_heads, (self.head_dim,) * 3)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = self.qkv(silence(x, mask))
        return self.out(self.attention(q, k, v, causal=not self.bidirectional, mask=mask).flatten(2))

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return 2 * T * self.d_model * dtype.itemsize

    def flops(self, T: int) -> int:
        return self.projection_flops(T) + flops(T, self.num_heads, self.head_dim, self.head_dim)


@register(
    "softmax_unfused",
    label="Softmax (unfused)",
    paper="arXiv 1706.03762",
    complexity="O(T²)",
    twin_of="softmax",
)
class UnfusedSoftmax(Softmax):
    """`Softmax` with the T × T scores and weights held in memory."""

    attention = staticmethod(ops.unfused_softmax_attention)
