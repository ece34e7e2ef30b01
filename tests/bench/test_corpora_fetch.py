"""Fetching a corpus from a local server: checked, resumed, honest about checksums, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench import corpora
from bench.cli import run_command
from bench.corpora import crema_d, download, ravdess
from bench.corpora.fetch import Archive, LfsRepository, Source, fetch
from bench.errors import SuiteError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Server:
    """Files by path, what was asked for, and how the server misbehaves."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  # path and Range header, "" for none
    breaks_at: int | None = None  # bytes after which the next answer ends
    ranges: bool = True


class Handler(BaseHTTPRequestHandler):
    """Answers GET from the server's `files`, with byte ranges."""

    protocol_version = "HTTP/1.1"
    site: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.site.asked.append((self.path, wanted))
        if self.path not in self.site.files:
            self.send_error(404)
            return
        body = self.site.files[self.path]
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.site.ranges else 0
        if start >= len(body) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if self.site.breaks_at is not None:
            self.wfile.write(body[start : self.site.breaks_at])
            self.site.breaks_at, self.close_connection = None, True
            return
        self.wfile.write(body[start:])

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "RETRIES", 0)
    monkeypatch.setattr(download, "CHUNK_BYTES", 64)
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    Handler.site = Server(f"http://127.0.0.1:{listening.server_port}")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Handler.site
    listening.shutdown()
    listening.server_close()
    thread.join()


