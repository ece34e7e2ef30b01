"""Made-up records that look like real ones: what a run of RAVDESS and a profile on one CPU leave behind.

    store = Store(tmp_path); write_runs(store); write_profiles(store)

Scores come from simulated logits (systems share the difficulty of an utterance and of a speaker, as real
systems do), costs from a polynomial in the number of frames.
"""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pandas as pd

from bench.config import Cell, Encoder, Features, Recipe, System, Task
from bench.evidence.records import (
    Cost,
    Environment,
    Label,
    Parameters,
    ProfileRecord,
    RunRecord,
    Shape,
)
from bench.evidence.store import Store

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
FOLDS = ((2, 5, 14, 15, 16), (3, 6, 7, 13, 18), (10, 11, 12, 19, 20), (8, 17, 21, 23, 24), (1, 4, 9, 22))
HYBRID = "mamba2*3 softmax"

# layout: (label, mixers, skill, µs a frame, ns a frame², kB a frame)
SYSTEMS = {
    "softmax": ("Softmax", ("softmax",), 1.62, 9.0, 13.0, 1.5),
    "retnet": ("RetNet", ("retnet",), 1.58, 9.5, 0.0, 2.2),
    "lightnet": ("LightNet", ("lightnet",), 1.42, 13.0, 0.0, 2.9),
    "gsa": ("GSA", ("gsa",), 1.31, 30.0, 0.0, 5.1),
    "fox": ("FoX", ("fox",), 1.66, 11.0, 26.0, 2.0),
    "kda": ("KDA", ("kda",), 1.50, 27.0, 0.0, 4.2),
    "mamba2": ("Mamba-2", ("mamba2",), 1.72, 12.5, 0.0, 2.6),
    HYBRID: ("Mamba-2 ×3 + Softmax", ("mamba2", "softmax"), 1.75, 13.0, 3.3, 2.4),
}
UNFUSED = {"softmax_unfused": ("Softmax (unfused)", ("softmax_unfused",), 1.62, 9.4, 33.0, 1.5)}
CPU = Environment(
    device="AMD EPYC 7R13",
    device_kind="cpu",
    cores=2,
    threads=1,
    memory_bytes=16 * 10**9,
    operating_system="Linux 6.1",
    python="3.11.9",
    packages={"numpy": "2.0"},
)


def label_of(layout: str) -> Label:
    text, mixers, *_ = {**SYSTEMS, **UNFUSED}.get(layout, (layout, (layout,)))
    return Label(text=text, mixers=mixers)


