"""What becomes of a batch before the students hear it, once for the whole cohort.

    listening = build(cell, normaliser, encoders)
    heard = listening(batch, rng)              # training: with augmentation
    student.model(*listening(batch))           # scoring

Log-mels and cepstra are augmented and normalised. Hidden states come either from the frozen encoders, which
run here on the batch's samples, without gradient and in the recipe's precision, or from the cache, and are
widened to that precision once. The encoders are no part of this module's weights: they stand in no
checkpoint, and are resolved again by name and digest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.config import Augmentation, Cell, Pretrained, Recipe
from bench.errors import SuiteError
from bench.features.backbones import HOP, RECEPTIVE_FIELD
from bench.features.encoders import Encoders, Heard
from bench.features.normaliser import Normaliser
from bench.training.augmentation import augment
from bench.training.split import Batch


class Listening(nn.Module):
    """From a batch to what every student hears."""

    hop_ms: float
    slow_to_read = False  # whether batches are worth reading ahead
    hop, field = 1, 1  # rows of a batch from frame to frame, and rows that a frame sees

    def forward(self, batch: Batch, rng: torch.Generator | None = None) -> Heard:
        """`rng` (CPU) draws the augmentation; without it there is none. An empty batch stays as it is."""
        raise NotImplementedError

    def frames(self, seconds: float) -> int:
        """Frames in so many seconds."""
        return round(seconds * 1000 / self.hop_ms)


class Normalised(Listening):
    """Log-mels or cepstra (B, T, M), augmented, with the statistics of the training split."""

    mean: Tensor
    std: Tensor

    def __init__(self, settings: Augmentation, hop_ms: float, normaliser: Normaliser) -> None:
        super().__init__()
        self.settings, self.hop_ms = settings, hop_ms
        self.register_buffer("mean", torch.as_tensor(normaliser.mean, dtype=torch.float32))
        self.register_buffer("std", torch.as_tensor(normaliser.std, dtype=torch.float32))

    def forward(self, batch: Batch, rng: torch.Generator | None = None) -> Heard:
        """See `Listening`."""
        frames, mask = batch.frames, batch.mask
        if not len(frames):
            return Heard(frames, mask)
        if rng is not None:
            frames, mask = augment(frames, mask, self.settings, self.hop_ms, self.mean, rng)
        return Heard((frames - self.mean) / self.std, mask)


class Hidden(Listening):
    """Hidden states (B, T, L, M) of frozen encoders, run here or cached."""

    slow_to_read = True

    def __init__(self, features: Pretrained, recipe: Recipe, encoders: Encoders | None) -> None:
        """`encoders`: None where batches hold cached states."""
        super().__init__()
        check_augmentation(features, recipe)
        self.hop_ms, self.reads_text = features.hop_ms, features.text is not None
        self.dtype = torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32
        self.outside = () if encoders is None else (encoders,)  # a tuple, so that they are no submodule
        if encoders is not None:  # which run on samples
            self.hop, self.field = HOP, RECEPTIVE_FIELD

    def forward(self, batch: Batch, rng: torch.Generator | None = None) -> Heard:
        """See `Listening`; nothing is augmented."""
        if not len(batch.frames):
            return Heard(batch.frames, batch.mask)
        heard = Heard(batch.frames, batch.mask, batch.text, batch.text_mask)
        for encoders in self.outside:
            heard = self._encoded(encoders, batch)
        text = None if heard.text is None else heard.text.to(self.dtype)
        return Heard(heard.frames.to(self.dtype), heard.mask, text, heard.text_mask)

    def _encoded(self, encoders: Encoders, batch: Batch) -> Heard:
        device = batch.frames.device
        if next(encoders.parameters()).device != device:
            encoders.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            return encoders(batch.frames, batch.mask, batch.transcripts)


def build(cell: Cell, normaliser: Normaliser | None, encoders: Encoders | None = None) -> Listening:
    """What a cell's cohort hears; SuiteError where its augmentation cannot act on its features."""
    if isinstance(cell.features, Pretrained):
        return Hidden(cell.features, cell.recipe, encoders)
    assert normaliser is not None
    return Normalised(cell.recipe.augmentation, cell.features.hop_ms, normaliser)


def check_augmentation(features: object, recipe: Recipe) -> None:
    """SuiteError where hidden states would be augmented: every setting acts on log-mels alone."""
    if not isinstance(features, Pretrained):
        return
    chosen = [name for name, value in recipe.augmentation if value and name not in EXTENTS]
    if chosen:
        flags = " ".join(f"--recipe.augmentation.{name.replace('_', '-')} 0" for name in chosen)
        raise SuiteError(
            f"augmentation acts on log-mels, and these features are hidden states of {features.speech.name}; "
            f"switch it off: {flags}"
        )


EXTENTS = ("time_mask_s", "mel_mask_bins")  # say how large a mask is, not whether there is one
