"""Which trained recogniser teaches a cohort: kept under the results by digest, and fit to teach it.

    digests = adopt(("results/checkpoints/1f0c….pt",), store)    # when a run is planned: into records
    trained = teacher(cell, manifest.emotions, store)            # when it runs

A teacher must have heard none of the speakers that the students are scored on. So it was trained on the same
fold as they are, or on other corpora altogether; of several, that of the fold (and of the seed, where there
are more) teaches. An experiment over five folds therefore names five checkpoints, and its recipe is one.

A record holds digests of weights, no paths: the file is copied to `checkpoints/teachers/<digest>.pt`, so that
a run goes on where the original has gone, and one that names the digest finds it.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench import corpora
from bench.config import Cell, Recipe, Task
from bench.errors import SuiteError
from bench.evidence.store import Store, atomic
from bench.training import checkpoint
from bench.training.checkpoint import About, Trained


def adopt(named: Sequence[str], store: Store) -> tuple[str, ...]:
    """The digests of teachers named by path or digest, sorted, each of them now kept in the results folder.

    SuiteError where one is no checkpoint.
    """
    return tuple(sorted({_adopted(name, store) for name in named}))


def _adopted(name: str, store: Store) -> str:
    if store.teacher_path(name).is_file():
        return name
    if not Path(name).is_file():
        raise SuiteError(f"no checkpoint {name} to learn from; name the file of one with --recipe.teacher")
    digest = checkpoint.digest(Path(name))
    kept = store.teacher_path(digest)
    if not kept.is_file():
        with atomic(kept) as temporary:
            shutil.copyfile(name, temporary)
    return digest


def teacher(cell: Cell, emotions: Sequence[str], store: Store, models: Path | None = None) -> Trained | None:
    """The teacher of a cell, without frozen encoders; None where its recipe has none.

    `models` holds the files of a speech encoder that it was trained with (None: SER_MODELS).
    SuiteError where none fits: another fold, other emotions, other features, or nothing to teach.
    """
    if not cell.recipe.teacher:
        return None
    known = {digest: checkpoint.about(store.teacher_path(digest)) for digest in cell.recipe.teacher}
    digest, said = _of_fold(cell, known)
    name = f"teacher {digest} ({said.cell.system.layout}, {named(said.cell.task)})"
    if said.emotions != tuple(emotions):
        raise SuiteError(
            f"{name} tells {', '.join(said.emotions) or 'no emotions'} apart, and the students "
            f"{', '.join(emotions)}; name one of the same classes with --recipe.teacher"
        )
    if said.cell.features != cell.features:
        raise SuiteError(
            f"{name} hears other features than the students ({_unlike(said.cell, cell)}); name one that "
            "hears theirs with --recipe.teacher, or give them its own"
        )
    return checkpoint.load_model(store.teacher_path(digest), models)


def _of_fold(cell: Cell, known: dict[str, About]) -> tuple[str, About]:
    fit = {digest: one for digest, one in known.items() if one.cell.task == cell.task}
    fit = fit or {
        digest: one for digest, one in known.items() if heard_nobody_scored(one.cell.task, cell.task)
    }
    if len(fit) > 1:
        fit = {digest: one for digest, one in fit.items() if one.cell.seed == cell.seed}
    if len(fit) == 1:
        return next(iter(fit.items()))
    trained = ", ".join(sorted({named(one.cell.task) for one in known.values()}))
    count = f"{len(fit)} fit" if fit else "none fits"
    raise SuiteError(
        f"{named(cell.task)} seed {cell.seed} wants one teacher trained on the same fold, or on other "
        f"corpora (else it may have heard speakers that the students are scored on), and of those named, on "
        f"{trained}, {count}; name one a fold with --recipe.teacher"
    )


def heard_nobody_scored(earlier: Task, task: Task) -> bool:
    """Whether who was trained on `earlier` can have heard nobody on whom `task` is scored.

    That is so on the same fold, and where the two have no corpus in common.
    """
    shared = set(corpora.parts(earlier.corpus)) & set(corpora.parts(task.corpus))
    return earlier == task or not shared


def named(task: Task) -> str:
    """For people: corpus, protocol and fold."""
    return f"{task.corpus}/{task.protocol} fold {task.fold}"


def _unlike(one: Cell, other: Cell) -> str:
    """The first setting of the features that differs."""
    theirs, ours = one.features.model_dump(), other.features.model_dump()
    name = next(name for name in theirs | ours if theirs.get(name) != ours.get(name))
    return f"{name} {theirs.get(name)}, theirs {ours.get(name)}"


def require_teaching(recipe: Recipe) -> None:
    """SuiteError where a recipe names a teacher of emotions and trains none, or learns nothing from it."""
    if not recipe.teacher:
        return
    if not recipe.logit_weight and not recipe.feature_weight:
        raise SuiteError(
            "nothing is learnt from --recipe.teacher: raise --recipe.logit-weight or --recipe.feature-weight "
            "above 0"
        )
    if recipe.logit_weight and not recipe.emotion_weight:
        raise SuiteError(
            "--recipe.logit-weight teaches the probabilities of emotions, which are not trained; set it to 0 "
            "or raise --recipe.emotion-weight above 0"
        )
