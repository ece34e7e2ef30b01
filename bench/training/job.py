"""What one process is given to train: the cells of one cohort. Needs no torch, for those who only supervise.

job = Job("open", cells)
job.name                        # "ravdess luna fold 0 seed 0"
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.config import Cell, Encoder


@dataclass(frozen=True)
class Job:
    """The cells of one cohort: same task, seed, features, encoder and recipe; one system each."""

    preset: str
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """For people: corpus, fold and seed, a declared size, and a sampler that is not the usual one."""
        first = self.cells[0]
        size = f" {first.encoder.size}" if isinstance(first.encoder, Encoder) and first.encoder.size else ""
        sampler = "" if first.recipe.sampler == "uniform" else f" {first.recipe.sampler}"
        task = f"{first.task.corpus} {first.task.protocol} fold {first.task.fold}"
        return f"{task} seed {first.seed}{size}{sampler}"
