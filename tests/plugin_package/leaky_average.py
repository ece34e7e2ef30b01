"""Leaky average: what a mixer in a package of its own looks like.

h_t = α h_{t−1} + (1 − α) W x_t          α one number a head, learned
"""

import torch
from torch import Tensor, nn

from mixers import Direction, TokenMixer, ops, register


@register("leaky_average", label="Leaky average")
class LeakyAverage(TokenMixer):
    """h_t = α h_{t−1} + (1 − α) W x_t; O(T) time."""

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        self.value = nn.Linear(d_model, d_model, bias=False)
        self.keep = nn.Parameter(torch.zeros(num_heads))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        alpha = self.keep.sigmoid().expand(*x.shape[:2], -1)
        ones = torch.ones_like(alpha).unsqueeze(-1)
        v = self.value(x).unflatten(-1, (self.num_heads, -1))
        h = self.both_ways(
            ops.gated_linear_attention, ones, 1 - alpha.unsqueeze(-1), v, alpha.log(), mask=mask
        )
        return h.flatten(2)
