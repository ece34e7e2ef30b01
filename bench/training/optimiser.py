"""AdamW with decay on matrices alone, and a schedule of linear warm-up and cosine.

Norm scales, biases and the mixers' gate parameters (marked `_no_weight_decay`) are not decayed: to pull
a decay rate towards zero is to change the mixer, not to regularise it.
"""

from __future__ import annotations

import math

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from bench.config import Recipe


def optimiser(model: nn.Module, recipe: Recipe) -> AdamW:
    """AdamW at the peak learning rate, in two groups: decayed and not."""
    decayed = [p for p in model.parameters() if p.ndim >= 2 and not getattr(p, "_no_weight_decay", False)]
    ids = {id(p) for p in decayed}
    others = [p for p in model.parameters() if id(p) not in ids]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=recipe.peak_lr, betas=(0.9, 0.98), fused=True)


def schedule(adamw: AdamW, recipe: Recipe, total_steps: int) -> LambdaLR:
    """Linear from 0 to the peak over `warmup_fraction` of the steps, then a half cosine to 0."""
    warmup = max(1, round(recipe.warmup_fraction * total_steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total_steps - warmup))))

    return LambdaLR(adamw, factor)
