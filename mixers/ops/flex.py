"""Bidirectional forgetting attention by torch's `flex_attention`: its bias is computed inside a fused kernel.

    o = flex_forgetting(q, k, v, g, scale, mask)

The T × T bias −|c_i − c_j| is never held. c, the summed gates, goes in as two float32 numbers, so that strong
gates do not cost weak ones their digits. Compiled on a GPU; elsewhere it runs, slowly, for checking.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from mixers.ops.softmax import visible


def flex_forgetting(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float, mask: Tensor | None = None
) -> Tensor:
    """q (B, T, H, K), k (B, T, H or G, K), v (B, T, H or G, V), g (B, T, H), mask (B, T) → (B, T, H, V)."""
    grouped = q.shape[2] != k.shape[2]
    fade = g.double().cumsum(1).transpose(1, 2)
    whole = fade.float()
    rest = (fade - whole).float()
    seen = None if mask is None else visible(mask, causal=False)[:, 0, 0]

    def faded(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        apart = (whole[b, h, i] - whole[b, h, j]) + (rest[b, h, i] - rest[b, h, j])
        score = score + torch.where(i < j, -apart, apart)  # no |·|: it has no gradient where gates are open
        return score if seen is None else torch.where(seen[b, j], score, -torch.inf)

    tensors = (x.transpose(1, 2) for x in (q, k, v))
    o = _flex_attention(q.is_cuda)(*tensors, score_mod=faded, scale=scale, enable_gqa=grouped)
    return o.transpose(1, 2)


@cache
def _flex_attention(compiled: bool) -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True) if compiled else flex_attention
