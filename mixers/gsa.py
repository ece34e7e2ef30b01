"""Gated slot attention (GSA): softmax attention over a few memory slots that fill and fade.

    f_t = logsigmoid(·) / 8                        log forget gate, one a slot;  s_t = 1 − exp f_t
    Kt = diag(exp f_t) K_{t−1} + s_t k_tᵀ          Vt = diag(exp f_t) V_{t−1} + s_t v_tᵀ
    o_t = Vtᵀ softmax(Kt q_t)                      q, k, v through swish

then swish, a norm and the output map. Zhang et al. 2024 (arXiv 2409.07146). O(T) time, O(1) state.

Bidirectional: the softmax makes the read-out non-linear in the state, so the two directions cannot be
summed with the current frame counted once. Each direction reads its own state, the current frame
included, and the two reads are averaged.

Parameters: values and output of width d; queries, keys and slots of about ⅔ d, the head width being the
integer that brings the total nearest 4 · d². Differs from fla's layer: those widths; both directions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, silu

from mixers import ops
from mixers.contract import Direction, TokenMixer, silence
from mixers.ops.slots import flops
from mixers.parts import HeadProjection, RMSNorm, matched, wide
from mixers.registry import register

GATE_NORMALIZER = 8  # slows the slots' fading


@register("gsa", label="GSA", paper="arXiv 2409.07146")
class GSA(TokenMixer):
    """Slots K, V keep exp f_t and take s_t = 1 − exp f_t of frame t; o_t = Vᵀ softmax(K q_t) (2409.07146)."""

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        rest = 2 * d_model**2 + d_model
        self.key_dim = self.num_slots = matched(lambda K: 3 * d_model * num_heads * K + rest, d_model)
        widths = (self.key_dim, self.key_dim, self.head_dim, self.num_slots)
        self.parts = HeadProjection(d_model, num_heads, widths)
        self.norm = RMSNorm(d_model)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v, f = self.parts(silence(x, mask))
        f = logsigmoid(wide(f)) / GATE_NORMALIZER
        s, f = silence(-f.expm1(), mask), silence(f, mask)
        q, k, v, s, f = (self.stack(part) for part in (silu(q), silu(k), silu(v), s, f))
        o = ops.gated_slot_attention(q, k, v, s, f, scale=1.0)
        if self.bidirectional:
            ahead, back = o.chunk(2)
            o = (ahead + back.flip(1)) / 2
        return self.out(self.norm(silu(o.flatten(2))))

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return 4 * self.num_heads * self.num_slots * (self.key_dim + self.head_dim)

    def flops(self, T: int) -> int:
        one_way = flops(T, self.num_heads, self.key_dim, self.head_dim, self.num_slots)
        return self.projection_flops(T) + (1 + self.bidirectional) * one_way
