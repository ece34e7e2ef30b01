"""What is fuzzed: every reader of files from elsewhere, each with the one error that it may raise.

    TARGETS["audio"](b"RIFF…", Path("/tmp/scratch"))       # any other error escapes: a crash

A target takes the bytes of a file and a folder of its own. Coverage-guided runs: `fuzz_with_atheris.py`;
crashes that were found stand in `crashes/` and are tried again by `test_fuzz_targets.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bench import corpora
from bench.corpora import archives, crema_d, emodb, iemocap, msp_labels, ravdess
from bench.errors import SuiteError
from bench.evidence import reported
from bench.evidence.records import OpRecord, ProfileRecord, RunRecord, SweepRecord
from bench.evidence.store import read as read_record
from bench.features.audio import AudioError, length
from bench.features.audio import read as read_audio
from bench.folders import whole_folder

Target = Callable[[bytes, Path], None]


def audio(content: bytes, folder: Path) -> None:
    """A recording: mono samples at 16 kHz, and its length from the header alone."""
    file = folder / "clip.wav"
    file.write_bytes(content)
    with suppress(AudioError):
        length(file)
    with suppress(AudioError):
        assert read_audio(file, 16_000).ndim == 1


def names(content: bytes, folder: Path) -> None:
    """A file's name, and a line of IEMOCAP's labels."""
    text = content.decode("utf-8", errors="replace")
    for parse in (ravdess._parse, emodb._parse, crema_d._parse, iemocap._parse):
        with suppress(ValueError):  # what `scan.read_names` lists
            parse(text)


def table(content: bytes, folder: Path) -> None:
    """A table of one's own recordings; the first byte decides whether it is parquet."""
    for number in range(6):
        (folder / f"{number}.wav").touch()
    for suffix in (".csv", ".parquet"):
        (folder / f"t{suffix}").unlink(missing_ok=True)
    parquet = content[:1] == b"P"
    (folder / ("t.parquet" if parquet else "t.csv")).write_bytes(content)
    with suppress(SuiteError):
        corpora.load("table:t", folder)


def msp_podcast(content: bytes, folder: Path) -> None:
    """MSP-Podcast's labels, speakers and partitions, separated by a line of "----"."""
    json = content.lstrip()[:1] == b"{"
    for name in ("labels_consensus.csv", "labels_consensus.json"):
        (folder / name).unlink(missing_ok=True)
    parts = (*content.split(b"----\n"), b"", b"")
    (folder / f"labels_consensus.{'json' if json else 'csv'}").write_bytes(parts[0])
    (folder / "Speaker_ids.txt").write_bytes(parts[1])
    (folder / "Partitions.txt").write_bytes(parts[2] or b"Train; MSP-PODCAST_0001_0001.wav\n")
    with suppress(SuiteError):
        msp_labels.read(folder)


def record(content: bytes, folder: Path) -> None:
    """A record of the kind that the file seems to be."""
    file = folder / "0123456789abcdef.json"
    file.write_bytes(content)
    kinds = {b'"profile"': ProfileRecord, b'"ops"': OpRecord, b'"sweep"': SweepRecord}
    kind = next((kind for word, kind in kinds.items() if word in content), RunRecord)
    with suppress(SuiteError):
        read_record(file, kind)


def numbers(content: bytes, folder: Path) -> None:
    """The table of published numbers."""
    file = folder / "reported.csv"
    file.write_bytes(content)
    with suppress(SuiteError):
        reported.read(file)


def archive(content: bytes, folder: Path) -> None:
    """A downloaded zip: whatever is in it, nothing is written outside its folder."""
    file = folder / "download.zip"
    file.write_bytes(content)
    shutil.rmtree(folder / "inside", ignore_errors=True)
    with (
        suppress(SuiteError),
        archives.opened(file) as opened,
        whole_folder(folder / "inside") as inside,
    ):
        archives.unpack(opened, inside)
    assert {path.name for path in folder.iterdir()} <= {"download.zip", "inside"}


TARGETS: dict[str, Target] = {
    "archive": archive,
    "audio": audio,
    "msp_podcast": msp_podcast,
    "names": names,
    "numbers": numbers,
    "record": record,
    "table": table,
}
