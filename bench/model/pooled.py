"""A speech encoder's hidden states, pooled: the mobile DistilHuBERT system, and no mixer.

    model = build(features, Pooled(), System(layout="pooled"), num_outputs=4)
    logits = model(states, mask)            # (B, T, L, D), (B, T) → (B, 4)

    x_t = Σ_l w_l h_{l,t} ;  c = pooling over real frames of x ;  logits = W Dropout(LayerNorm c) + b

arXiv 2512.23435 does not say how it pools: attentive pooling here (`bench.model.pooling`), or the mean of the
real frames. In that system the speech encoder is trained too, and stands in front (`bench.model.tuned`).
"""

from __future__ import annotations

from torch import nn

from bench import config
from bench.errors import SuiteError
from bench.evidence.records import Parameters
from bench.features.encoders import Heard
from bench.model.front import LayerSum
from bench.model.model import Encoded, Model, size
from bench.model.pooling import AttentivePooling, MeanPooling

ATTENTION_WIDTH = 128  # of attentive pooling's hidden layer


class PooledStates(Model):
    """Layer sum, pooling, norm, linear head."""

    def __init__(self, features: config.Pretrained, settings: config.Pooled, num_outputs: int) -> None:
        super().__init__()
        d = self.frame_width = features.width
        attentive = settings.pooling == "attentive"
        self.layers = LayerSum(features)
        self.pooling = AttentivePooling(d, ATTENTION_WIDTH) if attentive else MeanPooling()
        pooled = self.pooled_width = 2 * d if attentive else d
        self.head = nn.Sequential(
            nn.LayerNorm(pooled), nn.Dropout(settings.dropout), nn.Linear(pooled, num_outputs)
        )

    def encode(self, heard: Heard) -> Encoded:
        """Hidden states (B, T, L, D) and their mask (B, T) → frames (B, T, D), pooled (B, P)."""
        x = self.layers(heard.frames)
        return Encoded(x, heard.mask, self.pooling(x, heard.mask))

    def parameter_counts(self) -> Parameters:
        """Trained parameters in all; there are no mixers and no feed-forward."""
        return Parameters(total=size(self), mixers=0, feedforward_width=0)


def build(features: config.AnyFeatures, settings: config.Pooled, num_outputs: int) -> PooledStates:
    """An untrained model, drawn from torch's global random stream; SuiteError for other features."""
    if not isinstance(features, config.Pretrained) or features.text is not None:
        raise SuiteError(
            "layout 'pooled' pools the hidden states of a speech encoder, and of no text; "
            "train it with `serbench run mobile`"
        )
    return PooledStates(features, settings, num_outputs)
