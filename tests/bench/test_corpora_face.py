"""Finding a corpus: by name, in its folder; every wrong turn is one clear sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench import corpora
from bench.errors import SuiteError

NEW_CORPUS = '''
"""A corpus in one file."""
from bench.corpora import scan
from bench.corpora.manifest import Fold, Manifest

NAME, TITLE, LICENCE, EMOTIONS = "parrots", "Parrots", "none", ("loud", "quiet")
PROTOCOLS = {"one": (Fold(("a",), ("b",)),)}

def load(root):
    parse = lambda stem: dict(zip(("speaker", "emotion"), stem.split("_")))
    table, problems = scan.read_names(scan.recordings(root, NAME), parse)
    return Manifest(NAME, TITLE, root, EMOTIONS, table, PROTOCOLS, problems=problems)
'''


@pytest.fixture
def no_data_root(monkeypatch):
    monkeypatch.delenv("SER_DATA_ROOT", raising=False)


def test_an_unknown_corpus_is_answered_with_the_known_ones():
    with pytest.raises(
        SuiteError, match=r"no corpus 'ravdes'; there is crema_d, .*ravdess, synthetic, table"
    ):
        corpora.load("ravdes", None)


def test_without_a_data_folder_the_message_says_how_to_give_one(no_data_root):
    with pytest.raises(SuiteError, match=r"ravdess: no data folder given; set SER_DATA_ROOT"):
        corpora.load("ravdess", None)


def test_a_data_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(SuiteError, match=r"ravdess: the data folder .*nowhere does not exist"):
        corpora.load("ravdess", tmp_path / "nowhere")


@pytest.mark.parametrize("folder", ["ravdess", "RAVDESS", "."])
def test_the_corpus_is_found_under_the_data_folder_or_is_it(make_corpus, tmp_path, folder):
    make_corpus(folder, ["Actor_03/03-01-05-01-01-01-03.wav"], 0.01)
    assert len(corpora.load("ravdess", tmp_path)) == 1


def test_without_names_the_corpora_with_a_folder_are_meant(make_corpus, tmp_path, no_data_root):
    make_corpus("EMODB", ["wav/03a01Wa.wav"], 0.01)
    assert set(corpora.installed(tmp_path)) - set(corpora.installed(None)) == {"emodb"}
    assert "synthetic" in corpora.installed(None)


def test_what_lies_in_hidden_folders_is_not_read(make_corpus, tmp_path):
    make_corpus("emodb", ["wav/03a01Wa.wav", ".unfinished/wav/03a01Wa.wav"], 0.01)
    assert len(corpora.load("emodb", tmp_path)) == 1


def test_the_environment_names_the_data_folder(make_corpus, tmp_path, monkeypatch):
    make_corpus("emodb", ["wav/03a01Wa.wav"], 0.01)
    monkeypatch.setenv("SER_DATA_ROOT", str(tmp_path))
    assert len(corpora.load("emodb", None)) == 1


def test_a_folder_of_another_corpus_is_refused_with_what_was_found(make_corpus):
    root = make_corpus("emodb", ["wav/03a01Wa.wav", "wav/03a01Fa.wav"], 0.01)
    expected = r"is not ravdess: expected files named like 03-01.*, found 2 audio files such as wav/03a01Fa"
    with pytest.raises(SuiteError, match=expected):
        corpora.load("ravdess", root)


def test_a_folder_without_audio_is_refused(tmp_path):
    with pytest.raises(SuiteError, match=r"is not emodb: .* found no audio files"):
        corpora.load("emodb", tmp_path)


def test_an_unknown_option_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(SuiteError, match=r"ravdess: no option 'speakers'; it has no options"):
        corpora.load("ravdess", tmp_path, {"speakers": 3})
    with pytest.raises(SuiteError, match=r"no option 'size'; its options are speakers, per_speaker, seed"):
        corpora.load("synthetic", None, {"size": 3}, tmp_path)


def test_a_new_corpus_needs_one_file_and_nothing_else(make_corpus, tmp_path, monkeypatch):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "parrots.py").write_text(NEW_CORPUS)
    monkeypatch.setattr(corpora, "__path__", [*corpora.__path__, str(tmp_path / "package")])
    corpora._corpora.cache_clear()
    try:
        assert "parrots" in corpora.names()
        make_corpus("parrots", ["a_loud.wav", "b_quiet.wav"], 0.01)
        assert corpora.load("parrots", tmp_path).table["speaker"].tolist() == ["a", "b"]
    finally:
        sys.modules.pop("bench.corpora.parrots", None)
        corpora._corpora.cache_clear()


def test_corpora_never_import_torch():
    script = "import sys, bench.corpora as c; c.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
