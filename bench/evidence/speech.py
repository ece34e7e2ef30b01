"""How much speech one timed call takes in: arithmetic on a shape, shared by those who measure and who report.

speech_s(shape, batch=4)            # four utterances of shape.seconds; or the next frame of a stream
"""

from __future__ import annotations

from bench.config import STREAMS
from bench.evidence.records import Shape


def utterances_s(shape: Shape, batch: int) -> tuple[float, ...]:
    """Lengths of the utterances of one call: those of a ragged batch, or `batch` equal ones."""
    return shape.utterances_s or (shape.seconds,) * batch


def stream_frames(shape: Shape) -> int:
    """New frames of one call of a stream: one, or those of a second (at least one)."""
    if shape.work == "frame":
        return 1
    return max(1, round(1000 / (shape.features.hop_ms * shape.encoder.subsampling)))


def speech_s(shape: Shape, batch: int) -> float:
    """Seconds of speech that one call takes in, summed over its batch."""
    if shape.work in STREAMS:
        return stream_frames(shape) * shape.features.hop_ms * shape.encoder.subsampling / 1000
    return sum(utterances_s(shape, batch))
