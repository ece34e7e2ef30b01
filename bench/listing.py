"""What `serbench mixers`, `corpora list`, `models check` and `profile --dry-run` print.

show(mixers_table(d_model=512, num_heads=4))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from rich.table import Table

import mixers
from bench import corpora
from bench.config import Extractor, Features, Profiling
from bench.console import plain_table
from bench.errors import SuiteError
from bench.evidence.records import Shape
from bench.report import units

if TYPE_CHECKING:
    from bench.gpu.run import Row

STREAM_S = 60  # the length of speech after which a stream's state is given


def mixers_table(d_model: int, num_heads: int) -> Table:
    """Every registered mixer: label, directions, parameters of one layer, complexity in T, state, paper.

    SuiteError where a mixer cannot be built at that size.
    """
    caption = f"state: what a causal stream keeps after {units.seconds(STREAM_S)} of speech, float32"
    columns = ("name", "label", "directions", "parameters", "time", "streaming state", "paper")
    title = f"Token mixers, one layer at d = {d_model}, {num_heads} heads"
    table = plain_table(title, columns, right=("parameters", "streaming state"), caption=caption)
    for name in mixers.available():
        entry = mixers.info(name)
        built = _in_each_direction(name, d_model, num_heads)
        size = sum(p.numel() for p in next(iter(built.values())).parameters())
        directions = " ".join(built)
        table.add_row(
            name, entry.label, directions, f"{size:,}", entry.complexity, _state(built), entry.paper
        )
    return table


def _in_each_direction(name: str, d_model: int, num_heads: int) -> dict[str, mixers.TokenMixer]:
    """The mixer in the directions that it takes; SuiteError with its own reason where there is none."""
    built, reason = {}, ""
    for direction in get_args(mixers.Direction):
        try:
            built[direction] = mixers.build(name, d_model, num_heads, direction)
        except ValueError as error:
            reason = str(error)
    if not built:
        raise SuiteError(f"mixer {name}: {reason}")
    return built


def _state(built: dict[str, mixers.TokenMixer]) -> str:
    """What a stream of the causal mixer keeps, and whether it must be run through `forward` anew."""
    causal = built.get("causal")
    if causal is None:
        return "–"
    kept = causal.state_bytes(round(STREAM_S * 1000 / Features().hop_ms))
    size = "–" if kept is None else units.memory(kept)
    return size if _streams(causal) else f"{size} (no streaming)"


def _streams(mixer: mixers.TokenMixer) -> bool:
    return type(mixer).extend is not mixers.TokenMixer.extend


def corpora_table() -> Table:
    """Every corpus that can be read: title, emotions, protocols, licence."""
    table = plain_table("Corpora", ("name", "title", "emotions", "protocols", "licence"))
    for name in corpora.names():
        corpus = corpora.find(name)
        folds = (f"{protocol} ({len(folds)} folds)" for protocol, folds in corpus.PROTOCOLS.items())
        emotions, protocols = str(len(corpus.EMOTIONS) or "any"), ", ".join(folds) or "any"
        table.add_row(name, corpus.TITLE, emotions, protocols, corpus.LICENCE)
    return table


def models_table(names: Sequence[str], models: Path | None) -> Table:
    """Pretrained encoders, each loaded whole: SuiteError at the first that cannot be used."""
    from bench.features.model_files import look
    from bench.features.speech import SpeechEncoder
    from bench.features.text import TextEncoder

    columns = ("name", "encodes", "architecture", "width", "layers", "parameters", "digest", "folder")
    table = plain_table("Pretrained encoders", columns, right=("width", "layers", "parameters"))
    for name in names:
        files = look(name, models)
        family = SpeechEncoder if files.use == "speech" else TextEncoder
        encoder = family.load(Extractor(name=name), models=models)
        found = encoder.extractor
        size = f"{sum(p.numel() for p in encoder.parameters()):,}"
        shape = (str(found.width), str(found.num_layers), size)
        table.add_row(name, files.use, files.kind, *shape, found.digest, str(files.folder))
    return table


def forecast_table(planned: Sequence[tuple[tuple[Shape, ...], float]], profiling: Profiling) -> Table:
    """What a profile would measure, a row a curve, and the least that it takes: curves with their seconds."""
    cells, seconds = sum(len(curve) for curve, _ in planned), sum(takes for _, takes in planned)
    title = f"{cells:,} cells, at least {seconds / 60:,.0f} min on {profiling.device}"
    slices = "" if profiling.minutes is None else f"; {profiling.minutes:g} min at a time"
    caption = (
        f"a call longer than the time limit of {profiling.time_limit_s:g} s takes a cell beyond that{slices}"
    )
    columns = ("target", "system", "direction", "work", "batch", "precision", "engine", "lengths", "at least")
    table = plain_table(title, columns, right=("at least",), caption=caption)
    for curve, takes in planned:
        shape = curve[0]
        batch = f"ragged, {shape.batch}" if shape.utterances_s else str(shape.batch)
        what = (shape.target, shape.system.layout, shape.system.direction, shape.work, batch)
        engine = f"{shape.engine}, fla" if shape.backend == "fla" else shape.engine
        lengths = " ".join(units.seconds(each.seconds).replace(" ", "") for each in curve)
        table.add_row(*what, shape.dtype, engine, lengths, f"{takes:.0f} s")
    return table


def slices_table(rows: Sequence[Row], hardware: str) -> Table:
    """The slices of `serbench run gpu`: cells, those left, and the least that these take."""
    cells, left = (sum(getattr(row, name) or 0 for row in rows) for name in ("cells", "left"))
    title = f"{len(rows)} slices, {cells:,} cells, {left:,} left, on {hardware or 'a GPU that is not here'}"
    caption = (
        "at least: process starts and sampling up to the time limit, or the mean cell on this GPU so far. "
        "Nothing of it was measured on a GPU that has no records, and compiling and tuning come on top; "
        "–: not known before a first cell is there."
    )
    table = plain_table(
        title, ("slice", "what", "cells", "left", "at least"), ("cells", "left", "at least"), caption
    )
    for row in rows:
        counts = [units.MISSING if count is None else f"{count:,}" for count in (row.cells, row.left)]
        least = units.MISSING if row.least_s is None else f"{row.least_s / 60:,.1f} min"
        about = f"{row.about} ({row.note})" if row.note else row.about
        table.add_row(row.name, about, *counts, least)
    return table
