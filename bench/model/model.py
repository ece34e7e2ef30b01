"""What every model of the suite is, and which one a cell describes.

model = build(cell.features, cell.encoder, cell.system, num_outputs=8)
outputs = model(frames, mask)                # (B, T, M), (B, T) → (B, 8)
model.parameter_counts().total
"""

from __future__ import annotations

from torch import Tensor, nn

from bench import config
from bench.evidence.records import Parameters


class Model(nn.Module):
    """From features to one row of outputs an utterance: emotion logits, then attributes where trained."""

    def forward(
        self,
        frames: Tensor,
        mask: Tensor | None = None,
        text: Tensor | None = None,
        text_mask: Tensor | None = None,
    ) -> Tensor:
        """(B, num_outputs) of frames (B, T, M), or hidden states (B, T, L, M) of L layers.

        `text` (B, W, N) holds one row a token. Masks (B, T) and (B, W) are bool, True where real; without
        one, all are.
        """
        raise NotImplementedError

    def parameter_counts(self) -> Parameters:
        """Trained parameters in all and in the mixers, and the feed-forward width (0 where there is none)."""
        raise NotImplementedError


def build(
    features: config.AnyFeatures, encoder: config.AnyEncoder, system: config.System, num_outputs: int
) -> Model:
    """An untrained model, drawn from torch's global random stream; SuiteError where the parts do not fit."""
    from bench.model import bare, layout, recogniser, recurrent

    layout.check(system, encoder)
    if isinstance(encoder, config.Recurrent):
        return recurrent.build(features, encoder, system, num_outputs)
    if isinstance(encoder, config.Bare):
        return bare.build(features, encoder, system, num_outputs)
    assert isinstance(encoder, config.Encoder)
    return recogniser.build(features, encoder, system, num_outputs)


def size(module: nn.Module) -> int:
    """Parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())
