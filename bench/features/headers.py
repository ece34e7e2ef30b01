"""How long every recording of a corpus is, from the files' headers alone, remembered in the cache.

    found = scan(manifest, cache)                 # a row an utterance, in the manifest's order
    found[["utterance", "path", "samples", "duration_s", "problem"]]

Training that decodes recordings as it goes must know their lengths before; decoding 400 hours for that
takes half an hour, their headers less than a minute. `<cache>/headers/<key>.parquet` keeps what was read with
each file's size and time of change, so that only new and changed files are looked at again. It is saved as
the scan goes: one that was killed goes on where it was.

A header tells of a missing, empty or foreign file and of a WAV file cut short. Damage inside a compressed
file is found when it is decoded: by `serbench corpora check`, or here with `decoded`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from bench.corpora.manifest import Manifest
from bench.evidence.store import atomic
from bench.features.audio import AudioError, decode, length, stamp
from bench.features.backbones import SAMPLE_RATE_HZ
from bench.progress import track

STAMP = ["path", "bytes", "changed_ns"]  # a file as it is
READ = ["frames", "rate_hz", "problem", "decoded"]  # what was found, or why it cannot be used
THREADS = 16  # mostly waiting for the disk
AT_ONCE = 200  # files that a thread reads at a time
SAVED_EVERY = 20_000  # files


def scan(manifest: Manifest, cache: Path, *, decoded: bool = False) -> pd.DataFrame:
    """The columns of `STAMP` and `READ`, utterance, duration_s, and samples at 16 kHz (0: cannot be used).

    With `decoded` every file is decoded once, too. `manifest` joins no others: see its `parts`. SuiteError
    where the disk of the cache is full.
    """
    name = hashlib.sha256(f"{manifest.corpus}\0{manifest.root.resolve()}".encode()).hexdigest()[:16]
    file = cache / "headers" / f"{name}.parquet"
    now = _stamped(manifest)
    found = now.merge(_kept(file), how="left", on=STAMP)
    seen = found["problem"].notna() & (found["decoded"].eq(True) | (not decoded))
    unread = found.index[~seen]
    blocks = [unread[at : at + SAVED_EVERY] for at in range(0, len(unread), SAVED_EVERY)]
    for block in track(blocks, f"{'decoding' if decoded else 'lengths of'} {manifest.corpus}", len(blocks)):
        paths = found.loc[block, "path"].tolist()
        found.loc[block, READ] = _read_all(manifest.root, paths, decoded).to_numpy()
        _save(found, file)
    return _measured(manifest, found)


def _stamped(manifest: Manifest) -> pd.DataFrame:
    paths = manifest.table["path"].tolist()
    with ThreadPoolExecutor(THREADS) as pool:
        stamps = pool.map(stamp, (manifest.root / path for path in paths), chunksize=AT_ONCE)
        return pd.DataFrame([(path, *each) for path, each in zip(paths, stamps, strict=True)], columns=STAMP)


def _kept(file: Path) -> pd.DataFrame:
    """What earlier scans have read; nothing where the file is missing or damaged."""
    try:
        return pd.read_parquet(file, page_checksum_verification=True)[STAMP + READ]
    except Exception:  # whatever a damaged file makes a reader raise
        columns = {name: pd.Series(dtype="int64") for name in (*STAMP, *READ)}
        texts = {name: pd.Series(dtype="object") for name in ("path", "problem", "decoded")}
        return pd.DataFrame(columns | texts)


def _save(found: pd.DataFrame, file: Path) -> None:
    """Keep what has been read, but of files that cannot be used, which may be mended."""
    good = found.loc[found["problem"] == "", STAMP + READ].astype(
        {"frames": "int64", "rate_hz": "int64", "decoded": "bool"}
    )
    every = pd.concat([_kept(file), good]).drop_duplicates("path", keep="last")
    with atomic(file) as temporary:
        every.to_parquet(temporary, index=False, write_page_checksum=True)


def _read_all(root: Path, paths: Sequence[str], decoded: bool) -> pd.DataFrame:
    parts = [paths[at : at + AT_ONCE] for at in range(0, len(paths), AT_ONCE)]
    with ThreadPoolExecutor(THREADS) as pool:
        rows = [
            row
            for part in pool.map(lambda part: [_read(root / path, decoded) for path in part], parts)
            for row in part
        ]
    return pd.DataFrame(rows, columns=READ)


def _read(path: Path, decoded: bool) -> tuple[int, int, str, bool]:
    try:
        frames, rate_hz = length(path)
        if decoded:
            decode(path)
    except AudioError as error:
        return 0, 1, str(error), decoded
    return frames, rate_hz, "", decoded


def _measured(manifest: Manifest, found: pd.DataFrame) -> pd.DataFrame:
    seconds = found["frames"].astype("float64") / found["rate_hz"].astype("float64")
    samples = (
        (seconds * SAMPLE_RATE_HZ).round().astype("int64").clip(lower=1).where(found["problem"] == "", 0)
    )
    return found.assign(utterance=manifest.table["utterance"].to_numpy(), duration_s=seconds, samples=samples)
