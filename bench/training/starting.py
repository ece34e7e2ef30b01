"""Where training starts: from random weights or those of an earlier run, with what of them frozen.

    check(cells, results, models)                         # before anything is trained
    start = weights(cells[0], results, models, emotions)  # None: random
    begin(student.model, cell.recipe, start)              # in place

`recipe.start` names a run of the same system, encoder and features whose checkpoint lies in the results
folder, trained on the same fold or on other corpora, else it may have heard who is scored. All of its weights
are taken, those of the head where it told the same emotions apart and had the same outputs. The statistics
that normalise log-mels are those of the new training split.

`recipe.lora` freezes what was trained before and learns low-rank updates of its projections
(`bench.model.lora`): those of the speech encoder where that is trained (`features.tuned`), and, from an
earlier run, those of the mixers too, when only the pooling and the head are trained in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from bench.config import Cell, Pretrained, Recipe, Recurrent, Settings, content_id
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.model import lora
from bench.model.model import Model
from bench.model.tuned import Tuned, is_tuned
from bench.training import checkpoint, samplers
from bench.training.losses import parts
from bench.training.teachers import heard_nobody_scored, named
from mixers import TokenMixer


def check(cells: Sequence[Cell], results: Path, models: Path | None) -> None:
    """SuiteError where a cell cannot start as it says."""
    for recipe, features in {(cell.recipe, cell.features): None for cell in cells}:
        if isinstance(features, Pretrained) and is_tuned(features) and features.text is not None:
            raise SuiteError(
                "a speech encoder that is trained stands without text; leave it out: --features.text.name ''"
            )
        if recipe.lora.rank and not recipe.start and not is_tuned(features):
            raise SuiteError(
                "low-rank adaptation needs weights that were trained before: let the speech encoder learn "
                "(--features.tuned transformer), start from a run (--recipe.start ID) or set "
                "--recipe.lora.rank 0"
            )
    starts = {(cell.system, content_id(cell.task)): cell for cell in cells if cell.recipe.start}
    found: set[Path] = set()
    for cell in starts.values():
        if cell.recipe.lora.rank and isinstance(cell.encoder, Recurrent):
            raise SuiteError(
                f"layout {cell.system.layout!r} holds no mixer whose projections low-rank adaptation could "
                "update; set --recipe.lora.rank 0"
            )
        guide = samplers.guide(cell)
        if guide is not None and guide.system != cell.system:
            raise SuiteError(
                f"--recipe.start {cell.recipe.start}: diverse batches are spread by another system "
                f"({_difference(guide.system, cell.system)}), which would start from the same weights; name "
                f"its layout with --recipe.guide, or choose --recipe.sampler uniform"
            )
        found.add(_earlier(cell, results)[0])
    for path in found:
        checkpoint.load_model(path, models)  # each once, to see that it can be


def weights(
    cell: Cell, results: Path, models: Path | None, emotions: Sequence[str]
) -> dict[str, Tensor] | None:
    """The weights that a cell starts from; None where these are random."""
    if not cell.recipe.start:
        return None
    path, earlier = _earlier(cell, results)
    found = checkpoint.load_model(path, models).model.state_dict()
    same = parts(earlier.cell.recipe, len(emotions)) == parts(cell.recipe, len(emotions))
    if same and earlier.emotions == tuple(emotions):
        return found
    return {name: value for name, value in found.items() if "head" not in name.split(".")}


def begin(model: Model, recipe: Recipe, start: dict[str, Tensor] | None) -> None:
    """Bring an untrained model to where its training starts."""
    if start is not None:
        model.load_state_dict(start, strict=False)  # without the head
    if recipe.lora.rank:
        _adapt(model, recipe)


def _adapt(model: Model, recipe: Recipe) -> None:
    adapted: list[nn.Module] = [model.speech] if isinstance(model, Tuned) else []
    if recipe.start:
        model.requires_grad_(False)
        reader = model.reader if isinstance(model, Tuned) else model
        for name in ("pooling", "head"):
            reader.get_submodule(name).requires_grad_(True)
        adapted += [module for module in reader.modules() if isinstance(module, TokenMixer)]
    for part in adapted:
        lora.adapt(part, recipe.lora)


def _earlier(cell: Cell, results: Path) -> tuple[Path, checkpoint.About]:
    """The checkpoint of the run that a cell starts from; SuiteError where there is none that fits."""
    path = Store(results).checkpoint_path(cell.recipe.start)
    if not path.is_file():
        raise SuiteError(
            f"--recipe.start {cell.recipe.start}: no checkpoint {path}; name a run of this results folder"
        )
    earlier = checkpoint.about(path)
    for name in ("system", "encoder", "features"):
        ours, theirs = getattr(cell, name), getattr(earlier.cell, name)
        if ours != theirs:
            raise SuiteError(
                f"--recipe.start {cell.recipe.start}: that run has another {name} "
                f"({_difference(theirs, ours)}); both must be alike"
            )
    if not heard_nobody_scored(earlier.cell.task, cell.task):
        raise SuiteError(
            f"--recipe.start {cell.recipe.start}: that run, of {named(earlier.cell.task)}, may have heard "
            f"speakers on whom {named(cell.task)} is scored; start from one of the same fold or other corpora"
        )
    return path, earlier


def _difference(theirs: Settings, ours: Settings) -> str:
    """The first setting that differs: "layout softmax, not kda"."""
    for name, value in theirs:
        if getattr(ours, name, None) != value:
            return f"{name} {value}, not {getattr(ours, name, 'that')}"
    return f"{type(theirs).__name__}, not {type(ours).__name__}"
