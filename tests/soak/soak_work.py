"""What the long run does over and over: train, profile and report on tiny settings, in this process.

    work = Round(folder)
    work(0)              # one round

A round is what `serbench run demo` does, but training is in this process, where a leak would stay. Every
fourth round trains in a worker of its own, as a run does, so that children come and go as well. What a round
writes under `folder` is removed at its end, but for the made corpus and its features.

Seeds come again: oneDNN keeps what it has compiled for a shape, for up to a thousand of them, and a new seed
brings batches of new lengths. That is no leak, but it goes on for hours.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from bench import presets
from bench.config import Encoder, Plan, Profiling
from bench.evidence.store import Store
from bench.folders import Folders
from bench.measuring.profile import profile
from bench.report import write_report
from bench.training import grid
from bench.training.run import run_missing

LAYOUTS = ("softmax", "kda", "mamba2 softmax")
WITH_A_WORKER = 4  # every so many rounds
SEEDS = 3  # in turn


def plan(seed: int) -> Plan:
    """The demo with one seed, on less speech and in less time."""
    demo = presets.build("demo")
    return demo.model_copy(
        update={
            "seeds": (seed,),
            "layouts": LAYOUTS,
            "corpus_options": {"turns": 100, "seed": 0},
            "encoder": Encoder(d_model=16, num_layers=2, num_heads=2),
            "recipe": demo.recipe.model_copy(update={"epochs": 1}),
            "profiling": Profiling(seconds=(1.0,), targets=("mixer",), time_limit_s=0.05),
        }
    )


@dataclass(frozen=True)
class Round:
    """One round of a long run; `folder` is this run's own."""

    folder: Path

    def __call__(self, number: int) -> None:
        """Train, profile and report; RuntimeError where a cell fails."""
        torch.set_num_threads(1)
        wanted, folders = plan(number % SEEDS), Folders(self.folder / "results", self.folder / "cache")
        if number % WITH_A_WORKER == WITH_A_WORKER - 1:
            grid.run(wanted, folders, workers=1)
        else:
            train_here(wanted, folders)
        store = Store(folders.results)
        profile(wanted.profiling, wanted.features, wanted.encoder, wanted.layouts[:1], store)
        write_report(folders.results)
        failed = [record.reason for record in (*store.runs(), *store.profiles()) if record.status != "ok"]
        if failed:
            raise RuntimeError(f"a cell of round {number} failed: {failed[0]}")
        shutil.rmtree(folders.results)


def train_here(wanted: Plan, folders: Folders) -> None:
    """What `grid.run` does, without a worker."""
    missing = grid.look(wanted, folders)
    grid.prepare(missing, folders)
    for job in missing.todo:
        run_missing(job, folders)
