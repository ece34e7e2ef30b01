"""Many small text files, read once: their texts are kept as one table in the cache.

    texts = read(root, ["Transcripts/a.txt", "Transcripts/b.txt"], cache)    # ["so it was", None]

Every process that trains on MSP-Podcast needs its 200,000 transcripts, and opening so many files takes far
longer than looking at them. `<cache>/texts/<key>/texts.parquet` holds what they say; the key is a hash of
every file's name, size and time of change, so that an edited text is never read from the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from bench.folders import disk_errors, whole_folder
from bench.locks import only_one

FEW = 1_000  # texts that are read each time: looking for them in the cache would take as long
READERS = 8  # threads, each of which reads so many at a time:
AT_ONCE = 1_000
FILE = "texts.parquet"


def read(root: Path, paths: Sequence[str], cache: Path | None) -> list[str | None]:
    """What each file of `root` says, on one line; None where it is not UTF-8.

    Without `cache`, and for a few files, they are read. SuiteError where the disk of the cache is full.
    """
    files = [f"{root}/{path}" for path in paths]
    if cache is None or len(files) <= FEW:
        return _read_all(files)
    folder = cache / "texts" / _key(files)
    kept = _kept(folder, len(files))
    if kept is None:
        kept = _read_all(files)
        with disk_errors(folder), only_one(folder.with_name(f"{folder.name}.lock")):
            if _kept(folder, len(files)) is None:  # still: another process may have made it
                _write(kept, folder)
    return kept


def _write(texts: list[str | None], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    table = pd.DataFrame({"text": pd.Series(texts, dtype="str")})
    with whole_folder(folder) as temporary:
        table.to_parquet(temporary / FILE, index=False, write_page_checksum=True)


def _key(files: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for file in files:
        found = os.stat(file)
        digest.update(f"{file}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _kept(folder: Path, count: int) -> list[str | None] | None:
    """The texts of a whole, undamaged folder; None for any other."""
    try:
        column = pd.read_parquet(folder / FILE, page_checksum_verification=True)["text"]
    except Exception:  # whatever a damaged file makes a reader raise
        return None
    texts: list[str | None] = column.astype(object).where(column.notna(), None).tolist()
    return texts if len(texts) == count else None


def _read_all(files: Sequence[str]) -> list[str | None]:
    parts = [files[at : at + AT_ONCE] for at in range(0, len(files), AT_ONCE)]
    with ThreadPoolExecutor(READERS) as pool:
        return [text for part in pool.map(_read_some, parts) for text in part]


def _read_some(files: Sequence[str]) -> list[str | None]:
    return [_text(file) for file in files]


def _text(file: str) -> str | None:
    with open(file, "rb") as stream:
        content = stream.read()
    try:
        return " ".join(content.decode("utf-8-sig").split())
    except UnicodeDecodeError:
        return None
