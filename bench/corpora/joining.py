"""Several manifests as one: trained on some corpora and tested on another, or with some added to training.

    manifest = join(combination, {"ravdess": ravdess, "emodb": emodb})
    manifest.folds("cross")                      # one fold: RAVDESS trains, EMO-DB is the test split

Protocol `cross`, where there is a target, is one fold. Of a source, the development speakers of the first
fold of its first protocol choose the epoch, and all its other speakers train; where that protocol is splits
of the corpus's own, these do, and its test splits have no part. All of an added corpus trains. All of the
target is tested, or the test splits that its first protocol has of its own, under their names.

Without a target the protocols are those of the one source, and all of every added corpus trains in each
fold. A protocol's name keeps the endings that say which release or table its parts are (`cross-2.0`).

Classes are words in one spelling (`bench.corpora.label_maps`): those of the label set or, without one, those
that all the sources and the target have. Utterances of other classes are left out and counted in the notes.
Attributes are left out: each corpus rates them on a scale of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from bench.corpora.combination import Combination
from bench.corpora.label_maps import LABEL_SETS, classes_of
from bench.corpora.manifest import ADDED, COLUMNS, Fold, Manifest, OwnSplits
from bench.errors import Problem, SuiteError

CROSS = "cross"

Parts = Mapping[str, Manifest]
Classes = Mapping[str, Mapping[str, str]]  # for each part, the class of each of its emotions that has one


def join(combination: Combination, parts: Parts) -> Manifest:
    """One manifest of all parts, which are given by the names that they have in `combination`.

    SuiteError listing the emotions of each where the labels do not map: fewer than two classes, or a class
    that is tested and never trained.
    """
    classes = _classes(combination, parts)
    root = Path(os.path.commonpath([part.root.absolute() for part in parts.values()]))
    splits = _splits(combination, parts)
    tables = {name: _table(part, classes[name], splits[name], root) for name, part in parts.items()}
    _require_training(combination, parts, tables)
    table = pd.concat(tables.values()).astype(COLUMNS).sort_values("utterance", ignore_index=True)
    return Manifest(
        combination.name,
        _title(combination, parts),
        root,
        _order(combination, classes),
        table,
        _protocols(combination, parts, table),
        synthetic=any(part.synthetic for part in parts.values()),
        problems=tuple(_problems(parts.values(), root)),
        notes=tuple(_notes(parts, classes, tables)),
        warnings=tuple(f"{part.title}: {text}" for part in parts.values() for text in part.warnings),
        parts=tuple(parts.values()),
    )


def _classes(combination: Combination, parts: Parts) -> Classes:
    """SuiteError where fewer than two classes are left, or none of a part."""
    every = {name: classes_of(combination.label_set, part.emotions) for name, part in parts.items()}
    held = [set(every[name].values()) for name in combination.deciding]
    shared = set.union(*held) if combination.label_set else set.intersection(*held)
    kept = {
        name: {emotion: label for emotion, label in own.items() if label in shared}
        for name, own in every.items()
    }
    if len(shared) < 2:
        raise _unmapped(combination, parts, "fewer than two classes are in common")
    for name, own in kept.items():
        if not own:
            raise _unmapped(
                combination, parts, f"{parts[name].title} has none of {', '.join(sorted(shared))}"
            )
    return kept


def _order(combination: Combination, classes: Classes) -> tuple[str, ...]:
    """The classes of sources and target, in the order of the label set, else of the first source."""
    found = [label for name in combination.deciding for label in classes[name].values()]
    first = LABEL_SETS.get(combination.label_set, {}).values()
    return tuple(label for label in dict.fromkeys([*first, *found]) if label in found)


def _unmapped(combination: Combination, parts: Parts, reason: str) -> SuiteError:
    held = "; ".join(f"{part.title} has {', '.join(part.emotions)}" for part in parts.values())
    return SuiteError(f"{combination.name}: the labels do not map: {reason}; {held}")


def _splits(combination: Combination, parts: Parts) -> dict[str, pd.Series[str]]:
    """For each part, the value of the column `split` of each row that takes part."""
    if not combination.target:
        source = combination.sources[0]
        added = {name: _all(parts[name], ADDED) for name in combination.added}
        return {source: parts[source].table["split"]} | added
    return {
        **{name: _trained(parts[name]) for name in combination.sources},
        combination.target: _tested(parts[combination.target]),
        **{name: _all(parts[name], "train") for name in combination.added},
    }


def _all(part: Manifest, split: str) -> pd.Series[str]:
    return pd.Series(split, index=part.table.index, dtype="str")


def _first_fold(part: Manifest) -> Fold | OwnSplits:
    return next(iter(part.protocols.values()))[0]


def _trained(part: Manifest) -> pd.Series[str]:
    """Train or dev, of the rows of a source that are either."""
    fold = _first_fold(part)
    split = fold.assign(part.table)
    if isinstance(fold, Fold):
        return split.mask(split != "dev", "train")
    return split[split.isin(("train", "dev"))]


def _tested(part: Manifest) -> pd.Series[str]:
    """The test split of the rows of a target that are in one."""
    fold = _first_fold(part)
    if isinstance(fold, Fold) or not fold.test_splits:
        return _all(part, "test")
    split = fold.assign(part.table)
    return split[split.isin(fold.test_splits)]


def _table(part: Manifest, classes: Mapping[str, str], split: pd.Series[str], root: Path) -> pd.DataFrame:
    """The rows that take part and have a class, under names that no other corpus has; paths from `root`."""
    table = part.table.loc[split.index]
    table = table[table["emotion"].isin(classes)]
    return table.assign(
        utterance=f"{part.corpus}/" + table["utterance"],
        path=_paths(part.root, root, table["path"]),
        speaker=f"{part.corpus}/" + table["speaker"],
        emotion=table["emotion"].map(dict(classes)),
        split=split.loc[table.index],
        **dict.fromkeys(("arousal", "valence", "dominance"), float("nan")),
    )


def _paths(own: Path, root: Path, paths: pd.Series[str]) -> pd.Series[str]:
    """Paths from `own` as paths from `root`, a folder above it; absolute ones stay."""
    below = own.absolute().relative_to(root)
    return (
        paths if below == Path() else paths.where(paths.str.startswith("/"), f"{below.as_posix()}/" + paths)
    )


def _require_training(combination: Combination, parts: Parts, tables: Mapping[str, pd.DataFrame]) -> None:
    """SuiteError where the target has a class of which no utterance trains, or no class at all."""
    if not combination.target:
        return
    tested = set(tables[combination.target]["emotion"])
    training = [table for name, table in tables.items() if name != combination.target]
    trained = {label for table in training for label in table["emotion"][table["split"] == "train"]}
    if not tested:
        raise _unmapped(combination, parts, f"no utterance of {parts[combination.target].title} has a class")
    if tested - trained:
        missing = ", ".join(sorted(tested - trained))
        raise _unmapped(combination, parts, f"{missing} would be tested, and no training utterance has it")


def _protocols(
    combination: Combination, parts: Parts, table: pd.DataFrame
) -> dict[str, tuple[Fold | OwnSplits, ...]]:
    if combination.target:
        tests = sorted(set(table["split"].unique()) - {"train", "dev"})
        roles = {name: name for name in ("train", "dev", *tests)}
        return {CROSS + _endings(parts.values()): (OwnSplits(roles),)}
    source, ending = combination.sources[0], _endings(parts[name] for name in combination.added)
    own = parts[source].protocols
    return {name + ending: tuple(_with_added(source, fold) for fold in folds) for name, folds in own.items()}


def _with_added(source: str, fold: Fold | OwnSplits) -> Fold | OwnSplits:
    """A fold of the one source, by the names that its speakers have now; what is added trains."""
    if isinstance(fold, OwnSplits):
        return replace(fold, roles={**fold.roles, ADDED: "train"})
    dev, test = (tuple(f"{source}/{speaker}" for speaker in held) for held in (fold.dev, fold.test))
    return Fold(dev, test)


def _endings(parts: Iterable[Manifest]) -> str:
    """Which release or table the parts are, as the names of their protocols end."""
    endings = (next(iter(part.protocols)).partition("-")[2] for part in parts)
    return "".join(f"-{ending}" for ending in endings if ending)


def _title(combination: Combination, parts: Parts) -> str:
    """`RAVDESS + CREMA-D → EMO-DB`, `IEMOCAP with CREMA-D (label set four)`."""
    sources, added = (
        " + ".join(parts[name].title for name in names) for names in (combination.sources, combination.added)
    )
    title = f"{sources} with {added}" if added else sources
    title += f" → {parts[combination.target].title}" if combination.target else ""
    return f"{title} (label set {combination.label_set})" if combination.label_set else title


def _problems(parts: Iterable[Manifest], root: Path) -> Iterator[Problem]:
    for part in parts:
        below = part.root.absolute().relative_to(root)
        yield from (Problem(below / problem.path, problem.reason) for problem in part.problems)


def _notes(parts: Parts, classes: Classes, tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, str]]:
    for name, part in parts.items():
        taken = f"{len(tables[name]):,} of {len(part):,} utterances take part"
        yield "part", f"{part.title}: {taken}, from {part.root}"
        merged = [f"{emotion} as {label}" for emotion, label in classes[name].items() if emotion != label]
        if merged:
            yield "classes", f"{part.title}: {', '.join(merged)}"
        counts = part.table["emotion"].value_counts()
        outside = [
            f"{emotion} {counts[emotion]:,}" for emotion in counts.index if emotion not in classes[name]
        ]
        if outside:
            yield "left out", f"{part.title}: {', '.join(outside)}"
        yield from ((heading, f"{part.title}: {text}") for heading, text in part.notes)
