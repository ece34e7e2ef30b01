"""A trained recogniser on disk: its cell, weights, normaliser and what it recognises; no code is ever loaded.

trained = checkpoint.load(Path("results/checkpoints/<id>.pt"))
trained.probabilities(waveform)         # emotion → probability
trained.recognise(waveform)             # these, and attribute → value
trained.recognise(waveform, "so what")  # of a model that reads what is said
trained.model(*trained.hear(waveform))  # outputs as they leave the model
checkpoint.about(path).cell             # without reading the weights

Frozen encoders are no part of a checkpoint: they are loaded by name, and refused where their digest differs.
One that was trained is, with low-rank updates merged; its files say how it is built.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.attributes import ATTRIBUTES, from_unit
from bench.config import Cell, Pretrained
from bench.errors import SuiteError
from bench.evidence.store import atomic
from bench.features.encoders import Encoders, Heard
from bench.features.hub import first_line
from bench.features.normaliser import Normaliser
from bench.features.speech import SpeechEncoder
from bench.features.transform import transform
from bench.model.lora import merged
from bench.model.model import Model
from bench.model.tuned import is_tuned, whole
from bench.training.losses import parts


class About(NamedTuple):
    """What a checkpoint says of itself: what was trained, and what it tells apart and predicts."""

    cell: Cell
    emotions: tuple[str, ...]  # none where attributes alone are trained
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Trained:
    """A recogniser ready for use."""

    cell: Cell
    model: Model
    normaliser: Normaliser | None  # of log-mels and cepstra
    emotions: tuple[str, ...]  # none where attributes alone are trained
    attributes: tuple[str, ...] = ()
    encoders: Encoders | None = None  # of hidden states

    @property
    def reads_text(self) -> bool:
        """Whether transcripts have a say."""
        return self.encoders is not None and self.encoders.text is not None

    @torch.inference_mode()
    def recognise(self, waveform: np.ndarray, transcript: str = "") -> dict[str, float]:
        """Probability of every emotion, then every attribute on its corpus's scale, of one utterance.

        `waveform` is mono float32 at `cell.features.sample_rate_hz`. `transcript` matters to a model that
        reads text.
        """
        widths = parts(self.cell.recipe, len(self.emotions))
        logits, scaled = self.model(*self.hear(waveform, transcript))[0].split(widths)
        values = from_unit(scaled).tolist()
        probabilities = dict(zip(self.emotions, logits.softmax(-1).tolist(), strict=True))
        return probabilities | {name: values[ATTRIBUTES.index(name)] for name in self.attributes}

    def probabilities(self, waveform: np.ndarray, transcript: str = "") -> dict[str, float]:
        """The emotions of `recognise` alone."""
        recognised = self.recognise(waveform, transcript)
        return {emotion: recognised[emotion] for emotion in self.emotions}

    def hear(self, waveform: np.ndarray, transcript: str = "") -> Heard:
        """What `model` is given of one utterance: frames (1, T, M), mask, perhaps text."""
        samples = torch.from_numpy(waveform)
        if self.encoders is not None:
            return self.encoders(samples[None], torch.ones(1, len(samples), dtype=torch.bool), [transcript])
        if is_tuned(self.cell.features):
            return Heard(samples[None], torch.ones(1, len(samples), dtype=torch.bool))
        assert self.normaliser is not None
        frames = np.asarray(self.normaliser(transform(self.cell.features)(samples).numpy()), np.float32)
        return Heard(torch.from_numpy(frames)[None], torch.ones(1, len(frames), dtype=torch.bool))


def save(
    path: Path,
    cell: Cell,
    weights: dict[str, Tensor],
    normaliser: Normaliser | None,
    emotions: tuple[str, ...],
    attributes: tuple[str, ...] = (),
) -> None:
    """Write a checkpoint atomically; `normaliser` is None for hidden states."""
    content = {
        "cell": cell.model_dump_json(),
        "weights": {name: value.cpu() for name, value in merged(weights, cell.recipe.lora).items()},
        **_statistics(normaliser),
        "emotions": list(emotions),
        "attributes": list(attributes),
    }
    with atomic(path) as temporary, temporary.open("wb") as file:  # an open file, whose errors say why
        torch.save(content, file)


def _statistics(normaliser: Normaliser | None) -> dict[str, Tensor]:
    if normaliser is None:
        return {}
    return {"mean": torch.as_tensor(normaliser.mean), "std": torch.as_tensor(normaliser.std)}


def load(path: Path, models: Path | None = None) -> Trained:
    """Read a checkpoint (weights only: a pickle that would run code is refused) as an eval-mode model.

    `models` holds pretrained encoders (None: SER_MODELS); SuiteError where those of the checkpoint are not
    there, or others stand under their name.
    """
    trained = load_model(path, models)
    features = trained.cell.features
    if not isinstance(features, Pretrained) or is_tuned(features):
        return trained
    return replace(trained, encoders=Encoders.load(features, models))


def about(path: Path) -> About:
    """What stands beside the weights of a checkpoint, which stay on disk; SuiteError where it is none."""
    content = _read(path, weights_on_disk=True)
    with _of_this_version(path):
        return _said(content)


def _said(content: dict[str, Any]) -> About:
    cell = Cell.model_validate_json(content["cell"])
    attributes = content.get("attributes", ())  # older checkpoints have none
    return About(cell, tuple(content["emotions"]), tuple(attributes))


def load_model(path: Path, models: Path | None = None) -> Trained:
    """`load` without frozen encoders: for who has heard already."""
    content = _read(path)
    with _of_this_version(path):
        cell, emotions, attributes = _said(content)
        num_outputs = sum(parts(cell.recipe, len(emotions)))
        speech = _untrained(cell, models)
        model = whole(cell.features, cell.encoder, cell.system, num_outputs, speech)
        model.load_state_dict(content["weights"])
        hidden = isinstance(cell.features, Pretrained)
        normaliser = None if hidden else Normaliser(content["mean"].numpy(), content["std"].numpy())
        return Trained(cell, model.eval(), normaliser, emotions, attributes)


def digest(path: Path) -> str:
    """First 16 hex digits of the SHA-256 of what a checkpoint holds, however its file is packed."""
    content = _read(path)
    found = hashlib.sha256()
    with _of_this_version(path):
        tensors = content["weights"] | {name: content[name] for name in ("mean", "std") if name in content}
        said = [content["cell"], content["emotions"], list(content.get("attributes", ()))]
        found.update(json.dumps(said).encode())
        for name, tensor in sorted(tensors.items()):
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def intact(path: Path) -> bool:
    """Whether a file that torch has written is whole, by the checksums in it: torch itself asks for none."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except Exception:  # whatever a damaged file makes the reader raise
        return False


