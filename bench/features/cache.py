"""Log-mels of a whole corpus on disk: computed once, then read as views of one memory map.

    store = prepare(manifest, Features(), cache_folder())
    store["03-01-01-01-01-01-01"]            # (T, M) float32, read-only
    store.frames["03-01-01-01-01-01-01"], store.durations_s["03-01-01-01-01-01-01"], store.skipped

Corpora that are joined have no features of their own: those of each part are read where they lie.

`<cache>/features/<key>/` holds `frames.npy` (all utterances one after another, (ΣT, M) float32),
`index.parquet` (utterance, start, frames, duration_s, problem) and `sums.json` (the SHA-256 of both). The
key is a hash of the settings and of every file's name, size and time of change, so that an edited recording
is never read from the cache. A damaged folder is made again; with `verify` one flipped bit is damage. One
process makes a folder, and others that want it wait.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.config import AnyFeatures
from bench.corpora.manifest import Manifest
from bench.errors import Problem, SuiteError, UnusableFiles
from bench.features.audio import AudioError, read, stamp
from bench.folders import cache_folder, disk_errors, whole_folder
from bench.locks import only_one, sweep
from bench.progress import track

__all__ = ["FeatureStore", "cache_folder", "prepare"]

VERSION = 1  # of what is in the folder; raised when the same settings would give other numbers
SUMMED = ("frames.npy", "index.parquet")
MEND = "Mend or remove them, or pass --skip-bad to train on the rest (recorded in every result)."


class Lazily(Mapping[str, NDArray]):
    """What `read` gives for each key, at the time when it is asked for."""

    def __init__(self, keys: Iterable[str], read: Callable[[str], NDArray]) -> None:
        self._keys, self._read = dict.fromkeys(keys), read

    def __getitem__(self, key: str) -> NDArray:
        if key not in self._keys:
            raise KeyError(key)
        return self._read(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


@dataclass(frozen=True, eq=False)
class FeatureStore(Mapping[str, NDArray]):
    """Utterance → log-mel frames (T, M), float32, read-only; T in `frames`, seconds in `durations_s`.

    Of `bench.features.plan` also hidden states (T, L, M) float16, or samples (T,) float32.
    """

    utterances: tuple[str, ...]
    frames: dict[str, int]
    durations_s: dict[str, float]
    skipped: tuple[Problem, ...]
    _views: Mapping[str, NDArray]

    def __getitem__(self, utterance: str) -> NDArray:
        """A view of the memory map; KeyError for an utterance that the store has not."""
        return self._views[utterance]

    def __iter__(self) -> Iterator[str]:
        return iter(self.utterances)

    def __len__(self) -> int:
        return len(self.utterances)


def prepare(
    manifest: Manifest, features: AnyFeatures, cache: Path, *, skip_bad: bool = False, verify: bool = False
) -> FeatureStore:
    """The log-mels of every utterance of `manifest`, from `cache` or computed into it.

    With `verify` all that is there is read and compared with its sums, and what killed processes have left
    is removed. UnusableFiles lists all recordings that cannot be used; with `skip_bad` they are left out and
    listed in `FeatureStore.skipped`. SuiteError where no recording is left or the disk is full.
    """
    if manifest.parts:
        parts = {
            part.corpus: prepare(part, features, cache, skip_bad=skip_bad, verify=verify)
            for part in manifest.parts
        }
        return joined(parts)
    folder = cache / "features" / _key(manifest, features)
    if verify:
        sweep(folder.parent)
    index = _load_index(folder, manifest, features, verify)
    if index is None:
        index = _made(folder, manifest, features)
    problems = listed(manifest, _problems(index, manifest), skip_bad and bool(index["frames"].any()))
    return _open(folder, index, problems)


def _made(folder: Path, manifest: Manifest, features: AnyFeatures) -> pd.DataFrame:
    """The index of a folder that was not there, or damaged: made here, or meanwhile by another process."""
    with disk_errors(folder), only_one(folder.with_name(f"{folder.name}.lock")):
        index = _load_index(folder, manifest, features, verify=True)
        if index is None:
            shutil.rmtree(folder, ignore_errors=True)
            with whole_folder(folder) as temporary:
                _build(manifest, features, temporary)
            index = _load_index(folder, manifest, features, verify=True)
    if index is None:
        raise SuiteError(f"{folder}: what was just written cannot be read back; check the disk")
    return index


def listed(manifest: Manifest, found: tuple[Problem, ...], skip: bool) -> tuple[Problem, ...]:
    """All problems of a corpus, those `found` in its recordings too; unless `skip`, any is UnusableFiles."""
    problems = (*manifest.problems, *found)
    if problems and not skip:
        total = len(manifest) + len(manifest.problems)
        what = f"{manifest.corpus}: {len(problems)} of {total} files cannot be used"
        raise UnusableFiles(what, problems, MEND)
    return problems


def _key(manifest: Manifest, features: AnyFeatures) -> str:
    parts = [VERSION, manifest.corpus, features.model_dump(mode="json")]
    parts += [(path, *stamp(manifest.root / path)) for path in manifest.table["path"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _build(manifest: Manifest, features: AnyFeatures, folder: Path) -> None:
    """Write `frames.npy` utterance by utterance, its header last, `index.parquet` and `sums.json`."""
    rows: list[tuple[str, int, int, float, str]] = []
    start = 0
    with (folder / "frames.npy").open("wb") as file:
        _write_header(file, 0, features.width)
        for utterance, frames, duration_s, problem in _computed(manifest, features):
            file.write(frames.tobytes())
            rows.append((utterance, start, len(frames), duration_s, problem))
            start += len(frames)
        file.seek(0)
        _write_header(file, start, features.width)
    index = pd.DataFrame(rows, columns=["utterance", "start", "frames", "duration_s", "problem"])
    index.to_parquet(folder / "index.parquet", index=False)
    (folder / "sums.json").write_text(json.dumps(_sums(folder)), encoding="utf-8")


def _sums(folder: Path) -> dict[str, str]:
    """The SHA-256 of what a folder holds, by name."""
    sums = {}
    for name in SUMMED:
        with (folder / name).open("rb") as file:
            sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def _write_header(file: BinaryIO, frames: int, num_mels: int) -> None:
    """NumPy pads the header so that its length is the same for any number of frames."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (frames, num_mels)}
    np.lib.format.write_array_header_1_0(file, header)


def _computed(
    manifest: Manifest, features: AnyFeatures
) -> Iterator[tuple[str, NDArray[np.float32], float, str]]:
    """Utterance, frames (T, M), seconds, and the reason why there are no frames, in manifest order."""
    import torch

    from bench.features.transform import transform

    frames_of = transform(features)
    rows = zip(manifest.table["utterance"], manifest.table["path"], strict=True)
    for utterance, path in track(rows, f"features of {manifest.corpus}", len(manifest)):
        try:
            samples = read(manifest.root / path, features.sample_rate_hz)
        except AudioError as error:
            yield utterance, np.empty((0, features.width), np.float32), float("nan"), str(error)
        else:
            with torch.inference_mode():
                frames = frames_of(torch.from_numpy(samples)).numpy()
            yield utterance, frames, len(samples) / features.sample_rate_hz, ""


def _load_index(folder: Path, manifest: Manifest, features: AnyFeatures, verify: bool) -> pd.DataFrame | None:
    """The index of a whole, undamaged folder; None for any other. Only with `verify` is all of it read."""
    try:
        index = pd.read_parquet(folder / "index.parquet")
        array = np.load(folder / "frames.npy", mmap_mode="r")
        whole = (
            list(index["utterance"]) == list(manifest.table["utterance"])
            and array.shape == (index["frames"].sum(), features.width)
            and (folder / "frames.npy").stat().st_size == array.offset + array.nbytes
            and (not verify or json.loads((folder / "sums.json").read_bytes()) == _sums(folder))
        )
    except Exception:  # whatever a damaged file makes a reader raise
        return None
    return index if whole else None


def _problems(index: pd.DataFrame, manifest: Manifest) -> tuple[Problem, ...]:
    bad = index["problem"] != ""
    pairs = zip(manifest.table["path"][bad], index["problem"][bad], strict=True)
    return tuple(Problem(Path(path), reason) for path, reason in pairs)


def _open(folder: Path, index: pd.DataFrame, problems: tuple[Problem, ...]) -> FeatureStore:
    good = index[index["problem"] == ""]
    utterances = tuple(good["utterance"])
    starts, lengths = good["start"].tolist(), good["frames"].tolist()
    array = np.asarray(np.load(folder / "frames.npy", mmap_mode="r"))
    views = (array[start : start + length] for start, length in zip(starts, lengths, strict=True))
    return FeatureStore(
        utterances=utterances,
        frames=dict(zip(utterances, lengths, strict=True)),
        durations_s=dict(zip(utterances, good["duration_s"].tolist(), strict=True)),
        skipped=problems,
        _views=dict(zip(utterances, views, strict=True)),
    )


def joined(stores: Mapping[str, FeatureStore]) -> FeatureStore:
    """The stores of the parts of a joined corpus, each utterance under its corpus's name as well."""
    places, frames, durations_s, skipped = {}, {}, {}, []
    for corpus, store in stores.items():
        for own in store:
            utterance = f"{corpus}/{own}"
            places[utterance] = store, own
            frames[utterance], durations_s[utterance] = store.frames[own], store.durations_s[own]
        skipped += [Problem(Path(corpus) / problem.path, problem.reason) for problem in store.skipped]

    def read(utterance: str) -> NDArray:
        store, own = places[utterance]
        return store[own]

    return FeatureStore(tuple(frames), frames, durations_s, tuple(skipped), Lazily(places, read))
