"""What becomes of a batch before the students hear it, once for the whole cohort.

    listening = build(cell, normaliser, encoders)
    heard = listening(batch, rng)              # training: with augmentation
    student.model(*listening(batch))           # scoring

Log-mels and cepstra are augmented (`bench.training.speed` too) and normalised. Hidden states come
either from the frozen encoders, which run here on the batch's samples, without gradient and in the recipe's
precision, or from the cache, and are widened to that precision once. Students that train a speech encoder of
their own hear the samples. The encoders are no part of this module's weights: they stand in no checkpoint,
and are resolved again by name and digest.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.config import AnyFeatures, Augmentation, Cell, Cepstra, Pretrained, Recipe
from bench.errors import SuiteError
from bench.features.backbones import HOP, RECEPTIVE_FIELD
from bench.features.encoders import Encoders, Heard
from bench.features.normaliser import Normaliser
from bench.features.speech import SpeechEncoder
from bench.folders import Folders
from bench.model.tuned import is_tuned
from bench.training.augmentation import augment
from bench.training.speed import Player
from bench.training.split import Batch

ON_LOG_MELS = {"mel_masks", "mel_shift_bins", "gain_db"}  # settings of augmentation that act on these alone
ON_BOTH = {"time_masks", "time_stretch", "speed"}


class Listening(nn.Module):
    """From a batch to what every student hears."""

    hop_ms: float
    slow_to_read = False  # whether batches are worth reading ahead
    hop, field = 1, 1  # rows of a batch from frame to frame, and rows that a frame sees

    def forward(self, batch: Batch, rng: torch.Generator | None = None) -> Heard:
        """`rng` (CPU) draws the augmentation; without it there is none. An empty batch stays as it is."""
        raise NotImplementedError

    @property
    def speech(self) -> SpeechEncoder | None:
        """What students with a speech encoder of their own start from; None where they have none."""
        return None

    def frames(self, seconds: float) -> int:
        """Frames in so many seconds."""
        return round(seconds * 1000 / self.hop_ms)


class Normalised(Listening):
    """Log-mels or cepstra (B, T, M), augmented, with the statistics of the training split."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, settings: Augmentation, hop_ms: float, normaliser: Normaliser, player: Player | None = None
    ) -> None:
        """`player` is for training that hears at random speeds."""
        super().__init__()
        self.settings, self.hop_ms, self.player = settings, hop_ms, player
        self.register_buffer("mean", torch.as_tensor(normaliser.mean, dtype=torch.float32))
        self.register_buffer("std", torch.as_tensor(normaliser.std, dtype=torch.float32))

    def forward(self, batch: Batch, rng: torch.Generator | None = None) -> Heard:
        """See `Listening`."""
        frames, mask = batch.frames, batch.mask
        if not len(frames):
            return Heard(frames, mask)
        if rng is not None and self.player is not None:
            frames, mask = self.player(frames, mask, rng)
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


class Samples(Listening):
    """Samples (B, N) as they are, for students with a speech encoder of their own."""

    slow_to_read = True
    hop, field = HOP, RECEPTIVE_FIELD

    def __init__(self, features: Pretrained, recipe: Recipe, encoders: Encoders) -> None:
        super().__init__()
        check_augmentation(features, recipe)
        self.hop_ms = features.hop_ms
        self.outside = (encoders.speech,)  # no submodule: every student has a copy of its own

    @property
    def speech(self) -> SpeechEncoder:
        """See `Listening`."""
        return self.outside[0]

    def forward(self, batch: Batch, rng: torch.Generator | None = None) -> Heard:
        """See `Listening`; whatever is augmented was so when it was read."""
        return Heard(batch.frames, batch.mask)


def build(cell: Cell, normaliser: Normaliser | None, encoders: Encoders | None = None) -> Listening:
    """What a cell's cohort hears; SuiteError where its augmentation cannot act on its features."""
    features, augmentation = cell.features, cell.recipe.augmentation
    if isinstance(features, Pretrained) and is_tuned(features):
        assert encoders is not None
        return Samples(features, cell.recipe, encoders)
    if isinstance(features, Pretrained):
        return Hidden(features, cell.recipe, encoders)
    check_augmentation(features, cell.recipe)
    assert normaliser is not None
    spread = augmentation.speed
    player = Player(features, spread) if spread else None
    return Normalised(augmentation, features.hop_ms, normaliser, player)


def read_with(recipe: Recipe, folders: Folders) -> Folders:
    """`folders` with the feature plan that augmented samples allow: on the fly, as no two passes are alike.

    SuiteError where a cache is asked for.
    """
    if not recipe.waveform.chosen:
        return folders
    if folders.feature_plan == "cache":
        raise SuiteError(
            "hidden states of augmented waveforms differ from pass to pass and cannot be cached; "
            "choose --feature-plan fly, or no effects"
        )
    return replace(folders, feature_plan="fly")


def check_augmentation(features: AnyFeatures, recipe: Recipe) -> None:
    """SuiteError where a setting would act on features that it is not made for."""
    if recipe.waveform.chosen and not isinstance(features, Pretrained):
        flags = " ".join(f"--recipe.waveform.{name.replace('_', '-')} 0" for name in recipe.waveform.chosen)
        raise SuiteError(
            "augmentation of the waveform is for features of a pretrained speech encoder, as others are "
            f"cached once; switch it off: {flags}"
        )
    name, wanted, unfit = _unfit(features)
    chosen = [each for each, value in recipe.augmentation if value and each in unfit]
    if chosen:
        flags = " ".join(f"--recipe.augmentation.{each.replace('_', '-')} 0" for each in chosen)
        raise SuiteError(
            f"augmentation acts on {wanted}, and these features are {name}; switch it off: {flags}"
        )


def _unfit(features: AnyFeatures) -> tuple[str, str, set[str]]:
    """What the features are, what is augmented instead, and by which settings."""
    if isinstance(features, Pretrained):
        of = f"hidden states of {features.speech.name}"
        return of, "log-mels or cepstra", ON_LOG_MELS | ON_BOTH
    if isinstance(features, Cepstra):
        return "cepstra", "log-mels with these settings", ON_LOG_MELS
    return "log-mels", "", set()
