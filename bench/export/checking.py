"""What an exported file loses and gains: score, size and latency beside its checkpoint's, as a record.

    record = check(Path("model.onnx"), Path("results/checkpoints/<id>.pt"), "ravdess/luna", folders)
    record.metrics["exported"]["uar"], record.metrics["torch"]["uar"], record.race.ratio

Both hear the same clips of the task's test split, so that their difference is paired; its interval over
speakers is taken from the stored predictions (`bench.evidence.exports`). They are timed in turns, each on one
thread, on the same noise: ten seconds whole, or of a stream the second after ten.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from bench.config import Task
from bench.errors import SuiteError
from bench.evidence import summary
from bench.evidence.exports import agreement, reference
from bench.evidence.records import ExportRecord, ExportSetting, Race
from bench.evidence.store import Store
from bench.export.material import asked, heldout, material
from bench.export.modules import Chunk, Whole
from bench.export.runtime import Exported, Outputs, Stream
from bench.folders import Folders
from bench.measuring import environment
from bench.measuring.latency import Run, sample_in_turns
from bench.model import layout
from bench.progress import track
from bench.training import checkpoint
from bench.training.checkpoint import Trained
from bench.training.split import Split

LENGTH_S = 10.0  # of the noise that whole utterances are timed on; of a stream, heard before the timed second
THREADS = 1


def check(file: Path, checkpoint_path: Path, task: str, folders: Folders) -> ExportRecord:
    """Hold `file` against the checkpoint that it was exported from, and write the record and its predictions.

    SuiteError where the task's recordings are not there, or its emotions are others.
    """
    torch.set_num_threads(THREADS)
    trained, exported = checkpoint.load(checkpoint_path, folders.models), Exported.load(file, THREADS)
    data, done_on = material(task, trained.cell, folders)
    splits = heldout(data, trained.emotions)
    table = predictions(splits, trained, exported)
    here = environment.describe(THREADS)
    setting = _setting(exported, done_on, here.device)
    scores: dict[Literal["exported", "torch"], dict[str, float]] = {
        "exported": summary.of(table, trained.emotions, trained.attributes)["test"],
        "torch": summary.of(reference(table), trained.emotions, trained.attributes)["test"],
    }
    gap, changed = agreement(table, trained.emotions, trained.attributes)
    record = ExportRecord(
        id=setting.id,
        setting=setting,
        label=layout.label(trained.cell.system.layout, trained.cell.features),
        synthetic=data.manifest.synthetic,
        corpus_title=data.manifest.title,
        emotions=trained.emotions,
        attributes=trained.attributes,
        utterances=len(table),
        metrics=scores,
        largest_gap=gap,
        changed=changed,
        file_bytes=file.stat().st_size,
        weights_bytes=4 * trained.model.parameter_counts().total,
        race=race(trained, exported),
        environment=here,
    )
    store = Store(folders.results)
    store.write_predictions(record.id, table)
    store.write(record)
    return record


def recorded(file: Path, task: str, folders: Folders) -> bool:
    """Whether `file` was checked on a task on this machine: where its own is asked for, else False."""
    exported = Exported.load(file)
    setting = _setting(exported, asked(task, exported.cell), environment.describe(THREADS).device)
    return Store(folders.results).export_path(setting.id).is_file()


def _setting(exported: Exported, task: Task, device: str) -> ExportSetting:
    card = exported.card
    return ExportSetting(
        cell=card.cell,
        checkpoint=card.checkpoint,
        weights=card.weights,
        streaming=card.stream is not None,
        calibrated_on=card.calibrated_on,
        checked_on=task,
        device=device,
        threads=THREADS,
    )


@torch.inference_mode()
def predictions(splits: Sequence[Split], trained: Trained, exported: Exported) -> pd.DataFrame:
    """What both say of every clip, as `bench.evidence.records` describes it.

    Clips that the file cannot hear (`Exported.unfit`) are left out, and counted on standard error.
    """
    whole, tables = Whole(trained).eval(), []
    for split in splits:
        ours: list[Outputs] = []
        theirs: list[Outputs] = []
        heard: list[int] = []
        for position in track(range(len(split)), "checking clips", len(split)):
            frames = np.array(split.frames(position))
            if exported.unfit(len(frames)):
                continue
            heard.append(position)
            ours.append(exported.outputs(frames[None]))
            answers = whole(torch.from_numpy(frames)[None])
            theirs.append({name: answer.numpy() for name, answer in zip(whole.names, answers, strict=True)})
        if left := len(split) - len(heard):
            print(f"serbench: {left} clips left out, too short or too long for the file", file=sys.stderr)
        if not heard:
            continue
        rows = split.table.iloc[heard]
        table = rows[["utterance", "speaker", "gender", "duration_s"]]
        table = table.assign(label=rows["emotion"], split="test")
        truth = {name: rows[name].to_numpy(np.float64) for name in trained.attributes}
        columns = truth | _columns("", trained, ours) | _columns("reference_", trained, theirs)
        tables.append(table.assign(**columns))
    if not tables:
        raise SuiteError("export: the file can hear no clip of this task; check it on another")
    return pd.concat(tables, ignore_index=True)


def _columns(prefix: str, trained: Trained, outputs: Sequence[Outputs]) -> dict[str, NDArray[np.float32]]:
    """A column (N,) an emotion and an attribute."""
    columns: dict[str, NDArray[np.float32]] = {}
    if trained.emotions:
        logits = np.concatenate([each["logits"] for each in outputs])
        columns |= {f"{prefix}logit_{name}": logits[:, i] for i, name in enumerate(trained.emotions)}
    if trained.attributes:
        values = np.concatenate([each["attributes"] for each in outputs])
        columns |= {f"{prefix}predicted_{name}": values[:, i] for i, name in enumerate(trained.attributes)}
    return columns


def race(trained: Trained, exported: Exported) -> Race:
    """Both on the same noise, timed in turns."""
    stream = exported.card.stream is not None
    runs = _chunk_runs(trained, exported) if stream else _whole_runs(trained, exported)
    ours, theirs = sample_in_turns(runs)
    return Race(
        seconds=1.0 if stream else LENGTH_S,
        heard_s=LENGTH_S if stream else None,
        exported_samples_ms=ours.samples_ms,
        torch_samples_ms=theirs.samples_ms,
        exported_ms=ours.median,
        torch_ms=theirs.median,
        converged=ours.converged and theirs.converged,
    )


def _whole_runs(trained: Trained, exported: Exported) -> tuple[Run, Run]:
    module = Whole(trained).eval()
    heard = _noise(exported, LENGTH_S)
    tensor = torch.from_numpy(heard)[None]
    feed = {exported.given: heard[None]}
    return lambda: exported.session.run(None, feed), torch.inference_mode()(lambda: module(tensor))


def _chunk_runs(trained: Trained, exported: Exported) -> tuple[Run, Run]:
    module, stream = Chunk(trained).eval(), Stream(exported)
    heard = _noise(exported, LENGTH_S)
    chunk = next(exported.seconds(_noise(exported, 2.0)))
    for each in exported.seconds(heard):
        stream.push(each)
    feed = stream.call(chunk)
    inputs = [torch.from_numpy(value) for value in feed.values()]
    return lambda: exported.session.run(None, feed), torch.inference_mode()(lambda: module(*inputs))


def _noise(exported: Exported, seconds: float) -> NDArray[np.float32]:
    """Features (T, M) of so many seconds, or samples (N,)."""
    features = exported.cell.features
    if exported.card.clip is not None:
        shape: tuple[int, ...] = (round(seconds * features.sample_rate_hz),)
    else:
        shape = round(1000 * seconds / features.hop_ms), features.width
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
