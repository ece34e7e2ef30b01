"""Checkpoints of tiny models that nobody trained, to export: what matters is that the numbers stay the same.

path = write_checkpoint(tmp_path, "retnet")                   # causal, log-mel of 9 bands, one layer
path = write_checkpoint(tmp_path, "reslstm_sa", attributes=("valence",))
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bench.config import (
    AnyEncoder,
    AnyFeatures,
    Cell,
    Cepstra,
    Encoder,
    Features,
    Recipe,
    Recurrent,
    System,
    Task,
)
from bench.features.normaliser import Normaliser
from bench.model.layout import WHOLE
from bench.model.model import build
from bench.training import checkpoint
from bench.training.losses import parts

EMOTIONS = ("angry", "happy", "sad")
MELS = Features(num_mels=9)
SMALL = Encoder(d_model=16, num_heads=2, num_layers=1, front_channels=2)


def cell_of(
    layout: str,
    direction: str = "causal",
    encoder: AnyEncoder | None = None,
    features: AnyFeatures | None = None,
    task: Task | None = None,
    **recipe: float,
) -> Cell:
    """A cell of the small encoder, or of a small whole model."""
    whole = layout in WHOLE
    return Cell(
        task=task or Task(corpus="ravdess", protocol="luna"),
        seed=0,
        system=System(layout=layout, direction=direction),
        features=features or (Cepstra() if whole else MELS),
        encoder=encoder or (Recurrent(hidden=12) if whole else SMALL),
        recipe=Recipe(**recipe),
    )


def write_checkpoint(
    folder: Path, layout: str, attributes: tuple[str, ...] = (), emotions: tuple[str, ...] = EMOTIONS, **cell
) -> Path:
    """The checkpoint of a model with random weights, running statistics and normaliser; see `cell_of`."""
    trained = cell_of(layout, **cell, **({"attribute_weight": 1.0} if attributes else {}))
    torch.manual_seed(0)
    outputs = sum(parts(trained.recipe, len(emotions)))
    model = build(trained.features, trained.encoder, trained.system, outputs)
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    rng = np.random.default_rng(0)
    width = trained.features.width
    normaliser = Normaliser(*(rng.uniform(0.5, 1.5, width).astype(np.float32) for _ in range(2)))
    path = folder / f"{trained.id}.pt"
    checkpoint.save(path, trained, model.state_dict(), normaliser, emotions, attributes)
    return path


def noise(frames: int, width: int = MELS.width, batch: int = 1, seed: int = 0) -> np.ndarray:
    """Features (batch, frames, width), float32."""
    return np.random.default_rng(seed).standard_normal((batch, frames, width), dtype=np.float32)
