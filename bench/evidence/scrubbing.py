"""`serbench results scrub`: records that name no machine, no user and no path outside a corpus.

    scrubbed = scrub(Store(Path("results")))
    scrubbed.changed          # files written anew; their ids are what they were
    scrubbed.faults           # what must not be changed, as the id depends on it

Host and user names are those of the machine where this runs; absolute paths are found wherever they were
written. Predictions keep the columns that records describe, so that no transcript can stand in them.
"""

from __future__ import annotations

import getpass
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench import private
from bench.attributes import ATTRIBUTES
from bench.errors import Problem
from bench.evidence.store import KINDS, AnyRecord, Store, read

IDENTITY = ("id", "config", "shape", "setting")  # fields that make a record's id, or are it
COLUMNS = ("split", "utterance", "speaker", "gender", "duration_s", "label", *ATTRIBUTES)
PREFIXES = ("logit_", "predicted_")


@dataclass(frozen=True)
class Scrubbed:
    """Files that held something private and were written anew, and what could not be taken out."""

    changed: tuple[Path, ...]
    faults: tuple[Problem, ...]


def scrub(store: Store, write: bool = True) -> Scrubbed:
    """Take out of a results folder what names a machine; without `write`, only say where that is.

    SuiteError where a record or its predictions cannot be read.
    """
    names, changed, faults = _names_here(), [], []
    for kind, record_type in KINDS.items():
        for path in store.paths(kind):
            record = read(path, record_type)
            clean = _clean(record, names)
            faults += [
                Problem(path, f"{field} is {said!r}, part of its id") for field, said in _fixed(record)
            ]
            if clean != record:
                changed.append(path)
                if write:
                    store.write(clean)
    for path in sorted((store.root / "predictions").glob("*.parquet")):
        table = store.predictions(path.stem)
        clean_table = _clean_predictions(table)
        if not clean_table.equals(table):
            changed.append(path)
            if write:
                store.write_predictions(path.stem, clean_table)
    return Scrubbed(tuple(changed), tuple(faults))


def _names_here() -> tuple[str, ...]:
    """The names of this host and user, as far as the system tells them."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        user = ""
    host = platform.node()
    return tuple({host, host.partition(".")[0], user})


def _clean(record: AnyRecord, names: Sequence[str]) -> AnyRecord:
    """The record with every text outside its identity made private."""
    fields = record.model_dump(mode="json")
    kept = {name: value for name, value in fields.items() if name in IDENTITY}
    skipped = {"skipped_files": [private.utterance(name) for name in fields.get("skipped_files", ())]}
    own = {name: value for name, value in fields.items() if name not in IDENTITY}
    if "skipped_files" in own:
        own |= skipped
    return type(record).model_validate(_mapped(own, names) | kept)


def _mapped(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, str):
        return private.text(value, names)
    if isinstance(value, dict):
        return {key: _mapped(one, names) for key, one in value.items()}
    return [_mapped(one, names) for one in value] if isinstance(value, list) else value


def _fixed(record: AnyRecord) -> Iterator[tuple[str, str]]:
    """Paths among the settings that make the id, with their field."""
    for name, value in record.model_dump(mode="json").items():
        if name in IDENTITY:
            yield from _paths(name, value)


def _paths(field: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and private.text(value) != value:
        yield field, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from _paths(f"{field}.{key}", one)


def _clean_predictions(table: pd.DataFrame) -> pd.DataFrame:
    kept = table[[name for name in table if name in COLUMNS or str(name).startswith(PREFIXES)]]
    return kept.assign(utterance=kept["utterance"].map(private.utterance).astype(kept["utterance"].dtype))
