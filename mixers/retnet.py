"""Retention (RetNet): linear attention whose memory fades at a fixed rate a head.

    S_t = γ_h S_{t−1} + k_t v_tᵀ          γ_h = 1 − 2^(−5−h)
    o_t = S_tᵀ q_t / √K                   q, k turned by rotary positions

then a norm a head and a swish gate. Sun et al. 2023 (arXiv 2307.08621), eq. 6 and 8. O(T) time, O(1)
state. Parameters: values, gate and output of width d and keys of about half (the published proportion 1 :
2) make 4 · d². The rotation is by the frame's position in both passes, so that a reader tells the frames
before it from those after it.

Stock is fla's layer at its defaults: keys of width d and values of 2 · d (expand_k 1, expand_v 2), which
make 8 · d². What differs from it then: both directions; the decays are a float32 buffer of the state dict.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from mixers import ops
from mixers.contract import Direction, TokenMixer, silence, widened
from mixers.ops.linear import extend, flops
from mixers.parts import HeadProjection, RMSNorm, matched, positions, rotary, sized
from mixers.registry import register


@register("retnet", label="RetNet", paper="arXiv 2307.08621")
class RetNet(TokenMixer):
    """S_t = γ_h S_{t−1} + k_t v_tᵀ, o_t = S_tᵀ q_t / √K; O(T) time, O(1) state (arXiv 2307.08621)."""

    log_decay: Tensor
    stock_names: ClassVar = {
        "parts.linear.weight": ("q_proj.weight", "k_proj.weight", "v_proj.weight", "g_proj.weight"),
        "norm.weight": ("g_norm_swish_gate.weight",),
        "out.weight": ("o_proj.weight",),
    }

    def __init__(
        self,
        d_model: int,
        num_heads: int = 4,
        direction: Direction = "bidirectional",
        key_dim: int | None = None,
        value_dim: int | None = None,
    ) -> None:
        """`key_dim`, `value_dim`: widths of a head; None is d / H for values and the matched one for keys."""
        super().__init__(d_model, num_heads, direction)
        V = self.value_dim = sized("value_dim", value_dim, self.head_dim)
        inner = num_heads * V
        half = matched(lambda half: 3 * d_model * inner + 4 * d_model * num_heads * half + V, d_model)
        self.key_dim = sized("key_dim", key_dim, 2 * half)
        if self.key_dim % 2:
            raise ValueError(f"key_dim={key_dim} is odd, and rotary positions turn pairs; make it even")
        self.parts = HeadProjection(d_model, num_heads, (self.key_dim, self.key_dim, V, V))
        self.norm = RMSNorm(V)
        self.out = nn.Linear(inner, d_model, bias=False)
        heads = torch.arange(num_heads, dtype=torch.float64)
        self.register_buffer("log_decay", torch.log1p(-(2.0 ** (-5 - heads))).float())

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        position = positions(x.shape[1], mask, x.device)
        tensors, gate = self._prepared(silence(x, mask), position)
        return self._finished(self.both_ways(ops.gated_linear_attention, *tensors, mask=mask), gate)

    def _prepared(self, x: Tensor, position: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """Queries and keys turned by their position, values and log decay; and the output's gate."""
        q, k, v, gate = self.parts(x)
        q, k = rotary(q, position), rotary(k, position)
        return (q, k, v, self.log_decay.expand(*x.shape[:2], -1)), gate

    def _finished(self, o: Tensor, gate: Tensor) -> Tensor:
        return self.out((self.norm(o) * silu(gate)).flatten(2))

    @classmethod
    def stock_options(cls, d_model: int, num_heads: int) -> dict[str, Any]:
        return {"key_dim": d_model // num_heads, "value_dim": 2 * d_model // num_heads}

    def init_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """The memory (B, H, K, V) and the number of frames so far (B,)."""
        memory = self.zeros(batch, self.num_heads, self.key_dim, self.value_dim, precise=True)
        return memory, memory.new_zeros(batch, dtype=torch.long)

    def extend(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        memory, seen = state
        T = x.shape[1]
        tensors, gate = self._prepared(x, seen.unsqueeze(1) + positions(T, None, x.device))
        o, memory = extend(memory, *tensors)
        return self._finished(o, gate), (memory, seen + T)

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        memory = self.num_heads * self.key_dim * self.value_dim
        return memory * widened(dtype).itemsize + torch.long.itemsize

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        return self.projection_flops(T) + passes * flops(
            T, self.num_heads, self.key_dim, self.value_dim, False
        )
