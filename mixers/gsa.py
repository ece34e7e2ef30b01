"""Gated slot attention (GSA): softmax attention over a few memory slots that fill and fade.

    f_t = logsigmoid(·) / 8                        log forget gate, one a slot;  s_t = 1 − exp f_t
    Kt = diag(exp f_t) K_{t−1} + s_t k_tᵀ          Vt = diag(exp f_t) V_{t−1} + s_t v_tᵀ
    o_t = Vtᵀ softmax(Kt q_t)                      q, k, v through swish

then swish, a norm and the output map. Zhang et al. 2024 (arXiv 2409.07146). O(T) time, O(1) state.

Bidirectional: the softmax makes the read-out non-linear in the state, so the two directions cannot be
summed with the current frame counted once. Each direction reads its own state, the current frame
included, and the two reads are averaged.

Parameters: values and output of width d; queries, keys and slots of about ⅔ d, the head width being the
integer that brings the total nearest 4 · d².

Stock is fla's layer at its defaults: queries, keys and slots of d / H a head, 5 · d² in all. What differs
from it then: both directions.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, silu

from mixers import ops
from mixers.contract import Direction, TokenMixer, halves, silence, widened
from mixers.ops.slots import extend, flops
from mixers.parts import HeadProjection, RMSNorm, matched, sized, wide
from mixers.registry import register

GATE_NORMALIZER = 8  # slows the slots' fading


@register("gsa", label="GSA", paper="arXiv 2409.07146")
class GSA(TokenMixer):
    """Slots K, V keep exp f_t and take s_t = 1 − exp f_t of frame t; o_t = Vᵀ softmax(K q_t) (2409.07146)."""

    stock_names: ClassVar = {
        "parts.linear.weight": ("q_proj.weight", "k_proj.weight", "v_proj.weight", "f_proj.weight"),
        "norm.weight": ("g_norm.weight",),
        "out.weight": ("o_proj.weight",),
    }

    def __init__(
        self,
        d_model: int,
        num_heads: int = 4,
        direction: Direction = "bidirectional",
        key_dim: int | None = None,
        num_slots: int | None = None,
    ) -> None:
        """`key_dim`: width of a head's keys, None the matched one; `num_slots` a head: None is `key_dim`."""
        super().__init__(d_model, num_heads, direction)
        rest = 2 * d_model**2 + d_model
        same_size = matched(lambda K: d_model * num_heads * (2 * K + (num_slots or K)) + rest, d_model)
        self.key_dim = sized("key_dim", key_dim, same_size)
        self.num_slots = sized("num_slots", num_slots, self.key_dim)
        widths = (self.key_dim, self.key_dim, self.head_dim, self.num_slots)
        self.parts = HeadProjection(d_model, num_heads, widths)
        self.norm = RMSNorm(d_model)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v, s, f = self._prepared(silence(x, mask))
        s, f = silence(s, mask), silence(f, mask)
        q, k, v, s, f = (self.stack(part) for part in (q, k, v, s, f))
        o = ops.gated_slot_attention(q, k, v, s, f, scale=1.0)
        if self.bidirectional:
            ahead, back = halves(o)
            o = (ahead + back.flip(1)) / 2
        return self._finished(o)

    def _prepared(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys, values, what each slot takes, and its log forget gate."""
        q, k, v, f = self.parts(x)
        f = logsigmoid(wide(f)) / GATE_NORMALIZER
        return silu(q), silu(k), silu(v), -f.expm1(), f

    def _finished(self, o: Tensor) -> Tensor:
        return self.out(self.norm(silu(o.flatten(2))))

    @classmethod
    def stock_options(cls, d_model: int, num_heads: int) -> dict[str, Any]:
        return {"key_dim": d_model // num_heads, "num_slots": d_model // num_heads}

    def init_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """The slots' keys (B, H, K, M) and values (B, H, M, V)."""
        H, M = self.num_heads, self.num_slots
        keys = self.zeros(batch, H, self.key_dim, M, precise=True)
        return keys, self.zeros(batch, H, M, self.head_dim, precise=True)

    def extend(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        q, k, v, s, f = self._prepared(x)
        o, state = extend(state, q, k, v, s, f, scale=1.0)
        return self._finished(o), state

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        slots = self.num_heads * self.num_slots
        return widened(dtype).itemsize * slots * (self.key_dim + self.head_dim)

    def flops(self, T: int) -> int:
        one_way = flops(T, self.num_heads, self.key_dim, self.head_dim, self.num_slots)
        return self.projection_flops(T) + (1 + self.bidirectional) * one_way
