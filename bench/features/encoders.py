"""The frozen speech encoder of a cell and, where it reads text, the text encoder: run side by side.

encoders = Encoders.load(features, folders.models).to(device)
heard = encoders(samples, mask, transcripts)       # (B, N), (B, N) bool, B texts
model(*heard)                                      # hidden states, mask, text states, text mask
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from bench.config import Pretrained
from bench.features.pretrained import Frozen
from bench.features.speech import SpeechEncoder
from bench.features.text import TextEncoder


class Heard(NamedTuple):
    """What a model is given: frames (B, T, M), states (B, T, L, M) of L layers, or samples (B, T).

    `text` (B, W, D) holds one row a token. Masks (B, T) and (B, W) are bool, True where real; without one,
    all are.
    """

    frames: Tensor
    mask: Tensor | None = None
    text: Tensor | None = None
    text_mask: Tensor | None = None


class Encoders(Frozen):
    """Both encoders of some features."""

    def __init__(self, speech: SpeechEncoder, text: TextEncoder | None) -> None:
        super().__init__()
        self.speech, self.text = speech, text
        self.freeze()

    @classmethod
    def load(cls, features: Pretrained, models: Path | None) -> Encoders:
        """In float32 on the CPU; SuiteError as in `bench.features.pretrained.resolve`."""
        speech = SpeechEncoder.load(features.speech, features.layers, models)
        return cls(speech, None if features.text is None else TextEncoder.load(features.text, models))

    @torch.no_grad()
    def forward(self, samples: Tensor, mask: Tensor, transcripts: Sequence[str]) -> Heard:
        """Hidden states of samples (B, N) at 16 kHz, of which those of mask (B, N) are real, and of texts."""
        states, real = self.speech(samples, mask.sum(1))
        return Heard(states, real, *(self.text(transcripts) if self.text is not None else ()))
