"""Which computation turns a waveform into the frames that a cell asks for.

frames = transform(cell.features)(torch.from_numpy(samples))      # (N,) → (T, M) float32
"""

from __future__ import annotations

from torch import nn

from bench.config import AnyFeatures, Cepstra, Features
from bench.errors import SuiteError


def transform(features: AnyFeatures) -> nn.Module:
    """The module from samples (N,) to frames (T, M) of these settings; SuiteError where they do not fit."""
    from bench.features.cepstra import Cepstral
    from bench.features.logmel import LogMel

    if isinstance(features, Features):
        return LogMel(features)
    if isinstance(features, Cepstra):
        return Cepstral(features)
    raise SuiteError(f"features: no computation for {type(features).__name__}")
