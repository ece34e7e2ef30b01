"""Softmax attention: every frame reads every frame (or every earlier one), and keeps them all.

    o_i = Σ_j softmax_j(q_i·k_j / √K) v_j

Vaswani et al. 2017 (arXiv 1706.03762). O(T²) time; a stream keeps the keys and values of all frames. It
knows no positions: the encoder around it gives them. Parameters: 4 · d² (queries, keys, values, output;
no biases), which sets the size that the other mixers match.

`softmax` runs the fused kernel; `softmax_unfused` is its twin with the same parameters and numbers that
holds the T × T weights, as the published comparison did; a stream of either reads with the fused kernel.

Stock is the study's layer, PyTorch's `MultiheadAttention`, which has biases; it is bidirectional there.
What differs: each linear map starts as `nn.Linear` does. fla's own softmax layer has rotary positions and
no biases, and was not part of the study.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mixers import ops
from mixers.contract import Direction, TokenMixer, silence
from mixers.ops.softmax import extend, flops
from mixers.parts import HeadProjection
from mixers.registry import register


@register("softmax", label="Softmax", paper="arXiv 1706.03762", complexity="O(T²)")
class Softmax(TokenMixer):
    """o_i = Σ_j softmax_j(q_i·k_j / √K) v_j, fused; O(T²) time, O(T) state (arXiv 1706.03762)."""

    attention = staticmethod(ops.softmax_attention)
    stock_names: ClassVar = {
        "qkv.linear.weight": ("in_proj_weight",),
        "qkv.linear.bias": ("in_proj_bias",),
        "out.weight": ("out_proj.weight",),
        "out.bias": ("out_proj.bias",),
    }

    def __init__(
        self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional", bias: bool = False
    ) -> None:
        super().__init__(d_model, num_heads, direction)
        self.qkv = HeadProjection(d_model, num_heads, (self.head_dim,) * 3, bias)
        self.out = nn.Linear(d_model, d_model, bias=bias)

    @classmethod
    def stock_options(cls, d_model: int, num_heads: int) -> dict[str, Any]:
        return {"bias": True}

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = self.qkv(silence(x, mask))
        return self.out(self.attention(q, k, v, causal=not self.bidirectional, mask=mask).flatten(2))

    def init_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the frames so far, (B, 0, H, K) each."""
        none = self.zeros(batch, 0, self.num_heads, self.head_dim)
        return none, none

    def extend(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        o, state = extend(state, *self.qkv(x))
        return self.out(o.flatten(2)), state

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
