"""Hidden states of a frozen speech encoder, 50 frames a second, for clips of any length.

    encoder = SpeechEncoder.load(features.speech, features.layers, folders.models).to(device)
    states, mask = encoder(waveforms)                 # clips (N_i,) at 16 kHz → (B, T, L, D), (B, T)
    states, mask = encoder(padded, lengths)           # (B, N) and N_i
    frames_of(16_000)                                 # 49

A clip of N samples has T = 1 + ⌊(max(N, 400) − 400) / 320⌋ frames, whichever the encoder: the count of
the convolutions of wav2vec 2.0 and its kin. What stands in padding never reaches a frame: a clip's
states are the same alone and in any batch. A clip of more than 30 s (`WINDOW_FRAMES`) is encoded in the
fewest windows of equal length, each attending to itself alone, so that memory grows with T and not T².
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from bench.config import Extractor
from bench.errors import SuiteError
from bench.features.backbones import HOP, RECEPTIVE_FIELD, WINDOW_FRAMES, Backbone, build
from bench.features.model_files import look
from bench.features.pretrained import Frozen, check_layers, resolve

Layers = Literal["free", "softmax", "last"] | int
PASS_FRAMES = 8 * WINDOW_FRAMES  # padded frames that are encoded at once


def frames_of(samples: int) -> int:
    """Frames of a clip of so many samples at 16 kHz."""
    return 1 + (max(samples, RECEPTIVE_FIELD) - RECEPTIVE_FIELD) // HOP


@dataclass(frozen=True)
class Window:
    """Frames `start` to `stop` of clip number `clip`, and the samples that they see."""

    clip: int
    start: int
    stop: int
    samples: Tensor

    @property
    def frames(self) -> int:
        """Its length."""
        return self.stop - self.start


class SpeechEncoder(Frozen):
    """Frozen WavLM, wav2vec 2.0, XLS-R, HuBERT, DistilHuBERT, or Whisper's encoder.

    Of L layers: all transformer layers for "free" and "softmax" (their weighted sum is the student's), one
    for "last" or a number from 1. The last layer's output is the model's, after its final norm.
    """

    def __init__(self, backbone: Backbone, extractor: Extractor, layers: Layers) -> None:
        """`extractor` describes `backbone`; see `load`."""
        super().__init__()
        self.backbone, self.extractor, self.layers = backbone, extractor, layers
        self.freeze()

    @classmethod
    def load(cls, extractor: Extractor, layers: Layers = "free", models: Path | None = None) -> SpeechEncoder:
        """In float32 on the CPU; SuiteError as in `pretrained.resolve`, or for a layer that it has not."""
        found = resolve(extractor, models, "speech")
        check_layers(found, layers)
        return cls(build(look(found.name, models, "speech")), found, layers)

    @torch.no_grad()
    def forward(
        self, waveforms: Sequence[Tensor] | Tensor, lengths: Sequence[int] | Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """States (B, T, L, D), zero where padded, and mask (B, T) bool, True where real.

        `waveforms`: clips (N_i,) at 16 kHz, or rows of (B, N) of which the first `lengths` samples are real.
        float32, or what autocast makes of it. SuiteError for a clip without samples.
        """
        return self.encode(waveforms, lengths)

    def encode(
        self, waveforms: Sequence[Tensor] | Tensor, lengths: Sequence[int] | Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The same, with gradients where they are wanted."""
        clips = self._clips(waveforms, lengths)
        frames = [frames_of(len(clip)) for clip in clips]
        states = None
        for windows in _passes(clips, self.backbone.padded_to):
            encoded = self._encode(windows)
            if states is None:
                states = encoded.new_zeros(len(clips), max(frames), *encoded.shape[2:])
            for window, row in zip(windows, encoded, strict=True):
                states[window.clip, window.start : window.stop] = row[: window.frames]
        assert states is not None
        mask = torch.arange(max(frames)) < torch.tensor(frames)[:, None]
        return states, mask.to(states.device)

    def unpadded(self, batch: Tensor) -> Tensor:
        """States (B, T, L, D) of clips (B, N) that fill a batch, N at most 30 s; with gradients."""
        return self._chosen(self.backbone.unpadded(self.backbone.prepare(batch), self._every()))

    def _clips(
        self, waveforms: Sequence[Tensor] | Tensor, lengths: Sequence[int] | Tensor | None
    ) -> list[Tensor]:
        """Each clip's own samples (N_i,), prepared, on this module's device, no shorter than a frame."""
        sizes = lengths.tolist() if isinstance(lengths, Tensor) else lengths
        rows = list(waveforms)
        if sizes is not None:
            rows = [row[:size] for row, size in zip(rows, sizes, strict=True)]
        if not all(map(len, rows)):
            raise SuiteError("speech encoder: a clip has no samples; leave it out (--skip-bad)")
        device = next(self.parameters()).device
        prepared = [self.backbone.prepare(row.to(device, torch.float32)) for row in rows]
        return [nn.functional.pad(row, (0, max(0, RECEPTIVE_FIELD - len(row)))) for row in prepared]

    def _encode(self, windows: list[Window]) -> Tensor:
        """States (P, T, L, D) of windows."""
        states = self._chosen(self.backbone([window.samples for window in windows], self._every()))
        return states[:, : max(window.frames for window in windows)]

    def _every(self) -> bool:
        """Whether more than the last layer is asked for."""
        return self.layers not in ("last", self.extractor.num_layers)

    def _chosen(self, outputs: tuple[Tensor, ...]) -> Tensor:
        """The layers (B, T, L, D) that are asked for, of those (B, T, D) that were computed."""
        one = isinstance(self.layers, int) and len(outputs) > 1
        return torch.stack([outputs[int(self.layers) - 1]] if one else list(outputs), dim=2)


def _passes(clips: Sequence[Tensor], padded_to: int) -> Iterator[list[Window]]:
    """All windows, those of like length together, at most `PASS_FRAMES` padded frames at once."""
    rest = [window for number, clip in enumerate(clips) for window in _windows(number, clip)]
    rest.sort(key=lambda window: window.frames, reverse=True)
    while rest:
        size = max(1, PASS_FRAMES // max(rest[0].frames, padded_to))
        yield rest[:size]
        rest = rest[size:]


def _windows(number: int, clip: Tensor) -> Iterator[Window]:
    """The fewest windows of equal length (to a frame); the last has what samples are left."""
    total = frames_of(len(clip))
    count = math.ceil(total / WINDOW_FRAMES)
    edges = [total * i // count for i in range(count + 1)]
    for start, stop in pairwise(edges):
        end = len(clip) if stop == total else HOP * (stop - 1) + RECEPTIVE_FIELD
        yield Window(number, start, stop, clip[HOP * start : end])
