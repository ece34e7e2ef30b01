"""The model of arXiv 2603.15120: frozen encoders, one mixer layer with nothing around it, and a deep head.

    speech: LayerNorm(Σ_l w_l h_l)     text: LayerNorm(h)          U = [speech; text] in time
    Y = mixer(dropout U)               c = Σ_t softmax_t(q · Y_t) Y_t          logits = head(c)

    model = build(features, Bare(), System(layout="kda", direction="causal"), num_outputs=8)

No residual, no norm after the mixer, no feed-forward, no positions, no projection: both encoders have the
mixer's width. q is one trained query, its product unscaled; where it starts is our choice (as a linear map
does), for the paper does not say.

`masked=False` is the study's model: neither mixer nor pooling knows which frames are padding. They stand
where the batch put them, the speech's before the text, and enter as zeros, so that an utterance's logits
depend on the lengths of its batch. `masked=True` mends that and nothing else.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from bench import config
from bench.errors import SuiteError
from bench.evidence.records import Parameters
from bench.features.encoders import Heard
from bench.model import mixer
from bench.model.front import LayerSum, joined
from bench.model.layout import expand
from bench.model.model import Encoded, Model, size
from bench.model.pooling import QueryPooling
from mixers.contract import silence


class BareModel(Model):
    """One mixer between frozen encoders and the head."""

    def __init__(
        self, features: config.Pretrained, settings: config.Bare, system: config.System, num_outputs: int
    ) -> None:
        """What systems share comes before the mixer, so that it starts from the same weights in all."""
        super().__init__()
        d = self.frame_width = self.pooled_width = settings.d_model
        self.masked = settings.masked
        self.layers = LayerSum(features)
        self.speech_norm = nn.LayerNorm(d)
        self.text_norm = nn.LayerNorm(d) if features.text else None
        self.dropout = nn.Dropout(settings.dropout)
        self.pooling = QueryPooling(d)
        self.head = _head(settings, num_outputs)
        (name,) = expand(system.layout, 1)
        self.mixer = mixer.build(name, settings, system.direction)

    def encode(self, heard: Heard) -> Encoded:
        """Hidden states (B, T, L, D), text (B, W, D) their masks → frames (B, T + W, D), pooled (B, D).

        The frames' mask is the one given, even where pooling does not know it; of speech and text joined, the
        one that pooling knows.
        """
        frames, mask, text, text_mask = heard
        seen, read = (mask, text_mask) if self.masked else (None, None)
        x = self.speech_norm(silence(self.layers(frames), mask))
        if self.text_norm is not None:
            assert text is not None
            x, seen = joined(x, seen, self.text_norm(silence(text, text_mask)), read)
        x = self.mixer(self.dropout(x), seen)
        real = mask if self.text_norm is None else seen
        return Encoded(x, real, self.pooling(x, seen))

    def parameter_counts(self) -> Parameters:
        """Trained parameters in all and in the mixer; there is no feed-forward."""
        return Parameters(total=size(self), mixers=size(self.mixer), feedforward_width=0)


def _head(settings: config.Bare, num_outputs: int) -> nn.Sequential:
    """Dropout, then layers of linear map, LayerNorm, GELU and dropout, then the outputs."""
    widths = [settings.d_model, *[settings.head_width] * (1 + settings.head_layers)]
    dropout = settings.head_dropout
    layers = [
        nn.Sequential(nn.Linear(before, after), nn.LayerNorm(after), nn.GELU(), nn.Dropout(dropout))
        for before, after in pairwise(widths)
    ]
    return nn.Sequential(nn.Dropout(dropout), *layers, nn.Linear(widths[-1], num_outputs))


def build(
    features: config.AnyFeatures, settings: config.Bare, system: config.System, num_outputs: int
) -> BareModel:
    """An untrained model, drawn from torch's global random stream.

    SuiteError where the features are not those of frozen encoders of the mixer's width, or the layout is not
    one mixer.
    """
    if not isinstance(features, config.Pretrained):
        raise SuiteError("the bare model reads hidden states of a pretrained speech encoder; name one")
    for extractor in filter(None, (features.speech, features.text)):
        if extractor.width != settings.d_model:
            raise SuiteError(
                f"{extractor.name} has a hidden size of {extractor.width}, which does not fit the bare "
                f"model's width of {settings.d_model}, for it has no projection; choose an encoder of that "
                "size or change --encoder.d-model"
            )
    return BareModel(features, settings, system, num_outputs)
