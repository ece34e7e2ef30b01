"""What one process is given to train: the cells of one cohort. Needs no torch, for those who only supervise.

job = Job("open", cells)
job.name                        # "ravdess luna fold 0 seed 0"
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.config import Cell


@dataclass(frozen=True)
class Job:
    """The cells of one cohort: same task, seed, features, encoder and recipe; one system each."""

    preset: str
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """For people: corpus, fold and seed, and a sampler that is not the usual one."""
        first = self.cells[0]
        sampler = "" if first.recipe.sampler == "uniform" else f" {first.recipe.sampler}"
        return f"{first.task.corpus} {first.task.protocol} fold {first.task.fold} seed {first.seed}{sampler}"