def wav(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    noise = 0.1 * np.random.default_rng(seed).standard_normal(400)
    soundfile.write(buffer, noise, 16_000, format="WAV")
    return buffer.getvalue()


def zipped(files: dict[str, bytes], comment: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.comment = comment.encode()
    return buffer.getvalue()


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


SPEECH = {f"Actor_0{actor}/03-01-05-01-01-01-0{actor}.wav": wav(actor) for actor in (1, 2, 3)}


def ravdess_at(server: Server, content: bytes | None = None, checksum: str | None = "") -> Archive:
    """The archive of a small RAVDESS on the server, with the checksum of what it should be."""
    right = zipped(SPEECH)
    server.files["/speech.zip"] = right if content is None else content
    return Archive(f"{server.address}/speech.zip?download=1", md5(right) if checksum == "" else checksum)


@pytest.fixture(autouse=True)
def query_is_no_part_of_the_path(monkeypatch):
    whole = Handler.do_GET

    def without_query(self: Handler) -> None:
        self.path = self.path.partition("?")[0]
        whole(self)

    monkeypatch.setattr(Handler, "do_GET", without_query)


def resumed_at(server: Server) -> int:
    """Where the second of two requests for the archive began; 0 where it asked for all of it."""
    (first, whole), (second, wanted) = server.asked
    assert (first, whole, second) == ("/speech.zip", "", "/speech.zip")
    return int(wanted.removeprefix("bytes=").removesuffix("-") or 0)


def held(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_an_archive_is_checked_unpacked_and_leaves_nothing_else(server, tmp_path):
    source = ravdess_at(server)
    receipt = fetch("ravdess", source, tmp_path / "data")
    assert held(tmp_path / "data") == {f"ravdess/{name}" for name in (*SPEECH, "fetched.json")}
    assert (tmp_path / "data/ravdess/Actor_02/03-01-05-01-01-01-02.wav").read_bytes() == wav(2)
    assert receipt.sentence == f"checksum as published ({source.checksum})"
    written = json.loads((tmp_path / "data/ravdess/fetched.json").read_text())
    assert written["sha256"] == hashlib.sha256(zipped(SPEECH)).hexdigest()
    assert (written["url"], written["published_checksum"]) == (source.url, source.checksum)
    assert len(corpora.load("ravdess", tmp_path / "data")) == 3


def test_a_download_that_broke_off_is_gone_on_with_by_the_next_call(server, tmp_path):
    source = ravdess_at(server)
    server.breaks_at = 700
    with pytest.raises(SuiteError, match=r"broke off .* the same command goes on where this one stopped"):
        fetch("ravdess", source, tmp_path)
    assert not (tmp_path / "ravdess").exists()
    fetch("ravdess", source, tmp_path)
    assert 700 - 64 < resumed_at(server) <= 700
    assert len(corpora.load("ravdess", tmp_path)) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["ravdess"]


def test_a_broken_connection_is_taken_up_again_within_one_call(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 1)
    source = ravdess_at(server)
    server.breaks_at = 700
    fetch("ravdess", source, tmp_path)
    assert 700 - 64 < resumed_at(server) <= 700


def test_a_server_without_ranges_sends_the_whole_file_and_it_is_right(server, tmp_path):
    source = ravdess_at(server)
    server.ranges, server.breaks_at = False, 700
    with pytest.raises(SuiteError):
        fetch("ravdess", source, tmp_path)
    fetch("ravdess", source, tmp_path)
    assert len(corpora.load("ravdess", tmp_path)) == 3


def test_a_part_longer_than_the_file_is_dropped(server, tmp_path):
    source = ravdess_at(server)
    part = tmp_path / ".download-ravdess" / "ravdess.zip.part"
    part.parent.mkdir()
    part.write_bytes(bytes(100_000))
    with pytest.raises(SuiteError, match="the server answers 416"):
        fetch("ravdess", source, tmp_path)
    fetch("ravdess", source, tmp_path)
    assert len(corpora.load("ravdess", tmp_path)) == 3


def test_a_file_with_another_checksum_than_the_published_one_never_becomes_a_corpus(server, tmp_path):
    source = ravdess_at(server, content=zipped({"03-01-05-01-01-01-01.wav": wav(9)}))
    with pytest.raises(SuiteError, match="is not the published file, so it was deleted: MD5"):
        fetch("ravdess", source, tmp_path)
    assert held(tmp_path) == set()
    server.files["/speech.zip"] = zipped(SPEECH)
    fetch("ravdess", source, tmp_path)  # from the start, not on top of what was wrong
    assert server.asked[-1] == ("/speech.zip", "")


def test_without_a_published_checksum_it_says_so_and_records_the_one_it_saw(server, tmp_path):
    receipt = fetch("ravdess", ravdess_at(server, checksum=None), tmp_path)
    seen = hashlib.sha256(zipped(SPEECH)).hexdigest()
    assert "no checksum is published" in receipt.sentence
    assert seen in receipt.sentence
    written = json.loads((tmp_path / "ravdess/fetched.json").read_text())
    assert (written["published_checksum"], written["sha256"]) == (None, seen)


def test_without_a_published_checksum_nothing_is_resumed(server, tmp_path):
    source = ravdess_at(server, checksum=None)
    server.breaks_at = 700
    with pytest.raises(SuiteError):
        fetch("ravdess", source, tmp_path)
    fetch("ravdess", source, tmp_path)
    assert resumed_at(server) == 0


def test_an_archive_that_is_no_zip_is_removed(server, tmp_path):
    source = ravdess_at(server, content=b"<html>sign in</html>", checksum=None)
    with pytest.raises(SuiteError, match="is no readable zip"):
        fetch("ravdess", source, tmp_path)
    assert held(tmp_path) == set()


def test_an_archive_cannot_write_outside_its_folder(server, tmp_path):
    source = ravdess_at(server, content=zipped({"../../evil.wav": wav(), **SPEECH}), checksum=None)
    with pytest.raises(SuiteError, match=r"evil\.wav' leads out of the folder"):
        fetch("ravdess", source, tmp_path / "data")
    assert held(tmp_path / "data") == set()


def test_a_full_disk_is_told_and_leaves_no_corpus(server, tmp_path, largest_file):
    source = ravdess_at(server)
    with largest_file(1000), pytest.raises(SuiteError, match=r"cannot write .*File too large"):
        fetch("ravdess", source, tmp_path)
    assert not (tmp_path / "ravdess").exists()
    fetch("ravdess", source, tmp_path)
    assert len(corpora.load("ravdess", tmp_path)) == 3


def test_an_address_that_is_gone_is_told_with_what_the_server_says(server, tmp_path):
    with pytest.raises(SuiteError, match=r"127\.0\.0\.1.*gone\.zip: the server answers 404"):
        fetch("ravdess", Archive(f"{server.address}/gone.zip", None), tmp_path)


def test_a_server_that_does_not_answer_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 0)
    with pytest.raises(SuiteError, match=r"http://127\.0\.0\.1:1/a\.zip: the connection failed"):
        fetch("ravdess", Archive("http://127.0.0.1:1/a.zip", None), tmp_path)


def test_a_corpus_that_is_there_is_never_overwritten(server, tmp_path):
    (tmp_path / "RAVDESS").mkdir()
    with pytest.raises(SuiteError, match=r"RAVDESS is there already; remove it"):
        fetch("ravdess", ravdess_at(server), tmp_path)
    assert server.asked == []


CLIPS = {f"AudioWAV/{name}.wav": wav(i) for i, name in enumerate(("1001_DFA_ANG_XX", "1002_IEO_SAD_LO"))}


def pointer(content: bytes) -> bytes:
    """A Git LFS pointer, as its specification gives it."""
    oid = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n".encode()


def crema_d_at(server: Server) -> LfsRepository:
    """A small CREMA-D on the server: the snapshot as GitHub makes it, and the contents of the pointers."""
    inside = {name: pointer(content) for name, content in CLIPS.items()}
    inside |= {"AudioMP3/1001_DFA_ANG_XX.mp3": pointer(b"mp3"), "VideoDemographics.csv": b"ActorID,Age\n"}
    inside |= {"finishedResponses.csv": b"large"}
    server.files["/master.zip"] = zipped({f"CREMA-D-master/{k}": v for k, v in inside.items()}, COMMIT)
    server.files |= {f"/media/{name}": content for name, content in CLIPS.items()}
    files = crema_d.SOURCE.files
    return LfsRepository(f"{server.address}/master.zip", f"{server.address}/media/", "AudioWAV", files)


def test_recordings_in_git_lfs_are_checked_against_their_pointers(server, tmp_path):
    receipt = fetch("crema_d", crema_d_at(server), tmp_path)
    assert held(tmp_path / "crema_d") == {*CLIPS, "VideoDemographics.csv", "fetched.json"}
    assert corpora.load("crema_d", tmp_path).table["speaker"].tolist() == ["1001", "1002"]
    assert receipt.recordings == 2
    assert receipt.commit == COMMIT
    for said in (
        "2 recordings have the SHA-256 of their Git LFS pointers",
        COMMIT,
        "no checksum is published",
    ):
        assert said in receipt.sentence
    assert [path.name for path in tmp_path.iterdir()] == ["crema_d"]


def test_only_the_recordings_that_are_missing_are_fetched_again(server, tmp_path):
    source = crema_d_at(server)
    spoilt = "/media/AudioWAV/1002_IEO_SAD_LO.wav"
    server.files[spoilt] = wav(99)
    with pytest.raises(SuiteError, match=r"1002_IEO_SAD_LO\.wav: what came is not the published file"):
        fetch("crema_d", source, tmp_path)
    assert not (tmp_path / "crema_d").exists()
    server.files[spoilt] = CLIPS["AudioWAV/1002_IEO_SAD_LO.wav"]
    server.asked.clear()
    fetch("crema_d", source, tmp_path)
    assert server.asked == [("/master.zip", ""), (spoilt, "")]
    assert len(corpora.load("crema_d", tmp_path)) == 2


def test_recordings_fetched_at_once_do_not_collide_over_their_folder(server, tmp_path, monkeypatch):
    """Another thread makes the folder after this one has looked for it and before it makes it itself."""

    def second(path: str, *arguments, **options) -> None:
        Path(path).mkdir(parents=True, exist_ok=True)
        make(path, *arguments, **options)

    make = os.makedirs
    monkeypatch.setattr("pooch.core.os.makedirs", second)
    fetch("crema_d", crema_d_at(server), tmp_path)
    assert len(corpora.load("crema_d", tmp_path)) == 2


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ({"r/AudioWAV/a.wav": b"RIFF"}, r"AudioWAV/a\.wav is no Git LFS pointer"),
        ({"r/README.md": b""}, r"no \.wav in AudioWAV/"),
    ],
)
def test_a_repository_of_another_form_is_refused(server, tmp_path, inside, message):
    source = crema_d_at(server)
    server.files["/master.zip"] = zipped(inside)
    with pytest.raises(SuiteError, match=message):
        fetch("crema_d", source, tmp_path)
    assert not (tmp_path / "crema_d").exists()


