"""Forgetting attention (FoX): softmax attention whose scores fade with the forget gates passed on the way.

    f_t = σ(w·x_t + b)          one a head;  c = cumulative sum of log f
    o_i = Σ_{j ≤ i} softmax_j(q_i·k_j / √K + c_i − c_j) v_j

Lin et al. 2025, "Forgetting Transformer" (arXiv 2503.02130). O(T²) time, O(T) state; the gates
stand in for positions. Bidirectional: one softmax over all frames with the bias −|c_i − c_j|. Parameters:
4 · d² and the gates' (d + 1) · H. Like fla's layer, it has no output gate and no norm.

Stock is fla's layer as the study ran it: its default of 32 query heads, each with its own gate, over the 4
heads of keys and values that `num_heads` counts. What differs from it then: both directions.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from mixers import ops
from mixers.contract import Direction, TokenMixer, silence, widened
from mixers.ops.forgetting import extend, flops
from mixers.parts import HeadProjection, exempt, sized, wide
from mixers.registry import register


@register("fox", label="FoX", paper="arXiv 2503.02130", complexity="O(T²)")
class FoX(TokenMixer):
    """o_i = Σ_j softmax_j(q_i·k_j / √K − |c_i − c_j|) v_j, c the summed log gates; O(T²) (2503.02130)."""

    stock_names: ClassVar = {
        "qkv.linear.weight": ("q_proj.weight", "k_proj.weight", "v_proj.weight"),
        "forget.weight": ("f_proj.weight",),
        "forget.bias": ("f_proj.bias",),
        "out.weight": ("o_proj.weight",),
    }

    def __init__(
        self,
        d_model: int,
        num_heads: int = 4,
        direction: Direction = "bidirectional",
        query_heads: int | None = None,
    ) -> None:
        """`num_heads` counts keys and values; `query_heads`, a multiple, share them. None is `num_heads`.

        All heads have the width d / query_heads.
        """
        super().__init__(d_model, num_heads, direction)
        self.query_heads = sized("query_heads", query_heads, num_heads)
        if self.query_heads % num_heads or d_model % self.query_heads:
            raise ValueError(
                f"query_heads={query_heads} is no multiple of num_heads={num_heads} that divides {d_model=}"
            )
        K = self.head_dim = d_model // self.query_heads
        self.qkv = HeadProjection(d_model, num_heads, (self.query_heads // num_heads * K, K, K))
        self.forget = nn.Linear(d_model, self.query_heads)
        exempt(self.forget.bias)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        tensors = self._prepared(silence(x, mask))
        o = ops.forgetting_attention(*tensors, causal=not self.bidirectional, mask=mask)
        return self.out(o.flatten(2))

    def _prepared(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries (B, T, query heads, K), keys and values (B, T, H, K), log gates (B, T, query heads)."""
        q, k, v = self.qkv(x)
        q = q.flatten(2).unflatten(-1, (self.query_heads, -1))
        return q, k, v, logsigmoid(wide(self.forget(x)))

    @classmethod
    def stock_options(cls, d_model: int, num_heads: int) -> dict[str, Any]:
        return {"query_heads": 32}

    def init_state(self, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values (B, 0, H, K) and log gates (B, 0, query heads) of the frames so far."""
        none = self.zeros(batch, 0, self.num_heads, self.head_dim)
        return none, none, self.zeros(batch, 0, self.query_heads, precise=True)

    def extend(
        self, x: Tensor, state: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        o, state = extend(state, *self._prepared(x))
        return self.out(o.flatten(2)), state

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        kept = 2 * self.num_heads * self.head_dim * dtype.itemsize
        return T * (kept + self.query_heads * widened(dtype).itemsize)

    def flops(self, T: int) -> int:
        K, causal = self.head_dim, not self.bidirectional
        return self.projection_flops(T) + flops(T, self.query_heads, K, K, causal)