def manifest(emotions=EMOTIONS, speakers=24, per_speaker=60, seed=7) -> pd.DataFrame:
    """Utterances with speaker, label and the two difficulties that all systems share."""
    rng = np.random.default_rng(seed)
    share = np.r_[per_speaker // 15, np.full(len(emotions) - 1, per_speaker * 2 // 15)]  # RAVDESS: 4, 8, 8 …
    order = np.resize(np.repeat(np.arange(len(emotions)), share), per_speaker)
    table = pd.DataFrame(
        {
            "speaker": np.repeat([f"{n:02d}" for n in range(1, speakers + 1)], per_speaker),
            "class": np.tile(order, speakers),
        }
    )
    table["utterance"] = [f"{s}-{i % per_speaker:03d}" for i, s in enumerate(table["speaker"])]
    table["label"] = [emotions[c] for c in table["class"]]
    table["shared"] = list(rng.normal(size=(len(table), len(emotions))))
    table["ease"] = np.repeat(rng.normal(0, 0.55, speakers), per_speaker)
    return table


def predictions(table: pd.DataFrame, emotions, skill: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    liking = np.linspace(0.5, -0.5, len(emotions)) * np.cos(np.arange(len(emotions)) * 2.0)
    logits = 0.85 * np.stack(table["shared"]) + 0.6 * rng.normal(size=(len(table), len(emotions)))
    right = skill + table["ease"].to_numpy() + 1.3 * liking[table["class"]]
    logits[np.arange(len(table)), table["class"]] += right
    out = pd.DataFrame(logits, columns=[f"logit_{emotion}" for emotion in emotions])
    kept = table[["utterance", "speaker", "label"]].reset_index(drop=True)
    return pd.concat([kept.assign(split="test", gender="", duration_s=3.0), out], axis=1)


def run_record(cell: Cell, emotions=EMOTIONS, **overrides) -> RunRecord:
    fields = {
        "id": cell.id,
        "preset": "open",
        "config": cell,
        "label": label_of(cell.system.layout),
        "synthetic": cell.task.corpus == "synthetic",
        "corpus_title": {"ravdess": "RAVDESS", "synthetic": "Synthetic speech"}.get(
            cell.task.corpus, cell.task.corpus
        ),
        "emotions": emotions,
        "status": "ok",
        "parameters": Parameters(total=412_345, mixers=150_000, feedforward_width=192),
        "cost": Cost(train_s=181.5, cohort_wall_s=1500.0, cohort=tuple(SYSTEMS), epochs=40),
        "environment": CPU,
    }
    return RunRecord(**{**fields, **overrides})


def write_run(
    store: Store, cell: Cell, table: pd.DataFrame, emotions=EMOTIONS, skill=1.6, **overrides
) -> RunRecord:
    """One scored cell: its record and the predictions for `table`."""
    noise = zlib.crc32(repr((cell.task, cell.system, cell.seed)).encode())
    store.write_predictions(cell.id, predictions(table, emotions, skill, noise))
    record = run_record(cell, emotions, **overrides)
    store.write(record)
    return record


def fold_part(table: pd.DataFrame, fold: int) -> pd.DataFrame:
    return table[table["speaker"].isin([f"{actor:02d}" for actor in FOLDS[fold]])]


def ravdess_cell(layout="softmax", fold=0, seed=0, direction="bidirectional", **changes) -> Cell:
    task = Task(corpus="ravdess", protocol="luna", fold=fold)
    return Cell(task=task, seed=seed, system=System(layout=layout, direction=direction), **changes)


def write_runs(
    store: Store, layouts=tuple(SYSTEMS), folds=range(5), seeds=(0,), direction="bidirectional"
) -> None:
    """RAVDESS, Luna folds: one run a (layout, fold, seed)."""
    table = manifest()
    for layout, fold, seed in itertools.product(layouts, folds, seeds):
        cell = ravdess_cell(layout, fold, seed, direction)
        write_run(store, cell, fold_part(table, fold), skill=SYSTEMS[layout][2])


def write_synthetic(store: Store, layouts=("softmax", "retnet")) -> None:
    """The generated corpus, one fold."""
    emotions = EMOTIONS[:5]
    table = manifest(emotions, speakers=12, per_speaker=20)
    for layout in layouts:
        task = Task(corpus="synthetic", protocol="speakers", corpus_options={"speakers": 12, "seed": 0})
        cell = Cell(task=task, seed=0, system=System(layout=layout), recipe=Recipe(epochs=8))
        write_run(store, cell, table, emotions, skill=2.5, preset="demo")


def profile_record(
    layout="softmax",
    target="encoder",
    seconds=10.0,
    environment=CPU,
    direction="bidirectional",
    encoder=None,
    **overrides,
) -> ProfileRecord:
    """Cost of one shape: linear and quadratic terms of `SYSTEMS`, with a spread of 1 %."""
    encoder = encoder or Encoder()
    _, _, _, linear, quadratic, kilobytes = {**SYSTEMS, **UNFUSED}.get(
        layout, (layout, (), 1, 20.0, 0.0, 3.0)
    )
    frames = int(np.ceil(seconds * 100 / encoder.subsampling))
    layers, front = (1, 0.0) if target == "mixer" else (encoder.num_layers, 22.0)
    ms = 0.18 * layers + (layers * linear + front) * frames / 1e3 + layers * quadratic * frames**2 / 1e6
    ms *= 1.7 if direction == "bidirectional" and quadratic == 0 else 1.0
    peak = (
        2e5 + 1e3 * kilobytes * frames * (1 + 0.4 * (layers - 1)) + (32 * frames**2 if "unf" in layout else 0)
    )
    shape = Shape(
        target=target,
        system=System(layout=layout, direction=direction),
        seconds=seconds,
        features=Features(),
        encoder=encoder,
        device=environment.device,
        threads=environment.threads,
    )
    fields = {
        "id": shape.id,
        "shape": shape,
        "label": label_of(layout),
        "status": "ok",
        "frames": frames,
        "samples_ms": (ms * 0.99, ms, ms * 1.01),
        "median_ms": ms,
        "median_low_ms": ms * 0.985,
        "median_high_ms": ms * 1.02,
        "converged": True,
        "peak_bytes": int(peak),
        "parameters": 400_000,
        "environment": environment,
    }
    return ProfileRecord(**{**fields, **overrides})


def write_profiles(
    store: Store,
    layouts=tuple(SYSTEMS),
    seconds=(1.0, 3.0, 10.0, 30.0, 60.0),
    environment=CPU,
    direction="bidirectional",
) -> None:
    """Every layout as an encoder; every mixer alone, with softmax's unfused twin."""
    alone = [layout for layout in layouts if layout != HYBRID] + list(UNFUSED)
    targets = [("encoder", layout) for layout in layouts] + [("mixer", layout) for layout in alone]
    for (target, layout), length in itertools.product(targets, seconds):
        store.write(profile_record(layout, target, length, environment, direction))
