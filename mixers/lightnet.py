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
the integer that brings the total nearest 4 · d². Differs from fla's layer: those widths (its keys are d/2
and rank d/8 at d = 1024 in the study); both directions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from mixers import ops
from mixers.contract import Direction, TokenMixer, silence
from mixers.ops.linear import flops
from mixers.parts import HeadProjection, LowRank, RMSNorm, logcumsumexp, matched, wide
from mixers.registry import register

NEVER = -1e30  # the key logit of a padded frame: finite, so that differences of normalisers stay numbers


@register("lightnet", label="LightNet", paper="arXiv 2405.21022")
class LightNet(TokenMixer):
    """S_t = diag(exp(z_{t−1} − z_t)) S_{t−1} + exp(κ_t − z_t) v_tᵀ; O(T) time, O(1) state (2405.21022)."""

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        rank = max(d_model // 4, 1)
        rest = 2 * d_model * (d_model + rank) + d_model
        self.key_dim = matched(lambda K: 2 * d_model * num_heads * K + rest, d_model)
        self.parts = HeadProjection(d_model, num_heads, (self.key_dim, self.key_dim, self.head_dim))
        self.gate = LowRank(d_model, rank, d_model)
        self.norm = RMSNorm(d_model)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = silence(x, mask)
        q, logits, v = (self.stack(part) for part in self.parts(x))
        both = None if mask is None else self.stack(mask)
        if both is not None:
            logits = logits.masked_fill(~both[..., None, None], NEVER)
        z = logcumsumexp(wide(logits))
        decay = torch.cat([z[:, :1], z[:, :-1]], 1) - z
        o = self.read(ops.gated_linear_attention, silu(q), (logits - z).exp(), v, decay, mask=both)
        return self.out(self.norm(o.flatten(2)) * silu(self.gate(x)))

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return 4 * self.num_heads * self.key_dim * (self.head_dim + 1)

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        return self.projection_flops(T) + passes * flops(T, self.num_heads, self.key_dim, self.head_dim, True)
