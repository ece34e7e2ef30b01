"""How many samples, frames and tokens an utterance of a shape has: arithmetic alone, no torch.

encoder_frames(shape)               # T of a mixer that is timed alone
"""

from __future__ import annotations

import math

from bench.config import Pretrained
from bench.evidence.records import Shape

TOKENS_PER_S = 3  # of text, where there is text: 150 words a minute, 1.2 tokens a word


def samples(shape: Shape, seconds: float) -> int:
    """Samples of a waveform of this length."""
    return max(1, round(seconds * shape.features.sample_rate_hz))


def input_frames(shape: Shape, seconds: float | None = None) -> int:
    """Frames of features in an utterance of this length; without one, of the shape's."""
    length = shape.seconds if seconds is None else seconds
    return max(1, round(length * 1000 / shape.features.hop_ms))


def text_tokens(shape: Shape, seconds: float | None = None) -> int:
    """Tokens of text beside such an utterance; 0 where the model reads none."""
    if not isinstance(shape.features, Pretrained) or shape.features.text is None:
        return 0
    return max(1, round((shape.seconds if seconds is None else seconds) * TOKENS_PER_S))


def encoder_frames(shape: Shape, seconds: float | None = None) -> int:
    """Frames that reach the mixers, text after speech; hence T of a mixer that is timed alone."""
    speech = math.ceil(input_frames(shape, seconds) / shape.encoder.subsampling)
    return speech + text_tokens(shape, seconds)
