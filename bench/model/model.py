"""What every model of the suite is, and which one a cell describes.

    model = build(cell.features, cell.encoder, cell.system, num_outputs=8)
    outputs = model(frames, mask)                # (B, T, M), (B, T) → (B, 8)
    model.parameter_counts().total

On the way to its outputs it has encoded frames and one pooled vector an utterance, which other heads may
share in training (`bench.training.tasks`): `model.read(model.encode(Heard(frames, mask)))` is
`model(frames, mask)`.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from bench import config
from bench.evidence.records import Parameters
from bench.features.encoders import Heard


class Encoded(NamedTuple):
    """Frames (B, T', D), their mask (B, T') bool (None where none was given), and pooled vectors (B, P)."""

    frames: Tensor
    mask: Tensor | None
    pooled: Tensor


class Model(nn.Module):
    """From features to one row of outputs an utterance: emotion logits, then attributes where trained."""

    head: nn.Module  # (B, P) → (B, num_outputs)
    frame_width: int  # D of what `encode` gives
    pooled_width: int  # P

    def forward(
        self,
        frames: Tensor,
        mask: Tensor | None = None,
        text: Tensor | None = None,
        text_mask: Tensor | None = None,
    ) -> Tensor:
        """(B, num_outputs); arguments as in `Heard`."""
        return self.read(self.encode(Heard(frames, mask, text, text_mask)))

    def encode(self, heard: Heard) -> Encoded:
        """What the head reads, and the frames that it is pooled from."""
        raise NotImplementedError

    def read(self, encoded: Encoded) -> Tensor:
        """(B, num_outputs) of encoded utterances."""
        return self.head(encoded.pooled)

    def parameter_counts(self) -> Parameters:
        """Trained parameters in all and in the mixers, and the feed-forward width (0 where there is none)."""
        raise NotImplementedError


def build(
    features: config.AnyFeatures, encoder: config.AnyEncoder, system: config.System, num_outputs: int
) -> Model:
    """An untrained model, drawn from torch's global random stream; SuiteError where the parts do not fit."""
    from bench.model import bare, layout, pooled, recogniser, recurrent

    layout.check(system, encoder)
    if isinstance(encoder, config.Recurrent):
        return recurrent.build(features, encoder, system, num_outputs)
    if isinstance(encoder, config.Bare):
        return bare.build(features, encoder, system, num_outputs)
    if isinstance(encoder, config.Pooled):
        return pooled.build(features, encoder, num_outputs)
    assert isinstance(encoder, config.Encoder)
    return recogniser.build(features, encoder, system, num_outputs)


def size(module: nn.Module) -> int:
    """Parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())
