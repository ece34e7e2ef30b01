"""Every recording of a corpus opened and looked at: what `serbench corpora check` prints.

    inspection = inspect(manifest)
    print("\\n".join(report_lines(manifest, inspection)))

Recordings with the same decoded samples are duplicates: where one stands in training and the other in
the test set, the score is too high.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from bench.corpora.manifest import ADDED, Fold, Manifest
from bench.errors import Problem, shown
from bench.features.audio import AudioError, decode
from bench.progress import track


@dataclass(frozen=True)
class Inspection:
    """What the recordings of a corpus hold; utterances that cannot be used are in `problems` alone."""

    durations_s: dict[str, float]
    sample_rates: dict[int, int]  # Hz → recordings
    channels: dict[int, int]  # number of channels → recordings
    problems: tuple[Problem, ...]
    duplicates: tuple[tuple[str, ...], ...]  # groups of utterances with the same samples

    @property
    def hours(self) -> float:
        """Speech that can be used, in hours."""
        return sum(self.durations_s.values()) / 3600


@dataclass(frozen=True)
class _Found:
    utterance: str
    problem: Problem | None = None
    duration_s: float = 0.0
    rate_hz: int = 0
    channels: int = 0
    digest: bytes = b""


def inspect(manifest: Manifest, workers: int = 2) -> Inspection:
    """Decode every recording of `manifest` on `workers` threads, with a progress bar."""
    rows = list(zip(manifest.table["utterance"], manifest.table["path"], strict=True))
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(lambda row: _look(row[0], manifest.root, Path(row[1])), rows)
        found = list(track(results, f"checking {manifest.corpus}", len(rows)))
    good = [each for each in found if each.problem is None]
    return Inspection(
        durations_s={each.utterance: each.duration_s for each in good},
        sample_rates=dict(sorted(Counter(each.rate_hz for each in good).items())),
        channels=dict(sorted(Counter(each.channels for each in good).items())),
        problems=tuple(each.problem for each in found if each.problem is not None),
        duplicates=_duplicates(good),
    )


def report_lines(manifest: Manifest, inspection: Inspection) -> list[str]:
    """The lines of `serbench corpora check`: what there is, the folds, and everything that is wrong."""
    return [
        *_summary(manifest, inspection),
        *(f"  {heading:<10} {text}" for heading, text in manifest.notes),
        *(f"  warning    {text}" for text in manifest.warnings),
        *(line for name in manifest.protocols for line in _protocol_lines(manifest, name)),
        *_problem_lines(manifest, inspection),
        *_duplicate_lines(manifest, inspection),
    ]


def _look(utterance: str, root: Path, path: Path) -> _Found:
    try:
        recording = decode(root / path)
    except AudioError as error:
        return _Found(utterance, Problem(path, str(error)))
    digest = hashlib.sha256(recording.samples.tobytes()).digest()
    channels = recording.samples.shape[1]
    return _Found(utterance, None, recording.duration_s, recording.rate_hz, channels, digest)


def _duplicates(found: Iterable[_Found]) -> tuple[tuple[str, ...], ...]:
    groups: dict[tuple[bytes, int, int], list[str]] = {}
    for each in found:
        groups.setdefault((each.digest, each.rate_hz, each.channels), []).append(each.utterance)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _summary(manifest: Manifest, inspection: Inspection) -> Iterator[str]:
    table = manifest.table
    genders = table.groupby("gender")["speaker"].nunique()
    by_gender = ", ".join(f"{count} {gender or 'of unknown gender'}" for gender, count in genders.items())
    yield f"{manifest.corpus}: {len(table):,} utterances, {inspection.hours:.2f} h, in {manifest.root}"
    yield f"  speakers   {table['speaker'].nunique()} ({by_gender})"
    yield f"  emotions   {_counts(table['emotion'], manifest.emotions)}"
    yield f"  sampling   {_tally(inspection.sample_rates, 'Hz')}; channels {_tally(inspection.channels)}"
    if inspection.durations_s:
        seconds = pd.Series(inspection.durations_s)
        yield f"  durations  {seconds.min():.2f} to {seconds.max():.2f} s, median {seconds.median():.2f} s"


def _counts(labels: pd.Series[str], order: Iterable[str]) -> str:
    counts = labels.value_counts()
    return ", ".join(f"{label} {counts.get(label, 0):,}" for label in order)


def _tally(counts: dict[int, int], unit: str = "") -> str:
    return ", ".join(f"{value:,} {unit}".rstrip() + f" ({count:,})" for value, count in counts.items()) or "–"


def _protocol_lines(manifest: Manifest, protocol: str) -> Iterator[str]:
    folds = manifest.folds(protocol)
    held_out = [fold for fold in folds if isinstance(fold, Fold)]
    verdict = _verdict(manifest, held_out) if held_out else _shared(manifest, protocol)
    yield f"  protocol   {protocol}: {_plural(len(folds), 'fold')}, {verdict}"
    for number in range(len(folds)):
        sizes = manifest.assign(protocol, number).value_counts()
        splits = ("train", "dev", *manifest.test_splits(protocol, number))
        yield f"    fold {number}   {', '.join(f'{split} {sizes.get(split, 0):,}' for split in splits)}"


def _verdict(manifest: Manifest, folds: list[Fold]) -> str:
    """Whether folds of speakers keep them apart and test each once, but for those who always train."""
    shared = [fault for number, fold in enumerate(folds) for fault in _fold_faults(fold, number)]
    tested = Counter(speaker for fold in folds for speaker in fold.test)
    added = manifest.table["split"] == ADDED
    always, present = (set(manifest.table["speaker"][rows]) for rows in (added, ~added))
    shared += [
        f"speaker {speaker} is tested {tested[speaker]} times" for speaker in present if tested[speaker] != 1
    ]
    faultless = "no speaker in two splits, every speaker tested once"
    if always:
        faultless += f", but for {_plural(len(always), 'speaker')} who always train"
    return "; ".join(sorted(shared)) or faultless


def _shared(manifest: Manifest, protocol: str) -> str:
    """How many of those whom a corpus's own splits train on they also hold out."""
    split = manifest.assign(protocol, 0)
    speaker = manifest.table.set_index("utterance")["speaker"].loc[split.index]
    trained = set(speaker[split == "train"])
    shared = trained & set(speaker[split != "train"])
    return f"{len(shared):,} of {_plural(len(trained), 'training speaker')} in a held-out split too"


def _fold_faults(fold: Fold, number: int) -> Iterator[str]:
    for speaker in sorted(set(fold.dev) & set(fold.test)):
        yield f"fold {number} has speaker {speaker} in dev and test"


def _problem_lines(manifest: Manifest, inspection: Inspection) -> Iterator[str]:
    problems = sorted((*manifest.problems, *inspection.problems))
    total = len(manifest) + len(manifest.problems)
    if not problems:
        yield f"  files      all {total:,} can be used"
        return
    yield f"  files      {len(problems):,} of {total:,} cannot be used"
    width = max(len(problem.name) for problem in problems)
    yield from (f"    {problem.name:{width}}  {shown(problem.reason)}" for problem in problems)


def _duplicate_lines(manifest: Manifest, inspection: Inspection) -> Iterator[str]:
    paths = dict(zip(manifest.table["utterance"], manifest.table["path"], strict=True))
    pairs = [pair for group in inspection.duplicates for pair in combinations(group, 2)]
    yield (
        f"  duplicates {_plural(len(pairs), 'pair')} with the same samples" if pairs else "  duplicates none"
    )
    yield from (f"    {paths[one]} = {paths[other]}" for one, other in pairs)


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
