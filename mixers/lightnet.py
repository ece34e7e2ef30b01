"""LightNet attention: a softmax over the frames so far, channel by channel, as a linear recurrence.

    z_t = log Σ_{j ≤ t} exp κ_j                    running normaliser of the key logits κ, one a channel
    S_t = diag(exp(z_{t−1} − z_t)) S_{t−1} + exp(κ_t − z_t) v_tᵀ
    o_t = S_tᵀ swish(q_t) / √K

then a norm with a low-rank swish gate. Qin et al. 2024 (arXiv 2405.21022), the additive recurrence in one
dimension. O(T) time, O(1) state.

Bidirectional: each direction has its own normaliser, running over the frames that it has passed, the
current one included. The forward read holds the current frame's value; the backward read comes before it
is written, so the current frame takes its share of the backward normaliser but its value is counted once,
by the forward read.

Parameters: values and output of width d, a gate of rank d/4, and keys of about ¾ d, the head width being
the integer that brings the total nearest 4 · d².

Stock is fla's layer as the study ran it: keys of 128 a head and a gate of rank 128, whatever d is, and a
norm with ε = 10⁻⁶ (the layer hands its own `norm_eps` to a module that it does not call). What differs from
it then: both directions.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from mixers import ops
from mixers.contract import Direction, TokenMixer, silence, widened
from mixers.ops.linear import extend, flops
from mixers.parts import HeadProjection, LowRank, RMSNorm, logcumsumexp, matched, sized, wide
from mixers.registry import register

NEVER = -1e30  # the key logit of no frame at all: finite, so that differences of normalisers stay numbers


@register("lightnet", label="LightNet", paper="arXiv 2405.21022")
class LightNet(TokenMixer):
    """S_t = diag(exp(z_{t−1} − z_t)) S_{t−1} + exp(κ_t − z_t) v_tᵀ; O(T) time, O(1) state (2405.21022)."""

    stock_names: ClassVar = {
        "parts.linear.weight": ("q_proj.weight", "k_proj.weight", "v_proj.weight"),
        "gate.0.weight": ("g_proj.0.weight",),
        "gate.1.weight": ("g_proj.1.weight",),
        "norm.weight": ("g_norm.weight",),
        "out.weight": ("o_proj.weight",),
    }

    def __init__(
        self,
        d_model: int,
        num_heads: int = 4,
        direction: Direction = "bidirectional",
        key_dim: int | None = None,
        gate_rank: int | None = None,
        norm_eps: float = 1e-5,
    ) -> None:
        """`key_dim`: width of a head's keys, None the matched one; `gate_rank`: None is d / 4."""
        super().__init__(d_model, num_heads, direction)
        rank = sized("gate_rank", gate_rank, max(d_model // 4, 1))
        rest = 2 * d_model * (d_model + rank) + d_model
        same_size = matched(lambda K: 2 * d_model * num_heads * K + rest, d_model)
        self.key_dim = sized("key_dim", key_dim, same_size)
        self.parts = HeadProjection(d_model, num_heads, (self.key_dim, self.key_dim, self.head_dim))
        self.gate = LowRank(d_model, rank, d_model)
        self.norm = RMSNorm(d_model, norm_eps)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = silence(x, mask)
        q, logits, v = (self.stack(part) for part in self.parts(x))
        both = None if mask is None else self.stack(mask)
        if both is not None:
            logits = logits.masked_fill(~both[..., None, None], NEVER)
        z = logcumsumexp(wide(logits))
        k, decay = _shares(logits, z, z[:, :1])
        o = self.read(ops.gated_linear_attention, silu(q), k, v, decay, mask=both)
        return self._finished(o, x)

    def _finished(self, o: Tensor, x: Tensor) -> Tensor:
        return self.out(self.norm(o.flatten(2)) * silu(self.gate(x)))

    @classmethod
    def stock_options(cls, d_model: int, num_heads: int) -> dict[str, Any]:
        return {"key_dim": 128, "gate_rank": 128, "norm_eps": 1e-6}

    def init_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """The memory (B, H, K, V) and the normaliser (B, 1, H, K)."""
        memory = self.zeros(batch, self.num_heads, self.key_dim, self.head_dim, precise=True)
        return memory, memory.new_full((batch, 1, self.num_heads, self.key_dim), NEVER)

    def extend(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        memory, before = state
        q, logits, v = self.parts(x)
        z = torch.logaddexp(before, logcumsumexp(wide(logits)))
        k, decay = _shares(logits, z, before)
        o, memory = extend(memory, silu(q), k, v, decay)
        return self._finished(o, x), (memory, z[:, -1:].clone())

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return widened(dtype).itemsize * self.num_heads * self.key_dim * (self.head_dim + 1)

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        return self.projection_flops(T) + passes * flops(T, self.num_heads, self.key_dim, self.head_dim, True)


def _shares(logits: Tensor, z: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Each frame's share of the softmax so far, and what is left of the earlier ones' as log decay.

    `z` is the normaliser at each frame (B, T, H, K), `before` the one before the first (B, 1, H, K).
    """
    decay = torch.cat([before, z[:, :-1]], 1) - z
    return (logits - z).exp(), decay
