"""From a checkpoint to an ONNX file that runs without torch: `serbench export`.

    card = export(Path("results/checkpoints/<id>.pt"), Path("model.onnx"), Order(weights="int8-dynamic"))
    export(path, out, Order(weights="int8-static"), calibration)       # clips of features (T, M), or samples

The float32 graph is first held against the model on noise, at lengths that it was not traced with; nothing is
written where they disagree. Weights are made smaller after that (`bench.export.compress`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import corpora
from bench.config import Pretrained
from bench.errors import SuiteError
from bench.evidence.records import Weights
from bench.evidence.store import atomic
from bench.export import compress, graph
from bench.export.card import Card, ClipCard, StreamCard, stamp
from bench.export.modules import Chunk, Whole
from bench.export.runtime import Exported, Stream
from bench.features.backbones import HOP, RECEPTIVE_FIELD, WINDOW_FRAMES
from bench.model import layout
from bench.model.tuned import is_tuned
from bench.training import checkpoint
from bench.training.checkpoint import Trained

Clip = NDArray[np.float32]  # features (T, M), or samples (N,)
TRACED = 24  # encoder frames of the example that a whole graph is traced with: more than a chunk of the ops
CHUNK, HEARD = 12, 20  # of a stream's example, and heard before it
BATCH = 2  # utterances of either
TRIED_FRAMES = 150  # of the noise that a graph is held against its model on
CLIP = ClipCard(shortest=RECEPTIVE_FIELD, longest=HOP * WINDOW_FRAMES + RECEPTIVE_FIELD - 1)
AGREEMENT = 1e-4  # relative to the largest output, and absolute


@dataclass(frozen=True)
class Order:
    """What file is asked for. `calibrated_on` says, for its card, what static int8 was calibrated on."""

    weights: Weights = "float32"
    streaming: bool = False
    calibrated_on: str = ""


def export(
    path: Path, out: Path, order: Order, calibration: Iterable[Clip] = (), models: Path | None = None
) -> Card:
    """Write the checkpoint at `path` as `out`, whole or not at all; returns the card inside.

    `calibration`: clips for static int8. `models` holds pretrained encoders, whose files say how one that was
    trained is built (None: SER_MODELS). SuiteError where the model cannot be exported, naming the layer, or
    the file says other numbers than the model.
    """
    _require_onnx()
    trained = checkpoint.load(path, models)
    module = Chunk(trained) if order.streaming else Whole(trained)
    card = _card(trained, path, order, module)
    with tempfile.TemporaryDirectory(prefix="serbench-") as folder:
        floating = Path(folder) / "float32.onnx"
        _write(module, card, floating)
        stamp(floating, card)
        _hold_against(module, Exported.load(floating))
        with atomic(out) as temporary:
            with graph.quiet():
                _shrink(floating, temporary, order.weights, calibration)
            stamp(temporary, card)
    return card


def checkpoints(named: Sequence[Path]) -> list[Path]:
    """The checkpoints named, and those in the folders named; SuiteError for a folder without any."""
    found: list[Path] = []
    for path in named:
        inside = sorted(path.glob("*.pt")) if path.is_dir() else [path]
        if not inside:
            raise SuiteError(f"{path}: no checkpoint in this folder; train one with `serbench run`")
        found += inside
    return list(dict.fromkeys(found))


def current(out: Path, path: Path, order: Order) -> bool:
    """Whether `out` is the file that the order asks for, of the checkpoint as it is at `path` now."""
    try:
        card = Exported.load(out).card
    except SuiteError:  # not there, damaged, or of another version
        return False
    found = card.checkpoint, card.weights, card.stream is not None
    return found == (digest(path), order.weights, order.streaming)


def _require_onnx() -> None:
    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if not importlib.util.find_spec(name)]
    if missing:
        raise SuiteError(f"export needs {' and '.join(missing)}; pip install 'serbench[export]'")


def _card(trained: Trained, path: Path, order: Order, module: Whole | Chunk) -> Card:
    cell = trained.cell
    stream = None
    if isinstance(module, Chunk):
        assert not isinstance(cell.features, Pretrained)  # which `Chunk` refuses
        look_ahead = cell.features.window_ms / 2
        stream = StreamCard(rate=module.stream.rate, look_ahead_ms=look_ahead, state=module.state_tensors())
    return Card(
        cell=cell,
        checkpoint=digest(path),
        label=layout.label(cell.system.layout, cell.features).text,
        emotions=trained.emotions,
        attributes=trained.attributes,
        weights=order.weights,
        calibrated_on=order.calibrated_on,
        licence=corpora.licence(cell.task.corpus),
        stream=stream,
        clip=CLIP if is_tuned(cell.features) else None,
    )


def digest(path: Path) -> str:
    """What a card calls a checkpoint: the first 16 hex digits of the file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _noise(card: Card, batch: int, frames: int) -> Tensor:
    """Features (B, T, M) of so many frames, or the samples (B, N) of as many hidden states."""
    shape = (
        (batch, HOP * frames + RECEPTIVE_FIELD) if card.clip else (batch, frames, card.cell.features.width)
    )
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _write(module: Whole | Chunk, card: Card, path: Path) -> None:
    """The float32 graph, its batch and lengths open."""
    both, rate = {0: graph.OPEN, 1: graph.OPEN}, card.cell.encoder.subsampling
    if isinstance(module, Whole):
        given = "frames" if card.clip is None else "samples"
        graph.write(module, (_noise(card, BATCH, rate * TRACED),), path, (both,), [given], module.names)
        return
    named, heard = [tensor.name for tensor in module.state_tensors()], _noise(card, BATCH, rate * HEARD)
    inputs = (_noise(card, BATCH, rate * CHUNK), *module.heard(heard))
    after = (*module.names, *(f"{name}_next" for name in named))
    graph.write(module, inputs, path, (both, module.open_axes(heard)), ["frames", *named], after)


@torch.inference_mode()
def _hold_against(module: Whole | Chunk, exported: Exported) -> None:
    """SuiteError where the graph and the module differ on noise that is no longer than a few seconds."""
    heard = _noise(exported.card, 1, TRIED_FRAMES)
    expected = module(heard) if isinstance(module, Whole) else module(heard, *module.first(1))
    found = exported.outputs(heard.numpy())
    for name, values in zip(module.names, expected, strict=False):
        apart = float(np.abs(found[name] - values.numpy()).max())
        if not apart <= AGREEMENT * (1 + float(values.abs().max())):
            raise SuiteError(
                f"export: the exported graph's {name} are {apart:.1e} from the model's; this is a fault of "
                "the exporter, and nothing was written: report it with the checkpoint's settings"
            )


def _shrink(source: Path, target: Path, weights: Weights, calibration: Iterable[Clip]) -> None:
    if weights == "float32":
        target.write_bytes(source.read_bytes())
    elif weights == "float16":
        compress.halve(source, target)
    elif weights == "int8-dynamic":
        compress.quantise_dynamic(source, target)
    else:
        compress.quantise_static(source, target, calls(Exported.load(source), calibration))


def calls(exported: Exported, clips: Iterable[Clip]) -> Iterator[dict[str, Any]]:
    """The inputs of every call on some clips: each whole, or second by second with the states on the way."""
    for clip in clips:
        if exported.card.stream is None:
            yield {exported.given: clip[None]}
            continue
        stream = Stream(exported)
        for chunk in exported.seconds(clip):
            yield stream.call(chunk)
            stream.push(chunk)
