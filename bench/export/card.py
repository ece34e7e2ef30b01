"""What an exported file says of itself: classes, features, model, weights, how it is fed, licence.

    stamp(path, card)            # writes it into the file's metadata; needs onnx
    card = parse(metadata)       # reads it back: ONNX Runtime's `custom_metadata_map`

The whole card is JSON under the key "serbench"; classes and licence stand under keys of their own too, for
people who look at the file with another tool. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from bench.config import Cell, Settings
from bench.errors import SuiteError
from bench.evidence.records import Weights

KEY = "serbench"


class StateTensor(Settings):
    """One tensor of a stream's state: input `name`, output `name` + "_next"; at first `fill` throughout.

    `shape` is that of one stream before its first frame; the axis `batch_axis` counts streams, and one of
    length 0 grows with the frames heard.
    """

    name: str
    shape: tuple[int, ...]
    batch_axis: int
    dtype: str
    fill: float


class StreamCard(Settings):
    """How a streaming file is fed: chunks of a multiple of `rate` frames, but the last of any number.

    `look_ahead_ms`: speech that a frame of features sees beyond its own time. The model adds none.
    """

    rate: int
    look_ahead_ms: float
    state: tuple[StateTensor, ...]


class ClipCard(Settings):
    """How a file that hears samples is fed: whole clips, mono, at the features' rate; lengths in samples."""

    shortest: int
    longest: int


class Card(Settings):
    """All that is needed to use an exported file, and to know where it comes from."""

    schema_version: Literal[1] = 1
    cell: Cell  # the settings it was trained with; its id is the run's
    checkpoint: str  # first 16 hex digits of the checkpoint file's SHA-256
    label: str  # of the system: "Mamba-2 ×3 + Softmax"
    emotions: tuple[str, ...]  # the order of `logits` and `probabilities`
    attributes: tuple[str, ...]  # the order of `attributes`
    weights: Weights
    calibrated_on: str = ""  # of static int8
    licence: str  # of what it was trained on
    stream: StreamCard | None = None  # None: whole utterances
    clip: ClipCard | None = None  # None: features are computed outside of the file


def stamp(path: Path, card: Card) -> None:
    """Write the card into the file, in place, and drop the operator sets that nothing in it uses."""
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(
        model,
        {
            KEY: card.model_dump_json(),
            "classes": ", ".join(card.emotions),
            "features": card.cell.features.model_dump_json(),
            "layout": f"{card.cell.system.layout} ({card.cell.system.direction})",
            "licence": card.licence,
        },
    )
    used = {"", *_domains(model.graph)}
    kept = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.save(model, path)


def _domains(graph: Any) -> set[str]:
    """The operator sets of a graph's nodes and of the graphs inside them."""
    found = {node.domain for node in graph.node}
    inner = (attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g"))
    return found.union(*map(_domains, inner))


def parse(metadata: Mapping[str, str], path: Path) -> Card:
    """The card of a file's metadata; SuiteError where there is none that this version reads."""
    if KEY not in metadata:
        raise SuiteError(f"{path}: not a file of `serbench export`: it carries no card; export a checkpoint")
    try:
        return Card.model_validate_json(metadata[KEY])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SuiteError(
            f"{path}: exported by another version of serbench ({where}: {first['msg']}); export it anew"
        ) from error
