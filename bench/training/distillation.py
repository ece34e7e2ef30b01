"""Learning from a trained recogniser: its probabilities, and its pooled vectors.

    teacher = Teacher(trained, normaliser)
    taught = teacher(heard)                                 # once a batch, for all students
    learner = Learner(student.model, teacher)               # trained with the student, and left behind
    learner.losses(logits, encoded.pooled, taught, temperature=2.0)

    logits     τ² · KL(softmax(z_t / τ) ‖ softmax(z_s / τ))      Hinton et al. 2015, arXiv 1503.02531, §2
    features   mean over dimensions of (W p_s + b − p_t)²        hints of Romero et al. 2015, arXiv 1412.6550

z are emotion logits and p the vectors that the heads read. The teacher is frozen and hears what the students
hear, augmented and cropped alike.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.config import Recipe
from bench.features.encoders import Heard
from bench.features.normaliser import Normaliser
from bench.features.pretrained import Frozen
from bench.model.model import Model
from bench.training.checkpoint import Trained
from bench.training.tasks import Losses


class Taught(NamedTuple):
    """What a teacher makes of a batch: emotion logits (B, C) and pooled vectors (B, P)."""

    logits: Tensor
    pooled: Tensor


class Teacher(Frozen):
    """A trained recogniser, hearing features in the students' normalisation."""

    def __init__(self, trained: Trained, normaliser: Normaliser | None) -> None:
        """`normaliser` is the students'; None for hidden states, which have none."""
        super().__init__()
        self.model, self.num_emotions = trained.model, len(trained.emotions)
        self.renormalise = None
        if normaliser is not None and trained.normaliser is not None:
            self.renormalise = Renormalise(normaliser, trained.normaliser)
        self.freeze()

    @torch.no_grad()
    def forward(self, heard: Heard) -> Taught:
        """What the teacher makes of a batch that students hear; it may be empty."""
        if not len(heard.frames):
            none = heard.frames.new_zeros
            return Taught(none(0, self.num_emotions), none(0, self.model.pooled_width))
        if self.renormalise is not None:
            heard = heard._replace(frames=self.renormalise(heard.frames))
        encoded = self.model.encode(heard)
        return Taught(self.model.read(encoded)[:, : self.num_emotions].float(), encoded.pooled.float())


class Renormalise(nn.Module):
    """Frames (…, M) that one normaliser has made, as another would have."""

    scale: Tensor
    shift: Tensor

    def __init__(self, made: Normaliser, wanted: Normaliser) -> None:
        super().__init__()
        self.register_buffer("scale", torch.from_numpy(made.std / wanted.std))
        self.register_buffer("shift", torch.from_numpy((made.mean - wanted.mean) / wanted.std))

    def forward(self, frames: Tensor) -> Tensor:
        return frames * self.scale + self.shift


class Learner(nn.Module):
    """A student's linear map to the teacher's vectors, and its distance from the teacher."""

    def __init__(self, model: Model, teacher: Teacher, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        width = teacher.model.pooled_width
        self.map = nn.Linear(model.pooled_width, width) if recipe.feature_weight else None

    def losses(self, logits: Tensor, pooled: Tensor, taught: Taught) -> dict[str, Losses]:
        """The losses of a batch with emotion logits (B, C) and pooled vectors (B, P)."""
        found = {}
        if self.recipe.logit_weight:
            found["logits"] = _all(divergence(logits.float(), taught.logits, self.recipe.temperature))
        if self.map is not None:
            found["features"] = _all((self.map(pooled).float() - taught.pooled).square().mean(1))
        return found


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """τ² · KL of the students' probabilities from the teacher's, (B,), from logits (B, C)."""
    ours, theirs = (F.log_softmax(logits / temperature, -1) for logits in (student, teacher))
    return temperature**2 * F.kl_div(ours, theirs, reduction="none", log_target=True).sum(-1)


def _all(values: Tensor) -> Losses:
    return Losses(values, torch.ones_like(values, dtype=torch.bool))
