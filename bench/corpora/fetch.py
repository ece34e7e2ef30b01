"""Open corpora from their official addresses into the data folder: checked, resumed, whole or not at all.

    receipt = fetch("ravdess", ravdess.SOURCE, Path("/data"))        # makes /data/ravdess
    print(receipt.sentence)

A corpus that anyone may download has a SOURCE: an `Archive`, or an `LfsRepository`. What comes is gathered
in a hidden folder (`.download-ravdess`), so that the same call goes on where a stopped one was; the corpus's
own folder appears when all of it is there. Its `fetched.json` says what came from where, the checksum that
the publisher gives and, where there is none, that there is none and which SHA-256 was seen.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from bench.corpora.archives import contents, opened, unpack
from bench.corpora.download import Remote, download, download_many
from bench.errors import SuiteError
from bench.folders import whole_folder

RECEIPT = "fetched.json"
POINTER = re.compile(r"version https://git-lfs\S+\noid sha256:([0-9a-f]{64})\nsize \d+\n?")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Archive:
    """One zip file; `checksum` as its publisher gives it ("md5:…", "sha256:…"), None where none is given."""

    url: str
    checksum: str | None


@dataclass(frozen=True)
class LfsRepository:
    """A repository that keeps its recordings in Git LFS.

    The zip `snapshot` holds, for each recording in the folder `recordings`, a pointer with the SHA-256 of
    its contents, which are at `contents` + path. `files` of the snapshot are kept where it has them.
    """

    snapshot: str
    contents: str
    recordings: str
    files: tuple[str, ...]


Source = Archive | LfsRepository


@dataclass(frozen=True)
class Receipt:
    """What was downloaded: the archive, its published checksum if any, and the SHA-256 seen.

    For a repository also its commit ("" where the snapshot does not say) and how many recordings came,
    each with the SHA-256 of its pointer.
    """

    corpus: str
    url: str
    time: str
    bytes: int
    sha256: str
    published_checksum: str | None
    commit: str = ""
    recordings: int | None = None

    @property
    def sentence(self) -> str:
        """What was checked and what was not."""
        if self.published_checksum:
            return f"checksum as published ({self.published_checksum})"
        seen = f"no checksum is published for {self.url}; SHA-256 of what came: {self.sha256}"
        if self.recordings is None:
            return seen
        commit = f" of commit {self.commit}" if self.commit else ""
        return f"{self.recordings:,} recordings have the SHA-256 of their Git LFS pointers{commit}; {seen}"


def fetch(name: str, source: Source, data_root: Path) -> Receipt:
    """Download a corpus to `data_root/name`, which must not be there yet.

    SuiteError where it is there, where a file cannot be had or is not the published one, or where the disk
    is full; what has come so far is kept for the next call, and `data_root/name` is not made.
    """
    there = [path for path in data_root.glob("*") if path.name.lower() == name]
    if there:
        raise SuiteError(f"{name}: {there[0]} is there already; remove it to download the corpus again")
    target = data_root / name
    staging = data_root / f".download-{name}"
    if isinstance(source, Archive):
        receipt = _fetch_archive(name, source, staging, target)
    else:
        receipt = _fetch_repository(name, source, staging, target)
    shutil.rmtree(staging, ignore_errors=True)
    return receipt


def _fetch_archive(name: str, source: Archive, staging: Path, target: Path) -> Receipt:
    file = download(Remote(f"{name}.zip", source.url, source.checksum), staging)
    receipt = _receipt(name, source.url, file, source.checksum)
    with opened(file) as archive, whole_folder(target) as temporary:
        unpack(archive, temporary)
        _write(receipt, temporary)
    return receipt


def _fetch_repository(name: str, source: LfsRepository, staging: Path, target: Path) -> Receipt:
    file = download(Remote("snapshot.zip", source.snapshot, None), staging)
    with opened(file) as archive:
        recordings = list(_recordings(archive, source))
        download_many(recordings, staging, name)
        commit = archive.comment.decode("ascii", errors="replace")  # where git puts it
        receipt = _receipt(
            name, source.snapshot, file, None,
            commit=commit if COMMIT.fullmatch(commit) else "", recordings=len(recordings),
        )  # fmt: skip
        with whole_folder(target) as temporary:
            (temporary / source.recordings).mkdir(parents=True)
            for recording in recordings:
                (staging / recording.name).rename(temporary / recording.name)
            for path, entry in _entries(archive):
                if str(path) in source.files:
                    (temporary / path.name).write_bytes(contents(archive, entry))
            _write(receipt, temporary)
    return receipt


def _recordings(archive: zipfile.ZipFile, source: LfsRepository) -> Iterator[Remote]:
    """The recordings that the pointers of a snapshot stand for; SuiteError where there is none."""
    found = False
    for path, entry in _entries(archive):
        if str(path.parent) != source.recordings or path.suffix.lower() != ".wav":
            continue
        pointer = POINTER.fullmatch(contents(archive, entry).decode("utf-8", errors="replace"))
        if not pointer:
            raise SuiteError(f"{source.snapshot}: {path} is no Git LFS pointer; the repository has changed")
        found = True
        yield Remote(str(path), source.contents + quote(str(path)), f"sha256:{pointer.group(1)}")
    if not found:
        raise SuiteError(f"{source.snapshot}: no .wav in {source.recordings}/; the repository has changed")


def _entries(archive: zipfile.ZipFile) -> Iterator[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """Files of a snapshot with their path inside the repository, below the snapshot's one folder."""
    for entry in archive.infolist():
        if not entry.is_dir():
            yield PurePosixPath(*PurePosixPath(entry.filename).parts[1:]), entry


def _receipt(
    name: str, url: str, file: Path, checksum: str | None, commit: str = "", recordings: int | None = None
) -> Receipt:
    with file.open("rb") as stream:
        seen = hashlib.file_digest(stream, "sha256").hexdigest()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Receipt(name, url, now, file.stat().st_size, seen, checksum, commit, recordings)


def _write(receipt: Receipt, folder: Path) -> None:
    (folder / RECEIPT).write_text(json.dumps(asdict(receipt), indent=2) + "\n")
