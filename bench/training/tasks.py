"""Tasks beside emotion and attributes: heads that share the encoder in training, and are left behind.

    gender       cross-entropy of the speaker's gender, from the pooled vector
    transcript   CTC on the characters of what is said, from the frames

    targets = Targets.of(train, crop_frames)
    heads = Heads(student.model, cell, targets)
    for name, one in heads.losses(encoded, batch.positions).items():
        total = total + weights[name] * mean(one)

A trained recogniser has neither: its size, its export and its outputs are those of one trained without them.
Connectionist temporal classification is Graves et al. 2006. An encoder frame spans several feature
frames and spells as many characters at most: at 80 ms a frame, one would be too few for quick speech.
An utterance without a target, cropped (so that what is heard is not what was said) or too short for its
characters has no part in a task's loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.config import Cell, Pretrained, Recipe
from bench.corpora.manifest import NEARLY_ALL, Manifest
from bench.errors import SuiteError
from bench.evidence.groups import GENDERS
from bench.model.model import Encoded, Model
from bench.training import ranks
from bench.training.spelling import Alphabet
from bench.training.split import Split


class Losses(NamedTuple):
    """A loss of every utterance of a batch, (B,), and whether it has one, (B,) bool."""

    values: Tensor
    known: Tensor


def mean(one: Losses) -> Tensor:
    """Mean over the utterances that have a loss, of all processes together; 0 where none has."""
    values = ranks.gathered(torch.where(one.known, one.values.float(), 0))
    return values.sum() / ranks.gathered(one.known.float()).sum().clamp(min=1)


@dataclass(frozen=True)
class Targets:
    """What the training utterances are to be recognised as, by position in the split; on the CPU.

    `genders` (N,) int64, −1 where unknown; `spelled` the characters' numbers, int64 (W,) each, none where
    unknown; `whole` (N,) bool: heard from beginning to end.
    """

    genders: Tensor
    spelled: tuple[Tensor, ...]
    whole: Tensor
    alphabet: Alphabet

    @classmethod
    def of(cls, train: Split, crop_frames: int) -> Targets:
        """Those of a train split whose utterances are cropped to `crop_frames`."""
        transcripts = [str(text) for text in train.table["transcript"]]
        alphabet = Alphabet.of(transcripts)
        return cls(
            torch.from_numpy(train.genders),
            tuple(torch.tensor(alphabet.spelled(text), dtype=torch.int64) for text in transcripts),
            torch.from_numpy(np.asarray(train.lengths) <= crop_frames),
            alphabet,
        )


class Heads(nn.Module):
    """The heads of a recipe's further tasks, over one student's encoder."""

    def __init__(self, model: Model, cell: Cell, targets: Targets) -> None:
        super().__init__()
        recipe, self.targets, self.rate = cell.recipe, targets, cell.encoder.subsampling
        symbols = self.rate * (1 + len(targets.alphabet.characters))
        self.gender = nn.Linear(model.pooled_width, len(GENDERS)) if recipe.gender_weight else None
        self.transcript = nn.Linear(model.frame_width, symbols) if recipe.transcript_weight else None

    def losses(self, encoded: Encoded, positions: Tensor) -> dict[str, Losses]:
        """The losses of encoded utterances at `positions` (B,) of the train split, by task; B may be 0."""
        found, where = {}, positions.cpu()
        if self.gender is not None:
            labels = self.targets.genders[where].to(positions.device)
            logits = self.gender(encoded.pooled).float()
            values = F.cross_entropy(logits, labels, ignore_index=-1, reduction="none")
            found["gender"] = Losses(values, labels >= 0)
        if self.transcript is not None:
            found["transcript"] = self._spelling(encoded, where)
        return found

    def _spelling(self, encoded: Encoded, where: Tensor) -> Losses:
        """CTC a character."""
        assert self.transcript is not None
        rows = [self.targets.spelled[position] for position in where.tolist()]
        frames = _real_frames(encoded) * self.rate
        sizes = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        needed = torch.tensor([len(row) + _repeats(row) for row in rows], dtype=torch.int64)
        known = self.targets.whole[where] & (sizes > 0) & (needed <= frames.cpu())
        if not known.any():
            return Losses(encoded.pooled.new_zeros(len(rows)), known.to(encoded.pooled.device))
        scores = self.transcript(encoded.frames).float().unflatten(-1, (self.rate, -1)).flatten(1, 2)
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(scores.device)
        values = F.ctc_loss(
            scores.log_softmax(-1).transpose(0, 1),
            padded,
            frames,
            sizes.to(scores.device),
            reduction="none",
            zero_infinity=True,
        )
        return Losses(values / sizes.clamp(min=1).to(values), known.to(scores.device))


def _real_frames(encoded: Encoded) -> Tensor:
    """Real frames of each utterance, (B,) int64; they come first."""
    if encoded.mask is None:
        return encoded.pooled.new_full((len(encoded.pooled),), encoded.frames.shape[1], dtype=torch.int64)
    return encoded.mask.sum(1)


def _repeats(row: Tensor) -> int:
    """Characters like the one before: CTC puts a blank between them."""
    return sum(a == b for a, b in pairwise(row.tolist()))


def wanted(recipe: Recipe) -> bool:
    """Whether a recipe has tasks beside emotion and attributes."""
    return bool(recipe.gender_weight or recipe.transcript_weight)


def require_tasks(recipe: Recipe, features: object, manifest: Manifest) -> None:
    """SuiteError where a task lacks its targets, or would read them off its input."""
    columns = {"gender": recipe.gender_weight, "transcript": recipe.transcript_weight}
    for name, weight in columns.items():
        known = manifest.table[name] != ""
        if weight and known.mean() < NEARLY_ALL:
            raise SuiteError(
                f"{manifest.corpus}: {(~known).sum():,} of {len(known):,} utterances have no {name}, which "
                f"--recipe.{name}-weight {weight:g} would train; set it to 0, or complete the corpus"
            )
    if recipe.transcript_weight and isinstance(features, Pretrained) and features.text is not None:
        raise SuiteError(
            "--recipe.transcript-weight would train to spell a transcript that the model is given; set it "
            'to 0, or leave the text out (--features.text.name "")'
        )
