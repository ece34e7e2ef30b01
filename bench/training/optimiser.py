"""AdamW or Adam, and a schedule of the learning rate: warm-up, then cosine, warm restarts or a plateau rule.

    adam = optimiser(student, recipe)
    rate = schedule(adam, recipe, total_steps)     # rate.step() after each step of the optimiser

`decayed="matrices"`: norm scales, biases and the mixers' gate parameters (marked `_no_weight_decay`) are not
decayed: to pull a decay rate towards zero is to change the mixer, not to regularise it. `decayed="all"` is
what published recipes do that say nothing of it. AdamW decays weights beside the gradient step; Adam adds the
decay to the gradient (L2).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from bench.config import Recipe

# Loshchilov & Hutter 2017 (arXiv 1608.03983). ResLSTM-SA searched cycles of 1, 2, 3, 5 and 10 epochs, all of
# one length, down to a hundredth of the peak, and does not say which it took. Ours falls at every step.
CYCLE_EPOCHS = 10
CYCLE_FLOOR = 0.01

PATIENCE = 2  # epochs without a better score that a plateau may last; the next one halves the rate
PLATEAU_FACTOR = 0.5


def optimiser(model: nn.Module, recipe: Recipe) -> Adam:
    """The recipe's optimiser at the peak learning rate, in two groups: decayed and not."""
    everything = recipe.decayed == "all"
    decayed = [
        p
        for p in model.parameters()
        if everything or (p.ndim >= 2 and not getattr(p, "_no_weight_decay", False))
    ]
    ids = {id(p) for p in decayed}
    others = [p for p in model.parameters() if id(p) not in ids]
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    kind = {"adamw": AdamW, "adam": Adam}[recipe.optimiser]
    return kind(groups, lr=recipe.peak_lr, betas=(0.9, recipe.beta2), fused=True)


def schedule(adam: Adam, recipe: Recipe, total_steps: int) -> LRScheduler:
    """Linear from 0 to the peak over `warmup_fraction` of the steps, then what `recipe.schedule` says.

    "cosine": half a cosine to 0. "restarts": cosines of `CYCLE_EPOCHS`, one after another. "plateau": see
    `Plateau`, which also wants to be told of each epoch.
    """
    warmup = max(1, round(recipe.warmup_fraction * total_steps))
    if recipe.schedule == "plateau":
        return Plateau(adam, warmup)
    if recipe.schedule == "restarts":
        after = _restarts(round(CYCLE_EPOCHS * total_steps / recipe.epochs))
    else:
        after = _cosine(total_steps - warmup)
    return LambdaLR(adam, lambda step: (step + 1) / warmup if step < warmup else after(step - warmup))


def _cosine(steps: int) -> Callable[[int], float]:
    return lambda done: 0.5 * (1 + math.cos(math.pi * min(1.0, done / max(1, steps))))


def _restarts(cycle: int) -> Callable[[int], float]:
    half = _cosine(cycle)
    return lambda done: CYCLE_FLOOR + (1 - CYCLE_FLOOR) * half(done % cycle)


class Plateau(LRScheduler):
    """Linear warm-up; the rate is halved whenever the dev score has stopped improving.

    As `torch.optim.lr_scheduler.ReduceLROnPlateau(mode="max", factor=0.5, patience=PATIENCE, threshold=0)`,
    beside a warm-up. What it remembers is in `state_dict`, so that a resumed run goes on as it was.
    """

    def __init__(self, adam: Adam, warmup: int) -> None:
        """`warmup` steps, at least 1."""
        self.warmup, self.best, self.stale, self.halvings = warmup, -math.inf, 0, 0
        super().__init__(adam)

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each group at the current step."""
        factor = min(1.0, (self.last_epoch + 1) / self.warmup) * PLATEAU_FACTOR**self.halvings
        return [base * factor for base in self.base_lrs]

    def end_epoch(self, score: float) -> None:
        """Take note of an epoch's dev score, and halve the rate at once if that is due."""
        self.stale = 0 if score > self.best else self.stale + 1
        self.best = max(score, self.best)
        if self.stale > PATIENCE:
            self.stale, self.halvings = 0, self.halvings + 1
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate
