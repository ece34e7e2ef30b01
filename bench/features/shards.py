"""Arrays of many utterances on disk in float16: a folder of shards, each written whole or not at all.

    shards = Shards(folder, grouped(names, lengths, row_bytes))
    for number in shards.missing():                       # those that a killed process has left undone
        with shards.turn(number) as needed:               # None: another process is at it
            if needed:
                shards.write(number, {name: array_or_reason, …})
    shards.views()["name"], shards.lengths(), shards.problems()

A shard is a folder `<number>/` with `rows.npy`, the arrays (T_i, …) of its names one after another, and
`index.json`: their lengths, the names that have no array with the reason, and the SHA-256 of the rows.
`missing(verify=True)` reads all rows: a shard of which one byte differs is missing. Any number of processes
may read and write: they share the shards out, and none takes away what another has finished.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.features.cache import Lazily
from bench.folders import disk_errors, whole_folder
from bench.locks import only_one

SHARD_BYTES = 1 << 28  # what a kill can cost; more where there would be more than
MOST_SHARDS = 512  # as each that is read keeps a file open
BLOCK_BYTES = 1 << 22


def grouped(names: Sequence[str], lengths: Sequence[int], row_bytes: int) -> tuple[tuple[str, ...], ...]:
    """Names in shards of about `SHARD_BYTES`, in order; `lengths` are the rows that each will have."""
    limit = max(SHARD_BYTES, sum(lengths) * row_bytes // MOST_SHARDS)
    groups: list[list[str]] = []
    room = 0
    for name, rows in zip(names, lengths, strict=True):
        if room <= 0:
            groups.append([])
            room = limit
        groups[-1].append(name)
        room -= rows * row_bytes
    return tuple(map(tuple, groups))


@dataclass(frozen=True)
class Shards:
    """The shards of a folder; `groups` are the names of each."""

    folder: Path
    groups: tuple[tuple[str, ...], ...]
    _arrays: dict[int, NDArray[np.float16]] = field(default_factory=dict, repr=False)

    def missing(self, verify: bool = False) -> list[int]:
        """Shards that are not there or damaged; with `verify` their rows are read and compared."""
        return [number for number in range(len(self.groups)) if not self._whole(number, verify)]

    @contextmanager
    def turn(self, number: int, wait: bool = False) -> Iterator[bool | None]:
        """Whether shard `number` is still to be written: nobody else writes it within.

        None where another process is at it; with `wait` that one is waited for.
        """
        with disk_errors(self._path(number)), only_one(self.folder / f"{number:05}.lock", wait) as free:
            yield not self._whole(number, verify=True) if free else None

    def complete(self) -> bool:
        """Whether all shards are there."""
        return not self.missing()

    def write(self, number: int, found: Mapping[str, NDArray[np.float16] | str]) -> None:
        """Write shard `number`: an array of every name of its group, or the reason why there is none.

        SuiteError where the disk is full; what was written before stays.
        """
        shutil.rmtree(self._path(number), ignore_errors=True)
        values = {name: found[name] for name in self.groups[number]}
        arrays = [value for value in values.values() if not isinstance(value, str)]
        trailing = arrays[0].shape[1:] if arrays else ()
        digest = hashlib.sha256()
        with whole_folder(self._path(number)) as temporary:
            with (temporary / "rows.npy").open("wb") as file:
                shape = (sum(map(len, arrays)), *trailing)
                header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for array in arrays:
                    content = np.ascontiguousarray(array, "<f2").data.cast("B")
                    digest.update(content)
                    file.write(content)
            index = {
                "lengths": [0 if isinstance(value, str) else len(value) for value in values.values()],
                "problems": {name: value for name, value in values.items() if isinstance(value, str)},
                "sha256": digest.hexdigest(),
            }
            (temporary / "index.json").write_text(json.dumps(index), encoding="utf-8")

    def lengths(self) -> dict[str, int]:
        """Rows of every name; 0 where it has no array."""
        numbers = range(len(self.groups))
        return {
            name: rows
            for number in numbers
            for name, rows in zip(self.groups[number], self._index(number)["lengths"], strict=True)
        }

    def problems(self) -> dict[str, str]:
        """Why the others have no array."""
        found: dict[str, str] = {}
        for number in range(len(self.groups)):
            found |= self._index(number)["problems"]
        return found

    def views(self) -> Lazily:
        """Name → array (T, …) float16, a view of its shard, which is opened when first asked for."""
        places = {name: (number, start, rows) for name, number, start, rows in self._places() if rows}

        def read(name: str) -> NDArray[np.float16]:
            number, start, rows = places[name]
            if number not in self._arrays:
                self._arrays[number] = np.asarray(np.load(self._path(number) / "rows.npy", mmap_mode="r"))
            return self._arrays[number][start : start + rows]

        return Lazily(places, read)

    def _places(self) -> Iterator[tuple[str, int, int, int]]:
        for number, group in enumerate(self.groups):
            start = 0
            for name, rows in zip(group, self._index(number)["lengths"], strict=True):
                yield name, number, start, rows
                start += rows

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05}"

    def _index(self, number: int) -> Any:
        return json.loads((self._path(number) / "index.json").read_bytes())

    def _whole(self, number: int, verify: bool) -> bool:
        try:
            index = self._index(number)
            with (self._path(number) / "rows.npy").open("rb") as file:
                np.lib.format.read_magic(file)
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                left = (self._path(number) / "rows.npy").stat().st_size - file.tell()
                digest = _digest(file) if verify else index["sha256"]
            return (
                len(index["lengths"]) == len(self.groups[number])
                and set(index["problems"]) <= set(self.groups[number])
                and shape[0] == sum(index["lengths"])
                and left == int(np.prod(shape)) * dtype.itemsize
                and digest == index["sha256"]
            )
        except Exception:  # whatever a damaged file makes a reader raise
            return False


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
