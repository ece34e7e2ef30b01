"""Made-up checks of exported files at several sizes, as `serbench export --check own` leaves them.

write_files(store)                                           # mixers at three sizes, two systems beside them
write_files(store, ("kda",), folds=range(5), kinds=("float32", "int8-dynamic"))
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterable

import report_fixtures as fixtures
from report_fixtures import CPU, EMOTIONS

from bench.config import SIZES, Cell, Cepstra, Encoder, Extractor, Pooled, Pretrained, Recurrent, System, Task
from bench.evidence import exports, summary
from bench.evidence.records import ExportRecord, ExportSetting, Label, Race, Weights
from bench.evidence.store import Store

PARAMETERS = {"50k": 48_300, "500k": 477_500, "5M": 5_020_000}
BYTES = {"float32": 4.0, "int8-dynamic": 1.0}  # of a parameter
BESIDE = {  # cell settings, label, parameters, skill, ms
    "reslstm_sa": (
        {"features": Cepstra(), "encoder": Recurrent()},
        Label(text="ResLSTM-SA", mixers=("reslstm_sa",)), 46_772, 1.66, 8.0,
    ),
    "pooled": (
        {"features": Pretrained(speech=Extractor(name="d", width=768), tuned="all"), "encoder": Pooled()},
        Label(text="distilhubert, pooled", mixers=("pooled",)), 23_600_000, 2.3, 1_700.0,
    ),
}  # fmt: skip


def write_files(
    store: Store,
    layouts: Iterable[str] = ("softmax", "retnet", "kda"),
    folds: Iterable[int] = (0, 1),
    kinds: Iterable[Weights] = ("int8-dynamic",),
    beside: Iterable[str] = tuple(BESIDE),
) -> None:
    """A record a (system, size, fold, kind); larger files score a little better, int8 a little worse."""
    table = fixtures.manifest()
    for kind, fold in itertools.product(kinds, folds):
        rows = fixtures.fold_part(table, fold)
        for layout, size in itertools.product(layouts, SIZES):
            skill = fixtures.SYSTEMS[layout][2] + 0.16 * math.log10(PARAMETERS[size] / 48_300)
            cell = fixtures.ravdess_cell(layout, fold, encoder=Encoder().sized(size))
            milliseconds = fixtures.SYSTEMS[layout][3] * (PARAMETERS[size] / 48_300) ** 0.6 / 4
            write_file(
                store, cell, rows, kind, fixtures.label_of(layout), PARAMETERS[size], skill, milliseconds
            )
        for name in beside:
            settings, label, parameters, skill, milliseconds = BESIDE[name]
            direction = "causal" if name == "reslstm_sa" else "bidirectional"
            system = System(layout=name, direction=direction)
            task = Task(corpus="ravdess", protocol="luna", fold=fold)
            cell = Cell(task=task, seed=0, system=system, **settings)
            write_file(store, cell, rows, kind, label, parameters, skill, milliseconds)


def write_file(
    store, cell, rows, weights, label, parameters, skill, milliseconds, **overrides
) -> ExportRecord:
    """One file checked on the clips `rows`: 20 kB of graph, and its weights; torch is twice as slow."""
    setting = ExportSetting(
        cell=cell, checkpoint="0" * 16, weights=weights, streaming=False, calibrated_on="",
        checked_on=cell.task, device=CPU.device, threads=1,
    )  # fmt: skip
    noise = zlib.crc32(repr((cell.task, cell.system, cell.encoder)).encode())
    reference = fixtures.predictions(rows, EMOTIONS, skill, noise)
    answers = fixtures.predictions(rows, EMOTIONS, skill - 0.02 * (weights != "float32"), noise)
    logits = [name for name in answers if name.startswith("logit_")]
    answers = answers.join(reference[logits].add_prefix("reference_"))
    scores = {"exported": answers, "torch": exports.reference(answers)}
    metrics = {name: summary.of(table, EMOTIONS, ())["test"] for name, table in scores.items()}
    store.write_predictions(setting.id, answers)
    fields = {
        "id": setting.id, "setting": setting, "label": label, "synthetic": False, "corpus_title": "RAVDESS",
        "emotions": EMOTIONS, "attributes": (), "utterances": len(rows), "metrics": metrics,
        "largest_gap": 0.1, "changed": 0.0, "file_bytes": round(20_000 + BYTES[weights] * parameters),
        "weights_bytes": 4 * parameters, "environment": CPU,
        "race": Race(
            seconds=10.0, exported_samples_ms=(milliseconds,), torch_samples_ms=(2 * milliseconds,),
            exported_ms=milliseconds, torch_ms=2 * milliseconds, converged=True,
        ),
    }  # fmt: skip
    record = ExportRecord(**{**fields, **overrides})
    store.write(record)
    return record
