"""The named samplers: which utterances make a batch, and (a curriculum) which tasks count when.

    uniform              every utterance once an epoch, in batches of like length
    class_balanced       every emotion as often in every batch
    curriculum           uniform batches; the tasks come in stages (`bench.training.curriculum`)
    diverse              every emotion, and gender where it is trained, as often in every batch, which is
                         chosen for spread in embedding space (`bench.training.spread`)
    curriculum_diverse   the curriculum, then diverse batches with the tasks of its last stage

    spread = samplers.spread(recipe, train, seed)        # None unless batches are diverse
    groups = samplers.groups(recipe, train, seed, epoch, spread)

All have as many batches an epoch, so that the schedule of the learning rate is the same, and all draw from
streams named by seed and epoch, so that all students of a cohort hear the same batches and a run that was
killed goes on with them. Diverse batches need a student's embeddings: those of the recipe's `guide`, a
layout. It trains beside every cohort, unrecorded where it is not one of its systems, so that a student has
the same batches, hence the same weights, alone and in any cohort. Where the guide fails, its last embeddings
stay.

Balanced batches stand for classes of one size, so class weights do not act on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.config import Cell, Direction, Recipe, Recurrent, System
from bench.errors import SuiteError
from bench.model import layout
from bench.training import streams
from bench.training.balanced import Strata
from bench.training.curriculum import curriculum_epochs
from bench.training.split import Split, buckets, shuffled
from bench.training.spread import Spread

Batching = Literal["uniform", "class_balanced", "diverse"]
DIVERSE = ("diverse", "curriculum_diverse")


def batching(recipe: Recipe, epoch: int) -> Batching:
    """How the batches of an epoch, counted from 0, are made."""
    if recipe.sampler == "curriculum":
        return "uniform"
    if recipe.sampler == "curriculum_diverse":
        return "uniform" if epoch < curriculum_epochs(recipe) else "diverse"
    return recipe.sampler


def groups(
    recipe: Recipe, train: Split, seed: int, epoch: int, spread: Spread | None = None
) -> list[NDArray[np.int64]]:
    """The batches of an epoch: positions in the train split. Diverse ones need `spread`."""
    kind, size = batching(recipe, epoch), recipe.batch_size
    if kind == "uniform":
        rng = streams.generator("batches", seed, epoch)
        return buckets(train.lengths, size, rng) if recipe.bucketed else shuffled(len(train), size, rng)
    if kind == "class_balanced":
        offered = Strata.of(train.labels).batches(train.lengths, size, ("balanced", seed), epoch)
        return [places[:, 0] for places in offered]
    assert spread is not None
    return spread.groups(train.lengths, size, epoch)


def spread(recipe: Recipe, train: Split, seed: int) -> Spread | None:
    """What diverse batches are chosen from; None where the recipe has none."""
    if recipe.sampler not in DIVERSE:
        return None
    strata = Strata.of(train.labels, train.genders if recipe.gender_weight else None)
    return Spread(len(train), strata, ("diverse", seed))


def guide(cell: Cell) -> Cell | None:
    """The cell of the student in whose embeddings a cohort's batches are spread; None where none are.

    SuiteError where its layout cannot be built in the encoder.
    """
    if cell.recipe.sampler not in DIVERSE:
        return None
    direction: Direction = "causal" if isinstance(cell.encoder, Recurrent) else "bidirectional"
    try:
        system = System(layout=layout.canonical(cell.recipe.guide), direction=direction)
        layout.check(system, cell.encoder)
    except SuiteError as error:
        raise SuiteError(f"--recipe.guide {cell.recipe.guide} cannot be trained: {error}") from error
    return cell.model_copy(update={"system": system})


def require_batches(recipe: Recipe, where: str, trained: Sequence[str], emotions: Sequence[str]) -> None:
    """SuiteError where balanced batches cannot be made: an emotion is missing, or a batch is too small.

    `trained` are the labels of the training utterances, one each; `emotions` those that the corpus
    has recordings of; `where` names the fold.
    """
    if recipe.sampler in ("uniform", "curriculum"):
        return
    counts = Counter(trained)
    missing = [emotion for emotion in emotions if not counts[emotion]]
    if missing:
        raise SuiteError(
            f"{where}: a balanced batch needs every emotion, and no training utterance is "
            f"{' or '.join(missing)}; choose other folds with --folds or --recipe.sampler uniform"
        )
    if recipe.batch_size < len(emotions):
        raise SuiteError(
            f"a balanced batch holds each of {len(emotions)} emotions, and --recipe.batch-size is "
            f"{recipe.batch_size}; raise it to {len(emotions)} at least, or choose --recipe.sampler uniform"
        )
