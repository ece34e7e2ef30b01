"""The table of exported files: every file keeps its row, and a worse or slower one says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from export_fixtures import EMOTIONS, cell_of
from report_fixtures import CPU

from bench.config import Task
from bench.evidence.records import ExportRecord, ExportSetting, Label, Race
from bench.evidence.store import Store
from bench.report.exports import csv, exports, markdown, note, sentence


def write(
    store: Store, weights="int8-dynamic", wrong=0, ms=2.0, synthetic=False, streaming=False, **race
) -> str:
    """A check of 80 clips all right in torch, of which the file has `wrong` wrong; torch takes 4 ms."""
    setting = ExportSetting(
        cell=cell_of("retnet"), checkpoint="0" * 16, weights=weights, streaming=streaming, calibrated_on="",
        checked_on=Task(corpus="ravdess", protocol="luna"), device=CPU.device, threads=1,
    )  # fmt: skip
    labels = np.array(EMOTIONS)[np.arange(80) % 3]
    table = pd.DataFrame(
        {"utterance": np.arange(80), "speaker": [f"s{i % 8}" for i in range(80)], "label": labels}
    )
    for emotion in EMOTIONS:
        right = (labels == emotion).astype(float)
        table[f"logit_{emotion}"] = np.where(np.arange(80) < wrong, -right, right)
        table[f"reference_logit_{emotion}"] = right
    recall = [1 - (labels[:wrong] == emotion).sum() / (labels == emotion).sum() for emotion in EMOTIONS]
    timed = {"seconds": 10.0, "exported_samples_ms": (ms,), "torch_samples_ms": (4.0,), "exported_ms": ms}
    store.write_predictions(setting.id, table.assign(split="test"))
    store.write(
        ExportRecord(
            id=setting.id, setting=setting, label=Label(text="RetNet", mixers=("retnet",)),
            synthetic=synthetic, corpus_title="RAVDESS", emotions=EMOTIONS, attributes=(), utterances=80,
            metrics={"torch": {"uar": 1.0}, "exported": {"uar": float(np.mean(recall))}}, largest_gap=2.0,
            changed=wrong / 80, file_bytes=250_000, weights_bytes=700_000,
            race=Race(**({"torch_ms": 4.0, "converged": True} | timed | race)), environment=CPU,
        )
    )  # fmt: skip
    return setting.id


def test_a_worse_and_slower_file_keeps_its_row_and_says_so(tmp_path):
    store = Store(tmp_path)
    write(store, wrong=8, ms=6.0)
    ((_, row),) = exports(store).iterrows()
    assert note(row) == f"worse by {100 * (1 - row['exported']):.1f} points; slower than torch"
    assert row["delta"] == pytest.approx(row["exported"] - 1)
    text = markdown(exports(store))
    assert "slower than torch |" in text
    assert "| int8, dynamic |" in text
    assert "10.0 | 250 kB | 0.36× | 6 ms | 1.5× |" in text


def test_a_file_that_loses_a_point_or_less_has_no_note(tmp_path):
    write(Store(tmp_path))
    assert note(exports(Store(tmp_path)).iloc[0]) == ""


def test_a_time_that_has_not_settled_is_marked(tmp_path):
    write(Store(tmp_path), converged=False)
    assert note(exports(Store(tmp_path)).iloc[0]) == "time not settled"


def test_rows_go_from_float32_to_int8_and_synthetic_corpora_come_last(tmp_path):
    store = Store(tmp_path)
    write(store, "float32", synthetic=True, streaming=True)
    for weights in ("int8-static", "float16", "int8-dynamic", "float32"):
        write(store, weights)
    table = exports(store)
    assert table["weights"].tolist() == ["float32", "float16", "int8-dynamic", "int8-static", "float32"]
    text = markdown(table)
    assert text.index("## RAVDESS") < text.index("## Synthetic corpus (smoke test, not a result): RAVDESS")
    assert "| float32, streaming |" in text
    assert csv(table).count("\n") == 6


def test_the_sentence_has_score_interval_size_and_ratio(tmp_path):
    write(Store(tmp_path), wrong=2)
    told = sentence(exports(Store(tmp_path)).iloc[0])
    assert told.startswith(
        "int8, dynamic: 97.5 % UAR on 80 clips of 8 speakers, torch 100.0, difference −2.5 ["
    )
    assert told.endswith("250 kB; 2 ms, 0.5× torch's")


def test_without_records_there_is_no_table(tmp_path):
    assert exports(Store(tmp_path)).empty
