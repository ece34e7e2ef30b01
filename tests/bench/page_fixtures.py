"""An invented results folder with everything that the page must bear.

    write_everything(Store(tmp_path))

RAVDESS in both directions with a hybrid, a cell out of memory, a system without all folds and one whose label
tries to break out of the page; MSP-Podcast with dev, two test splits and attributes; attributes alone; a
synthetic corpus; two machines, one curve that ends out of memory; published numbers.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import report_fixtures as fixtures

from bench.config import Cell, Recipe, System, Task
from bench.evidence.records import Epoch, Label
from bench.evidence.store import Store

HOSTILE = "</script><script>alert('1')</script> \"&amp;\" <b>bold</b>\nשלום\u2028 ]]> {{data}} ${x}"
LONG = "A mixer whose name is long enough to need two lines of any table ×3 + Softmax"
GPU = fixtures.CPU.model_copy(update={"device": "NVIDIA H200 141 GB", "device_kind": "cuda"})
ATTRIBUTES = ("arousal", "valence", "dominance")
NOTHING = {"median_ms": None, "median_low_ms": None, "median_high_ms": None, "peak_bytes": None}
REPORTED = """\
system,corpus,release,protocol,split,metric,value,spread,source,caveat
ResLSTM-SA,ravdess,,luna,test,uar,0.6232,0.0119,arXiv 2606.03359,"tuned on test folds, as published"
Softmax,msp_podcast,2.0,official,test1,macro_f1,0.3642,,arXiv 2603.15120,one seed; no interval
FoX,,,,,memory_400s_bytes,328000000,,arXiv 2603.15120,<i>mixer</i> alone
"""


def write_everything(store: Store) -> None:
    write_ravdess(store)
    write_msp(store, "both", ("dev", "test1", "test2"), layouts=("softmax", "retnet", "gsa"))
    write_msp(store, "alone", ("test3",), layouts=("softmax", "kda"))
    fixtures.write_synthetic(store)
    write_costs(store)
    (store.root / "reported.csv").write_text(REPORTED, encoding="utf-8")


def write_ravdess(store: Store) -> None:
    """Two folds, two seeds, two directions."""
    table = fixtures.manifest(per_speaker=30)
    layouts = ("softmax", "retnet", "kda", "lightnet", fixtures.HYBRID, "hostile", "long")
    for layout, direction, fold, seed in itertools.product(
        layouts, ("bidirectional", "causal"), (0, 1), (0, 1)
    ):
        cell = fixtures.ravdess_cell(layout, fold, seed, direction)
        if layout == "lightnet" and fold == 1:
            continue
        if (layout, direction, fold) == ("retnet", "causal", 1):
            store.write(fixtures.run_record(cell, status="oom", reason="CUDA out of memory: needed <9> GB"))
            continue
        skill = {"hostile": 1.2, "long": 1.3}.get(layout) or fixtures.SYSTEMS[layout][2]
        skill -= 0.15 * (direction == "causal")
        fixtures.write_run(
            store, cell, fixtures.fold_part(table, fold), skill=skill, label=label_of(layout), **trained(seed)
        )


def label_of(layout: str) -> Label:
    invented = {
        "hostile": Label(text=HOSTILE, mixers=("hostile",)),
        "long": Label(text=LONG, mixers=("long", "softmax")),
    }
    return invented.get(layout) or fixtures.label_of(layout)


def trained(seed: int, epochs: int = 12, score: str = "dev_uar") -> dict[str, object]:
    """What training leaves in a record: a curve with one undefined score, and the epoch that was kept."""
    noise = np.random.default_rng(seed).normal(0, 0.01, epochs)
    scores = [0.6 - 0.4 * 0.8**n + noise[n] for n in range(epochs)]
    curve = tuple(
        Epoch(epoch=n, train_loss=2.1 * 0.9**n, **{score: None if n == 1 else scores[n]})
        for n in range(epochs)
    )
    return {"curve": curve, "best_epoch": epochs - 2, "skipped_files": ("a.wav",)}


def write_msp(store: Store, kind: str, splits: tuple[str, ...], layouts: tuple[str, ...]) -> None:
    """Emotions and attributes ("both"), or attributes "alone"."""
    alone = kind == "alone"
    recipe = Recipe(emotion_weight=0.0, select_by="ccc") if alone else Recipe()
    recipe = recipe.model_copy(update={"attribute_weight": 1.0})
    task = Task(corpus="msp_podcast", protocol="official-2.0")
    for layout, seed in itertools.product(layouts, (0, 1)):
        cell = Cell(task=task, seed=seed, system=System(layout=layout), recipe=recipe)
        store.write_predictions(cell.id, pd.concat([rated(layout, split, seed, alone) for split in splits]))
        record = fixtures.run_record(
            cell,
            () if alone else fixtures.EMOTIONS,
            corpus_title="MSP-Podcast",
            attributes=ATTRIBUTES,
            metrics={split: {"ccc": 0.5, **({} if alone else {"uar": 0.4})} for split in splits},
            **trained(seed, score="dev_ccc" if alone else "dev_uar"),
        )
        store.write(record)


def rated(layout: str, split: str, seed: int, alone: bool) -> pd.DataFrame:
    """Predictions of a split with attributes."""
    people = fixtures.manifest(per_speaker=15)
    table = fixtures.predictions(people, fixtures.EMOTIONS, fixtures.SYSTEMS[layout][2] - 0.8, seed)
    noise = np.random.default_rng([len(layout), len(split), seed])
    truth = np.random.default_rng(7)
    for name in ATTRIBUTES:
        table[name] = truth.uniform(1, 7, len(table))
        table[f"predicted_{name}"] = 1 + 0.7 * table[name] + noise.normal(size=len(table))
    kept = table.loc[:, ~table.columns.str.startswith("logit_")] if alone else table
    return kept.assign(split=split)


def write_costs(store: Store) -> None:
    """A CPU with all systems in both directions, a GPU with some lengths, one curve that ends."""
    systems = ("softmax", "retnet", "kda", "gsa", fixtures.HYBRID)
    for direction in ("bidirectional", "causal"):
        fixtures.write_profiles(store, systems, direction=direction)
    fixtures.write_profiles(store, ("softmax", "retnet", "kda"), seconds=(10.0, 60.0, 400.0), environment=GPU)
    for layout in ("hostile", "long"):
        for seconds in (1.0, 10.0, 60.0):
            store.write(fixtures.profile_record(layout, "encoder", seconds, label=label_of(layout)))
    for layout, target in (("softmax_unfused", "mixer"), ("softmax", "encoder")):
        over = {"status": "oom", "reason": "needed 51 GB", "samples_ms": (), **NOTHING}
        store.write(fixtures.profile_record(layout, target, 600.0, **over))
