"""What a recogniser is trained for: which outputs it has, and the loss of them.

    logits, scaled = outputs.split(parts(recipe, num_emotions), dim=1)       # (B, C), (B, 3)
    loss = emotion_weight · cross-entropy + attribute_weight · mean over attributes of (1 − CCC)

The cross-entropy may be focal (`bench.training.focal`).

Emotions that are not trained (`emotion_weight` 0) have no logits, attributes that are not (`attribute_weight`
0) no outputs. 1 − CCC over the batch asks for the right spread as well as the right order, and gives a
higher CCC than squared error does (Atmaja and Akagi 2020, arXiv 2003.10724).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.attributes import ATTRIBUTES
from bench.config import Recipe, Stage
from bench.corpora.manifest import Manifest
from bench.errors import SuiteError
from bench.training import ranks
from bench.training.curriculum import EVEN
from bench.training.focal import ClassRecall, focal_loss
from bench.training.split import Batch


def parts(recipe: Recipe, num_emotions: int) -> tuple[int, int]:
    """Of a model's outputs, in this order: the number of logits, and the number of attributes."""
    return num_emotions if recipe.emotion_weight else 0, len(ATTRIBUTES) if recipe.attribute_weight else 0


def require_targets(recipe: Recipe, manifest: Manifest) -> None:
    """SuiteError where a recipe trains nothing, chooses by what it does not train, or what a corpus lacks."""
    if not recipe.emotion_weight and not recipe.attribute_weight:
        raise SuiteError(
            "nothing to train: raise --recipe.emotion-weight or --recipe.attribute-weight above 0"
        )
    if recipe.focal.adaptive and not recipe.focal.gamma:
        raise SuiteError(
            "an adaptive focal loss follows recall up to --recipe.focal.gamma, which is 0; raise it or leave "
            "--recipe.focal.adaptive out"
        )
    if recipe.attribute_weight and not manifest.attributes:
        raise SuiteError(
            f"{manifest.corpus} does not rate {', '.join(ATTRIBUTES)}, which --recipe.attribute-weight "
            f"{recipe.attribute_weight:g} would train; set it to 0 or choose another corpus"
        )
    if recipe.select_by == "ccc" and not recipe.attribute_weight:
        raise SuiteError(
            "--recipe.select-by ccc chooses by the attributes, which are not trained; raise "
            "--recipe.attribute-weight above 0 or select by uar or macro_f1"
        )
    if recipe.select_by != "ccc" and not recipe.emotion_weight:
        raise SuiteError(
            f"--recipe.select-by {recipe.select_by} chooses by the emotions, which are not trained; select "
            "by ccc or raise --recipe.emotion-weight above 0"
        )


def loss(
    outputs: Tensor,
    batch: Batch,
    recipe: Recipe,
    class_weights: Tensor,
    stage: Stage = EVEN,
    recall: ClassRecall | None = None,
) -> Tensor:
    """The loss (scalar) of outputs (B, C + A); `class_weights` (C,) are used where the recipe says so.

    `stage` multiplies the recipe's weights; `recall`, which an adaptive focal loss asks for, takes note of
    the batch. Processes that share a batch all get the loss of the whole, with the gradients of their own
    part.
    """
    outputs = ranks.gathered(outputs.float())
    labels, attributes = ranks.gathered(batch.labels), ranks.gathered(batch.attributes)
    logits, scaled = outputs.split(parts(recipe, len(class_weights)), dim=1)
    total = outputs.new_zeros(())
    if recipe.emotion_weight:
        weights = class_weights if recipe.class_weights else None
        emotion_loss = _emotion_loss(logits, labels, recipe, weights, recall)
        total = total + recipe.emotion_weight * stage.emotion * emotion_loss
    if recipe.attribute_weight:
        total = total + recipe.attribute_weight * stage.attributes * concordance_loss(scaled, attributes)
    return total


def _emotion_loss(
    logits: Tensor, labels: Tensor, recipe: Recipe, weights: Tensor | None, recall: ClassRecall | None
) -> Tensor:
    gamma, smoothing = recipe.focal.gamma, recipe.label_smoothing
    if not gamma:
        return F.cross_entropy(logits, labels, weights, label_smoothing=smoothing)
    gammas = logits.new_full(logits.shape[1:], gamma)
    if recall is not None:
        gammas = recall.gammas(gamma)
        recall.update(logits, labels)
    return focal_loss(logits, labels, gammas, weights, smoothing)


def concordance_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean over attributes of 1 − CCC (scalar, float32), predicted (B, A) against truth (B, A).

    NaN in `truth` is unknown and left out. An attribute whose known values are fewer than two or all equal
    has no concordance to raise: it adds 0. One without any known value does not count in the mean.
    """
    known = ~truth.isnan()
    count = known.sum(0).clamp(min=1)
    x, y = _centred(predicted.float(), known, count), _centred(truth.float(), known, count)
    gap = (torch.where(known, predicted.float() - truth, 0).sum(0) / count) ** 2
    spread = (x * x).sum(0) / count + (y * y).sum(0) / count + gap
    varied = torch.where(known, truth, torch.inf).amin(0) < torch.where(known, truth, -torch.inf).amax(0)
    concordance = 2 * (x * y).sum(0) / count / torch.where(varied, spread, 1)
    return torch.where(varied, 1 - concordance, 0).sum() / known.any(0).sum().clamp(min=1)


def _centred(values: Tensor, known: Tensor, count: Tensor) -> Tensor:
    """Values (B, A) less the mean of the known ones; 0 where unknown."""
    values = torch.where(known, values, 0)
    return torch.where(known, values - values.sum(0) / count, 0)
