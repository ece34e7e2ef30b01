"""A trained recogniser on disk: its cell, weights, normaliser and what it recognises; no code is ever loaded.

trained = checkpoint.load(Path("results/checkpoints/<id>.pt"))
trained.probabilities(waveform)         # emotion → probability
trained.recognise(waveform)             # these, and attribute → value
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.attributes import ATTRIBUTES, from_unit
from bench.config import Cell
from bench.errors import SuiteError
from bench.evidence.store import atomic
from bench.features.normaliser import Normaliser
from bench.features.transform import transform
from bench.model.model import Model, build
from bench.training.losses import parts


@dataclass(frozen=True)
class Trained:
    """A recogniser ready for use."""

    cell: Cell
    model: Model
    normaliser: Normaliser
    emotions: tuple[str, ...]  # none where attributes alone are trained
    attributes: tuple[str, ...] = ()

    @torch.inference_mode()
    def recognise(self, waveform: np.ndarray) -> dict[str, float]:
        """Probability of every emotion, then every attribute on its corpus's scale, of one utterance.

        `waveform` is mono float32 at `cell.features.sample_rate_hz`.
        """
        frames = transform(self.cell.features)(torch.from_numpy(waveform)).numpy()
        normalised = torch.from_numpy(np.asarray(self.normaliser(frames), np.float32))
        widths = parts(self.cell.recipe, len(self.emotions))
        logits, scaled = self.model(normalised.unsqueeze(0))[0].split(widths)
        values = from_unit(scaled).tolist()
        probabilities = dict(zip(self.emotions, logits.softmax(-1).tolist(), strict=True))
        return probabilities | {name: values[ATTRIBUTES.index(name)] for name in self.attributes}

    def probabilities(self, waveform: np.ndarray) -> dict[str, float]:
        """The emotions of `recognise` alone."""
        recognised = self.recognise(waveform)
        return {emotion: recognised[emotion] for emotion in self.emotions}


def save(
    path: Path,
    cell: Cell,
    weights: dict[str, Tensor],
    normaliser: Normaliser,
    emotions: tuple[str, ...],
    attributes: tuple[str, ...] = (),
) -> None:
    """Write a checkpoint atomically."""
    content = {
        "cell": cell.model_dump_json(),
        "weights": {name: value.cpu() for name, value in weights.items()},
        "mean": torch.as_tensor(normaliser.mean),
        "std": torch.as_tensor(normaliser.std),
        "emotions": list(emotions),
        "attributes": list(attributes),
    }
    with atomic(path) as temporary:
        torch.save(content, temporary)


def load(path: Path) -> Trained:
    """Read a checkpoint (weights only: a pickle that would run code is refused) as an eval-mode model."""
    if not path.is_file():
        raise SuiteError(
            f"no checkpoint {path}; train one with `serbench run`, or name another with --checkpoint"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        cell = Cell.model_validate_json(content["cell"])
        num_outputs = sum(parts(cell.recipe, len(content["emotions"])))
        model = build(cell.features, cell.encoder, cell.system, num_outputs)
        model.load_state_dict(content["weights"])
    except SuiteError:
        raise
    except Exception as error:
        raise SuiteError(
            f"{path}: not a checkpoint of this version of serbench ({str(error).splitlines()[0]})"
        ) from error
    normaliser = Normaliser(content["mean"].numpy(), content["std"].numpy())
    attributes = tuple(content.get("attributes", ()))  # older checkpoints have none
    return Trained(cell, model.eval(), normaliser, tuple(content["emotions"]), attributes)
