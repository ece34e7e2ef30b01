"""The real-time factor of a cohort's training on this machine, from a few steps of the loop that trains.

    speed = measure(plan, systems, models=None)
    speed.shared                            # seconds of computing a second of speech, once for all students
    speed.students["KDA, causal"]           # and for this one

Noise takes the place of recordings. Where a preset names a published encoder, one of its size with random
weights takes its place: the work is the same, and nothing is downloaded.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.config import (
    AnyEncoder,
    AnyFeatures,
    Cell,
    Plan,
    PositiveInt,
    Pretrained,
    Settings,
    System,
    content_id,
)
from bench.evidence.records import Environment
from bench.features.encoders import Encoders
from bench.features.kinds import MadeKind
from bench.features.made_models import make
from bench.features.normaliser import Normaliser
from bench.features.pretrained import resolve_features
from bench.folders import models_folder
from bench.measuring import environment, noise
from bench.model import layout
from bench.training.cohort import Cohort
from bench.training.fit import fit
from bench.training.split import Split

SIZES: dict[str, MadeKind] = {  # published encoders, and what one of their size is made as
    "microsoft/wavlm-large": "wavlm",
    "facebook/wav2vec2-large-lv60": "wav2vec2",
    "facebook/hubert-large-ll60k": "hubert",
    "ntu-spml/distilhubert": "distilhubert",
    "facebook/wav2vec2-xls-r-300m": "xlsr",
    "openai/whisper-large-v3": "whisper",
    "google-bert/bert-large-uncased": "bert",
    "FacebookAI/roberta-large": "roberta",
}
STEPS = 3  # that are timed
CPU_BATCH = 1  # utterances, under a frozen encoder on a processor


class Speed(Settings):
    """Seconds of computing a second of speech, in training; `environment` says where."""

    work: str  # id of the Work
    shared: float  # what all students share: frozen encoders or augmentation
    students: dict[str, float]  # forward, backward and update of each
    batch: PositiveInt
    seconds: float  # of every utterance
    precision: str
    random_weights: tuple[str, ...]  # encoders that others of their size stood in for
    environment: Environment

    @property
    def cohort(self) -> float:
        """All students side by side."""
        return self.shared + sum(self.students.values())


class Work(Settings):
    """All that decides what a step costs."""

    systems: tuple[System, ...]
    features: AnyFeatures
    encoder: AnyEncoder
    batch_size: PositiveInt
    max_train_s: float
    precision: str

    @classmethod
    def of(cls, plan: Plan, systems: Sequence[System]) -> Work:
        """That of a plan, its encoders by name."""
        recipe = plan.recipe
        return cls(
            systems=tuple(systems),
            features=plan.features,
            encoder=plan.encoder,
            batch_size=recipe.batch_size,
            max_train_s=recipe.max_train_s,
            precision=recipe.precision,
        )

    @property
    def id(self) -> str:
        """Two plans of the same work are measured once."""
        return content_id(self)


def measure(plan: Plan, systems: Sequence[System], models: Path | None) -> Speed:
    """Train all `systems` for a few steps, on the GPU where there is one.

    Under a frozen encoder a processor works with all its cores, in float32, on few utterances at a time; else
    with one core, as a cohort of a run does. SuiteError where an encoder cannot be had.
    """
    cuda, hidden = torch.cuda.is_available(), isinstance(plan.features, Pretrained)
    if not cuda:
        torch.set_num_threads((os.cpu_count() or 1) if hidden else 1)
    recipe = plan.recipe.model_copy(
        update={
            "batch_size": CPU_BATCH if hidden and not cuda else plan.recipe.batch_size,
            "precision": plan.recipe.precision if cuda else "float32",
            "epochs": 1,
            "accumulate": 1,
            "emotion_weight": 1.0,
            "attribute_weight": 0.0,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        stand_ins = _at_hand(plan.features, Path(folder), models)
        timed = _Timed.of(plan.model_copy(update={"recipe": recipe}), systems, Path(folder))
        shared, students = timed.run()
    spoken = recipe.batch_size * recipe.max_train_s
    return Speed(
        work=Work.of(plan, systems).id,
        shared=shared / spoken,
        students={name: seconds / spoken for name, seconds in students.items()},
        batch=recipe.batch_size,
        seconds=recipe.max_train_s,
        precision=recipe.precision,
        random_weights=stand_ins,
        environment=environment.describe(torch.get_num_threads(), "cuda" if cuda else "cpu"),
    )


def _at_hand(features: AnyFeatures, folder: Path, models: Path | None) -> tuple[str, ...]:
    """Bring the encoders into `folder`: one's own, or made in the size of a published one; names of these."""
    if not isinstance(features, Pretrained):
        return ()
    made = []
    for extractor in (features.speech, features.text):
        if extractor is None or not extractor.name:
            continue
        own, place = (models or models_folder() or folder) / extractor.name, folder / extractor.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if own.is_dir():
            place.symlink_to(own.absolute())
        elif extractor.name in SIZES:
            make(place, SIZES[extractor.name], "large")
            made.append(extractor.name)
    return tuple(made)


@dataclass(frozen=True)
class _Timed:
    """A cohort, and noise to train it on."""

    cells: tuple[Cell, ...]
    train: Split
    dev: Split
    normaliser: Normaliser | None
    encoders: Encoders | None
    folder: Path

    @classmethod
    def of(cls, plan: Plan, systems: Sequence[System], folder: Path) -> _Timed:
        features, recipe, encoders = plan.features, plan.recipe, None
        if isinstance(features, Pretrained):
            features = resolve_features(features, folder)
            encoders = Encoders.load(features, folder)
        cells = noise.cells(systems, features, plan.encoder, recipe)
        train, dev = noise.splits(features, (STEPS * recipe.batch_size, 1), recipe.max_train_s)
        return cls(cells, train, dev, noise.normaliser(features), encoders, folder)

    def run(self) -> tuple[float, dict[str, float]]:
        """Seconds of a step that all students share, and those of each."""
        if torch.cuda.is_available():
            self._fit("warm")  # kernels are compiled and tuned
        cohort = self._fit("timed")
        own = {
            layout.named(cell.system, cell.features): cohort.student(cell).train_s / STEPS
            for cell in self.cells
        }
        return cohort.heard_s / STEPS, own

    def _fit(self, name: str) -> Cohort:
        splits = (self.train, self.dev, self.normaliser, self.folder / name)
        return fit(self.cells, *splits, lambda done: None, self.encoders)
