"""A task-progressive curriculum: which task counts for how much, epoch by epoch.

    stage(recipe, epoch).gender            # what the gender's weight is multiplied by in this epoch

After TPC (arXiv 2601.12494), which begins with what maps the sound (there speech recognition) before what
judges it; its schedule is for a language model, so the stages here are ours, declared in the recipe. All
utterances carry all their tasks: a stage's mix is of loss weights, which gives on average the gradient that
drawing tasks in these shares would, with less variance. Other samplers keep every task at its weight.
"""

from __future__ import annotations

from itertools import accumulate

from bench.config import Recipe, Stage

EVEN = Stage(share=1.0)
CURRICULUM_SHARE = 0.5  # of the epochs, where diverse batches follow; in them the last stage stays
_ROUNDING = 1e-9


def stage(recipe: Recipe, epoch: int) -> Stage:
    """The stage that an epoch, counted from 0, is in; `EVEN` where the sampler knows none."""
    if recipe.sampler not in ("curriculum", "curriculum_diverse"):
        return EVEN
    done = epoch / curriculum_epochs(recipe) + _ROUNDING
    ends = accumulate(stage.share for stage in recipe.stages)
    return next(
        (stage for stage, end in zip(recipe.stages, ends, strict=True) if done < end), recipe.stages[-1]
    )


def curriculum_epochs(recipe: Recipe) -> float:
    """The epochs that the stages share among them."""
    return recipe.epochs * (CURRICULUM_SHARE if recipe.sampler == "curriculum_diverse" else 1)
