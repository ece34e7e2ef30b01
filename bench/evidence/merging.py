"""`serbench results merge DIR`: the records of another results folder, copied into one's own.

    merged = merge(Store(Path("theirs")), Store(Path("results")))
    merged.copied, merged.same, merged.conflicts

A run's predictions go with its record. What is there already is never overwritten: an identical record is
skipped, one of the same id and other content is a conflict, listed and left for people to settle.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.errors import Problem, SuiteError
from bench.evidence.store import KINDS, AnyRecord, Store, atomic, read


@dataclass(frozen=True)
class Merged:
    """Records copied, records that were there already, and their files that differ from ours."""

    copied: int
    same: int
    conflicts: tuple[Problem, ...]


def merge(source: Store, target: Store) -> Merged:
    """Copy the records of `source` that `target` lacks.

    SuiteError, before anything is copied, where `source` holds no records or one that cannot be read, or a
    run without its predictions.
    """
    records = [read(path, kind) for name, kind in KINDS.items() for path in source.paths(name)]
    if not records:
        raise SuiteError(f"{source.root}: no records to merge; name a results folder")
    copied, same = 0, 0
    conflicts: list[Problem] = []
    for files in [_files(record, source) for record in records]:
        places = {path: target.root / path.relative_to(source.root) for path in files}
        missing = [path for path, place in places.items() if not place.exists()]
        differing = [path for path in files if path not in missing and _differ(path, places[path])]
        conflicts += [Problem(path, f"differs from {places[path]}") for path in differing]
        if missing and not differing:
            for path in missing:
                _copy(path, places[path])
        copied += bool(missing and not differing)
        same += not missing and not differing
    return Merged(copied, same, tuple(conflicts))


def _files(record: AnyRecord, store: Store) -> list[Path]:
    """The files of a record, the record itself last: what a record says is there must be there."""
    path = store.record_path(record)
    if record.kind not in ("run", "export") or (record.kind == "run" and record.status != "ok"):
        return [path]
    predictions = store.predictions_path(record.id)
    if not predictions.is_file():
        raise SuiteError(f"{predictions}: missing, and its record is {path}; restore it")
    return [predictions, path]


def _differ(path: Path, place: Path) -> bool:
    return path.read_bytes() != place.read_bytes()


def _copy(path: Path, place: Path) -> None:
    with atomic(place) as temporary:
        temporary.write_bytes(path.read_bytes())
