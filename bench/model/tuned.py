"""A student that hears samples: a speech encoder of its own, trained with whatever reads its hidden states.

    model = whole(cell.features, cell.encoder, cell.system, num_outputs, speech)
    logits = model(samples, mask)          # (B, N), (B, N) bool → (B, num_outputs)
    logits = model(samples)                # all as long as the batch: nothing asks for lengths, as in export

Any model of hidden states can stand behind it: a layout of mixers, the bare model, pooling alone. What of
the encoder is trained: `bench.config.Pretrained.tuned`. Its own masking of hidden states in training
(SpecAugment) is off: masks are the recipe's (`bench.training.waveform`).
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from bench import config
from bench.evidence.records import Parameters
from bench.features.encoders import Heard
from bench.features.speech import SpeechEncoder
from bench.model.model import Encoded, Model, build, size


class TrainedSpeech(SpeechEncoder):
    """A copy of a frozen speech encoder that learns."""

    def __init__(self, frozen: SpeechEncoder, part: str) -> None:
        """`part`: "transformer" (all but the convolutions) or "all"."""
        super().__init__(copy.deepcopy(frozen.backbone), frozen.extractor, frozen.layers)
        self.backbone.unfreeze(convolutions=part == "all")
        self.train()

    def train(self, mode: bool = True) -> TrainedSpeech:
        """As any module, where the frozen one stays in evaluation mode."""
        nn.Module.train(self, mode)
        return self


class Tuned(Model):
    """Samples (B, N) at 16 kHz → hidden states → the outputs of `reader`."""

    def __init__(self, speech: TrainedSpeech, reader: Model) -> None:
        super().__init__()
        self.speech, self.reader = speech, reader
        self.frame_width, self.pooled_width = reader.frame_width, reader.pooled_width

    def encode(self, heard: Heard) -> Encoded:
        """Samples (B, N) and which of them are real (B, N), each clip's first → what the reader encodes."""
        if heard.mask is None:
            return self.reader.encode(Heard(self.speech.unpadded(heard.frames)))
        return self.reader.encode(Heard(*self.speech.encode(heard.frames, heard.mask.sum(1))))

    def read(self, encoded: Encoded) -> Tensor:
        """(B, num_outputs) of encoded utterances."""
        return self.reader.read(encoded)

    def parameter_counts(self) -> Parameters:
        """Those of the reader, and the speech encoder's added to the total."""
        counts = self.reader.parameter_counts()
        return counts.model_copy(update={"total": counts.total + size(self.speech)})


def is_tuned(features: config.AnyFeatures) -> bool:
    """Whether each student trains a speech encoder of its own."""
    return isinstance(features, config.Pretrained) and features.tuned != "nothing"


def whole(
    features: config.AnyFeatures,
    encoder: config.AnyEncoder,
    system: config.System,
    num_outputs: int,
    speech: SpeechEncoder | None = None,
) -> Model:
    """The model of a cell, with a copy of the encoder `speech` in front where its features are tuned."""
    model = build(features, encoder, system, num_outputs)
    if not isinstance(features, config.Pretrained) or not is_tuned(features):
        return model
    assert speech is not None
    return Tuned(TrainedSpeech(speech, features.tuned), model)
