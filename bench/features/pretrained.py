"""Frozen pretrained encoders: which files stand behind a name, and the model that they hold.

    extractor = resolve(Extractor(name="microsoft/wavlm-large"), models=None, use="speech")
    extractor.digest, extractor.width, extractor.num_layers
    features = resolve_features(cell.features, folders.models)        # speech and text

`bench.features.speech` and `bench.features.text` run them. The digest goes into every record, so that
other weights under the same name are noticed. Needs transformers (`pip install serbench[pretrained]`).
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from bench.config import Extractor, Pretrained
from bench.errors import SuiteError
from bench.features.kinds import Use
from bench.features.model_files import digest, look


class Frozen(nn.Module):
    """A module that is never trained: no gradient, and evaluation mode whatever its owner is set to."""

    def freeze(self) -> None:
        """To be called when all parts are there."""
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Frozen:
        """Evaluation mode, for either `mode`."""
        super().train(False)
        return self


def resolve(extractor: Extractor, models: Path | None, use: Use | None = None) -> Extractor:
    """`extractor` with its digest, width and number of layers, as its files have them.

    `models` is the models folder (None: SER_MODELS). SuiteError where the files cannot be had or used, are
    no encoder of `use`, or are not those that `extractor` already describes.
    """
    files = look(extractor.name, models, use)
    found = Extractor(
        name=extractor.name,
        digest=digest(files),
        width=files.config.hidden_size,
        num_layers=files.config.num_hidden_layers,
    )
    told = extractor.model_dump(exclude_defaults=True)
    if told.items() - found.model_dump().items():
        raise SuiteError(
            f"model {extractor.name}: the weights under this name are not those of the record "
            f"({_summary(extractor)} there, {_summary(found)} in {files.folder}); "
            "bring back the recorded files or give these a name of their own"
        )
    return found


def resolve_features(features: Pretrained, models: Path | None) -> Pretrained:
    """`features` with both extractors resolved; a text encoder named "" is none.

    SuiteError as in `resolve`, or where a layer is not there.
    """
    speech = resolve(features.speech, models, "speech")
    check_layers(speech, features.layers)
    text = resolve(features.text, models, "text") if features.text and features.text.name else None
    return features.model_copy(update={"speech": speech, "text": text})


def check_layers(extractor: Extractor, layers: str | int) -> None:
    """SuiteError where `layers` is the number of a layer that the resolved `extractor` has not."""
    if isinstance(layers, int) and layers > extractor.num_layers:
        raise SuiteError(
            f"model {extractor.name}: layer {layers} is asked for, and it has {extractor.num_layers}; "
            "choose another with --features.layers"
        )


def _summary(extractor: Extractor) -> str:
    return f"digest {extractor.digest or '–'}, width {extractor.width}, {extractor.num_layers} layers"
