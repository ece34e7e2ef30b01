"""A trained recogniser on disk: its cell, weights, normaliser and emotions; no code is ever loaded.

trained = checkpoint.load(Path("results/checkpoints/<id>.pt"))
trained.probabilities(waveform)         # emotion → probability
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.config import Cell
from bench.errors import SuiteError
from bench.evidence.store import atomic
from bench.features.normaliser import Normaliser
from bench.features.transform import transform
from bench.model.model import Model, build


@dataclass(frozen=True)
class Trained:
    """A recogniser ready for use."""

    cell: Cell
    model: Model
    normaliser: Normaliser
    emotions: tuple[str, ...]

    @torch.inference_mode()
    def probabilities(self, waveform: np.ndarray) -> dict[str, float]:
        """Emotion probabilities of one utterance: mono float32 at `cell.features.sample_rate_hz`."""
        frames = transform(self.cell.features)(torch.from_numpy(waveform)).numpy()
        normalised = torch.from_numpy(np.asarray(self.normaliser(frames), np.float32))
        shares = self.model(normalised.unsqueeze(0)).softmax(-1)[0]
        return dict(zip(self.emotions, shares.tolist(), strict=True))


def save(
    path: Path, cell: Cell, weights: dict[str, Tensor], normaliser: Normaliser, emotions: tuple[str, ...]
) -> None:
    """Write a checkpoint atomically."""
    content = {
        "cell": cell.model_dump_json(),
        "weights": {name: value.cpu() for name, value in weights.items()},
        "mean": torch.as_tensor(normaliser.mean),
        "std": torch.as_tensor(normaliser.std),
        "emotions": list(emotions),
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
        model = build(cell.features, cell.encoder, cell.system, len(content["emotions"]))
        model.load_state_dict(content["weights"])
    except SuiteError:
        raise
    except Exception as error:
        raise SuiteError(
            f"{path}: not a checkpoint of this version of serbench ({str(error).splitlines()[0]})"
        ) from error
    normaliser = Normaliser(content["mean"].numpy(), content["std"].numpy())
    return Trained(cell, model.eval(), normaliser, tuple(content["emotions"]))
