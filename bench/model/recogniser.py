"""The whole recogniser, features to emotion logits, and the rule that makes sizes equal.

    model = build(features, encoder, System(layout="retnet"), num_outputs=8)
    logits = model(frames, mask)            # (B, T, M), (B, T) → (B, 8)

`match="params"`: the softmax encoder sets the size (feed-forward width = ratio · d_model), and every
other layout gets the feed-forward width that brings its total nearest to it, so that no mixer wins by
being larger. `match="stock"`: every mixer has the size of its published layer, and every layout the softmax
encoder's feed-forward width.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from bench import config
from bench.errors import SuiteError
from bench.evidence.records import Parameters
from bench.features.encoders import Heard
from bench.model.encoder import Encoder
from bench.model.layout import expand
from bench.model.model import Encoded, Model, size
from bench.model.pooling import AttentivePooling


class Recogniser(Model):
    """Encoder, attentive pooling over real frames, linear head."""

    def __init__(self, encoder: Encoder, d_model: int, num_outputs: int, dropout: float) -> None:
        super().__init__()
        self.frame_width, self.pooled_width = d_model, 2 * d_model
        self.encoder = encoder
        self.pooling = AttentivePooling(d_model, d_model // 2)
        self.head = nn.Sequential(
            nn.LayerNorm(2 * d_model), nn.Dropout(dropout), nn.Linear(2 * d_model, num_outputs)
        )

    def encode(self, heard: Heard) -> Encoded:
        """Frames (B, ⌈T/subsampling⌉ + W, d_model), and their mean and deviation (B, 2·d_model)."""
        x, mask = self.encoder(*heard)
        return Encoded(x, mask, self.pooling(x, mask))

    def attention(
        self,
        frames: Tensor,
        mask: Tensor | None = None,
        text: Tensor | None = None,
        text_mask: Tensor | None = None,
    ) -> Tensor:
        """The share of each encoder frame in the pooled vector, (B, ⌈T/subsampling⌉ + W); 0 on padding."""
        return self.pooling.weights(*self.encoder(frames, mask, text, text_mask))

    def parameter_counts(self) -> Parameters:
        """Trained parameters in all, in the mixers, and the feed-forward width."""
        blocks = list(self.encoder.blocks)
        return Parameters(
            total=size(self),
            mixers=sum(size(block.get_submodule("mixer")) for block in blocks),
            feedforward_width=blocks[0].get_submodule("feedforward.1").out_features,  # type: ignore[arg-type]
        )


def build(
    features: config.AnyFeatures, encoder: config.Encoder, system: config.System, num_outputs: int
) -> Recogniser:
    """An untrained recogniser, drawn from torch's global random stream."""
    return _build(features, encoder, system, num_outputs, feedforward_width(encoder, system))


def feedforward_width(encoder: config.Encoder, system: config.System) -> int:
    """Hidden feed-forward width of a layout under the encoder's matching rule, whatever the features.

    SuiteError where the mixers alone outweigh the whole softmax encoder.
    """
    stock = round(encoder.feedforward_ratio * encoder.d_model)
    if encoder.match == "stock":
        return stock
    surplus = _weight(encoder, system) - _weight(
        encoder, config.System(layout="softmax", direction=system.direction)
    )
    width = stock - round(surplus / (encoder.num_layers * (2 * encoder.d_model + 1)))
    if width < 1:
        raise SuiteError(
            f"layout {system.layout!r} cannot be matched: its mixers hold {surplus:,} parameters more than "
            "softmax, and the feed-forward has fewer to give; raise --encoder.feedforward-ratio or use "
            "--encoder.match stock"
        )
    return width


def _build(
    features: config.AnyFeatures, encoder: config.Encoder, system: config.System, num_outputs: int, width: int
) -> Recogniser:
    names = expand(system.layout, encoder.num_layers)
    body = Encoder(encoder, features, names, system.direction, width)
    return Recogniser(body, encoder.d_model, num_outputs, encoder.dropout)


@cache
def _weight(encoder: config.Encoder, system: config.System) -> int:
    """Parameters of the recogniser at feed-forward width 1; built on no device, so it costs no memory.

    Of log-mels: the front is the same for all layouts, and a difference of two weights is what is asked.
    """
    with torch.device("meta"):
        return size(_build(config.Features(num_mels=1), encoder, system, 1, 1))