def _read(path: Path, weights_on_disk: bool = False) -> dict[str, Any]:
    if not path.is_file():
        raise SuiteError(
            f"no checkpoint {path}; train one with `serbench run`, or name another with --checkpoint"
        )
    try:
        if not weights_on_disk and zipfile.is_zipfile(path) and not intact(path):
            raise ValueError("its checksums do not fit")
        content: dict[str, Any] = torch.load(
            path, map_location="cpu", weights_only=True, mmap=weights_on_disk
        )
    except Exception as error:  # UnpicklingError for code, others for damage
        raise SuiteError(
            f"{path}: refused, as it is damaged or would run code when loaded; train it again, or name "
            "another with --checkpoint"
        ) from error
    return content


@contextmanager
def _of_this_version(path: Path) -> Iterator[None]:
    """Anything that goes wrong within becomes a sentence about the checkpoint."""
    try:
        yield
    except SuiteError:
        raise
    except Exception as error:
        raise SuiteError(
            f"{path}: not a checkpoint of this version of serbench ({first_line(error)})"
        ) from error


def _untrained(cell: Cell, models: Path | None) -> SpeechEncoder | None:
    """The speech encoder that a cell trains, as its files have it; None where it trains none."""
    if not isinstance(cell.features, Pretrained) or not is_tuned(cell.features):
        return None
    return SpeechEncoder.load(cell.features.speech, cell.features.layers, models)