def offer(monkeypatch, module: object, source: Source) -> None:
    monkeypatch.setattr(module, "SOURCE", source)


def test_the_command_fetches_and_then_reads_the_corpus(server, tmp_path, monkeypatch, capsys):
    offer(monkeypatch, ravdess, ravdess_at(server))
    assert run_command(["corpora", "fetch", "ravdess", "--data-root", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "ravdess: checksum as published (md5:" in shown
    assert f"3 utterances in {tmp_path / 'ravdess'}" in shown
    assert "CC BY-NC-SA 4.0" in shown
    assert run_command(["corpora", "fetch", "ravdess", "--data-root", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_licensed_corpus_is_not_fetched_and_its_licence_is_named(tmp_path, capsys):
    assert run_command(["corpora", "fetch", "ravdess", "iemocap", "--data-root", str(tmp_path)]) == 2
    assert "iemocap has no open download (by agreement with" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []  # nothing before all names are known


def test_without_a_data_folder_or_a_name_the_command_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.delenv("SER_DATA_ROOT", raising=False)
    assert run_command(["corpora", "fetch", "emodb"]) == 2
    assert "SER_DATA_ROOT" in capsys.readouterr().err
    assert run_command(["corpora", "fetch"]) == 2
    assert "crema_d, emodb, ravdess" in capsys.readouterr().err
