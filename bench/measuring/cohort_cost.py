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
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch

from bench import presets
from bench.config import Cell, Extractor, Pretrained, Recipe, Settings, System
from bench.features.encoders import Encoders
from bench.features.kinds import MadeKind, MadeSize
from bench.features.made_models import make
from bench.features.pretrained import resolve_features
from bench.measuring import noise
from bench.model import layout
from bench.training.fit import fit

MADE = "made"  # folder of the frozen encoder among the models


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
    make(models / MADE, flags.kind, flags.size)
    (features, encoders), recipe = made_encoder(models), recipe_of(flags.batch_size)
    cells = cells_of(features, recipe, layout.standard())
    sizes = (flags.steps * flags.batch_size, flags.batch_size)
    train, dev = noise.splits(features, sizes, flags.seconds)
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


def made_encoder(models: Path) -> tuple[Pretrained, Encoders]:
    """The features that the encoder in `MADE` gives, its layers summed, and that encoder."""
    named = Pretrained(speech=Extractor(name=MADE), layers="softmax")
    features = resolve_features(named, models)
    return features, Encoders.load(features, models)


def cells_of(features: Pretrained, recipe: Recipe, layouts: Sequence[str]) -> tuple[Cell, ...]:
    """The cells of a cohort on noise, in the encoder of the preset `controlled`."""
    systems = [System(layout=name) for name in layouts]
    return noise.cells(systems, features, presets.build("controlled").encoder, recipe)


def _runs(cells: Sequence[Cell], alone: Sequence[str]) -> Iterator[tuple[str, tuple[Cell, ...]]]:
    yield "cohort", tuple(cells)
    for cell in cells:
        if not alone or cell.system.layout in alone:
            yield cell.system.layout, (cell,)


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
