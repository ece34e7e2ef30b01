"""Small texts kept in the cache: the same as on disk, whatever happens to either."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.corpora import texts

TEXTS = {
    "a.txt": b" so  it\nwas ",
    "b.txt": "tr\u00fcb".encode("latin-1"),
    "c.txt": b"",
    "d.txt": b"\xef\xbb\xbfyes",
}
READ = ["so it was", None, "", "yes"]


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(texts, "FEW", 1)
    (tmp_path / "spoken").mkdir()
    for name, content in TEXTS.items():
        (tmp_path / "spoken" / name).write_bytes(content)
    return tmp_path / "spoken"


def no_opening(_):
    raise AssertionError("the texts were opened again")


def test_texts_are_one_line_of_utf8_or_none(root):
    assert texts.read(root, list(TEXTS), None) == READ


def test_texts_are_opened_once_and_then_come_from_the_cache(root, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    assert texts.read(root, list(TEXTS), cache) == READ
    monkeypatch.setattr(texts, "_read_all", no_opening)
    assert texts.read(root, list(TEXTS), cache) == READ


def test_an_edited_text_is_read_anew(root, tmp_path):
    texts.read(root, list(TEXTS), tmp_path)
    before = (root / "a.txt").stat()
    (root / "a.txt").write_bytes(b"so  it  is  ")
    os.utime(root / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert texts.read(root, list(TEXTS), tmp_path)[0] == "so it is"


def flipped(content: bytes) -> bytes:
    at = content.index(b"so it was")
    return content[:at] + b"t" + content[at + 1 :]


@pytest.mark.parametrize("damaged", [lambda content: content[:40], flipped], ids=["cut", "flipped"])
def test_a_damaged_cache_is_made_again(root, tmp_path, monkeypatch, damaged):
    texts.read(root, list(TEXTS), tmp_path)
    (kept,) = tmp_path.glob("texts/*/" + texts.FILE)
    kept.write_bytes(damaged(kept.read_bytes()))
    assert texts.read(root, list(TEXTS), tmp_path) == READ
    monkeypatch.setattr(texts, "_read_all", no_opening)
    assert texts.read(root, list(TEXTS), tmp_path) == READ


def test_few_texts_leave_nothing_in_the_cache(root, tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "FEW", 4)
    assert texts.read(root, list(TEXTS), tmp_path / "cache") == READ
    assert not (tmp_path / "cache").exists()
