"""What a cohort costs beside students trained alone, under a frozen speech encoder that runs on the fly.

    python -m bench.measuring.cohort_cost --kind wavlm --size large --steps 12
    python -m bench.measuring.cohort_cost --kind distilhubert --size large --steps 12

All standard layouts are trained side by side, and then each alone, by the loop that trains for records, on
the same noise: the same encoder, with random weights, and the same batches. Runs take turns, and each turn is
a whole training of `--steps` batches, scored on one. Promised: a cohort of eight costs at most 1.3 times one
solo run under an encoder of WavLM-large's size, and at most half of eight under one of DistilHuBERT's.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from bench import presets
from bench.config import Cell, Extractor, Pretrained, Recipe, Settings, System, Task
from bench.corpora.manifest import COLUMNS
from bench.features.backbones import SAMPLE_RATE_HZ
from bench.features.cache import FeatureStore
from bench.features.encoders import Encoders
from bench.features.kinds import MadeKind, MadeSize
from bench.features.made_models import make
from bench.features.pretrained import resolve_features
from bench.features.speech import frames_of
from bench.model import layout
from bench.training.fit import fit
from bench.training.split import Split

EMOTIONS = tuple("abcdefgh")


class CostFlags(Settings):
    """Time a cohort against its students alone, in turns."""

    kind: MadeKind = "wavlm"
    size: MadeSize = "large"
    steps: int = 12  # batches of one training
    batch_size: int = 32
    seconds: float = 5.5  # of every utterance
    turns: int = 1
    alone: tuple[str, ...] = ()  # layouts that are trained alone too; none named: all of them
    threads: int = 1


def measure(flags: CostFlags, models: Path) -> pd.DataFrame:
    """Wall and processor seconds of every run: columns run ("cohort" or a layout), wall_s and cpu_s."""
    features = Pretrained(speech=Extractor(name="made"), layers="softmax")
    make(models / "made", flags.kind, flags.size)
    features = resolve_features(features, models)
    encoders, recipe = Encoders.load(features, models), recipe_of(flags.batch_size)
    cells = cells_of(features, recipe, layout.standard())
    train, dev = (
        noise(recipe, batches, flags.seconds, seed) for seed, batches in enumerate((flags.steps, 1))
    )
    rows = []
    for turn in range(flags.turns):
        for name, group in _runs(cells, flags.alone):
            wall, processor = time.perf_counter(), time.process_time()
            fit(group, train, dev, None, models / f"{turn}-{name}", lambda done: None, encoders)
            rows.append((name, time.perf_counter() - wall, time.process_time() - processor))
            print(f"  {name:24} {rows[-1][1]:8.1f} s, {rows[-1][2]:8.1f} s of processor", flush=True)
    return pd.DataFrame(rows, columns=["run", "wall_s", "cpu_s"])


def ratios(table: pd.DataFrame) -> dict[str, float]:
    """The cohort's time over one mean solo run, and over as many solo runs as it has students."""
    mean = table.groupby("run")[["wall_s", "cpu_s"]].mean()
    solo = mean.drop(index="cohort").mean()
    students = len(layout.standard())
    return {
        f"{scale} of the cohort over {count} solo": float(mean.loc["cohort", column] / (count * solo[column]))
        for scale, column in (("wall time", "wall_s"), ("processor time", "cpu_s"))
        for count in (1, students)
    }


def recipe_of(batch_size: int, **settings: object) -> Recipe:
    """That of the preset `controlled` for emotions alone; one epoch in float32 unless `settings` say more."""
    plain = {"epochs": 1, "precision": "float32"}  # bfloat16 is emulated on many processors
    told = plain | {"batch_size": batch_size, "attribute_weight": 0.0} | settings
    return presets.build("controlled").recipe.model_copy(update=told)


def cells_of(features: Pretrained, recipe: Recipe, layouts: Sequence[str]) -> tuple[Cell, ...]:
    """The cells of a cohort on noise, in the encoder of the preset `controlled`."""
    task, encoder = Task(corpus="noise", protocol="noise"), presets.build("controlled").encoder
    return tuple(
        Cell(task=task, seed=0, system=System(layout=name), features=features, encoder=encoder, recipe=recipe)
        for name in layouts
    )


def _runs(cells: Sequence[Cell], alone: Sequence[str]) -> Iterator[tuple[str, tuple[Cell, ...]]]:
    yield "cohort", tuple(cells)
    for cell in cells:
        if not alone or cell.system.layout in alone:
            yield cell.system.layout, (cell,)


def noise(recipe: Recipe, batches: int, seconds: float, seed: int) -> Split:
    """Utterances of noise for so many batches, all of one length, with emotions in turn."""
    names = [f"{seed}-{number}" for number in range(batches * recipe.batch_size)]
    samples = round(seconds * SAMPLE_RATE_HZ)
    drawn = np.random.default_rng(seed).standard_normal((len(names), samples)).astype(np.float32)
    rows: Mapping[str, NDArray] = dict(zip(names, 0.1 * drawn, strict=True))
    store = FeatureStore(
        tuple(names), dict.fromkeys(names, frames_of(samples)), dict.fromkeys(names, seconds), (), rows
    )
    table = pd.DataFrame({column: [""] * len(names) for column in COLUMNS})
    emotions = [EMOTIONS[number % len(EMOTIONS)] for number in range(len(names))]
    return Split(store, table.assign(utterance=names, emotion=emotions), EMOTIONS)


def main() -> None:
    """Print every run, then the ratios."""
    import sys

    from bench.flags import parse

    flags = parse(CostFlags, "python -m bench.measuring.cohort_cost", sys.argv[1:])
    torch.set_num_threads(flags.threads)
    with tempfile.TemporaryDirectory() as folder:
        table = measure(flags, Path(folder))
    for name, ratio in ratios(table).items():
        print(f"{name}: {ratio:.2f}")


if __name__ == "__main__":
    main()
