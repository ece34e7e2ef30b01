"""RAVDESS: names are read as its documentation says, and nothing is dropped in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import corpora
from bench.corpora import ravdess
from bench.errors import SuiteError


def test_names_are_read_as_documented(make_corpus):
    # The example of the RAVDESS documentation is 02-01-06-01-02-01-12: fearful, "dogs", actor 12, female.
    root = make_corpus("ravdess", ["Actor_12/03-01-06-01-02-01-12.wav", "03-01-01-01-01-02-01.flac"])
    first, second = ravdess.load(root).table.to_dict("records")
    assert (first["speaker"], first["gender"], first["emotion"]) == ("01", "male", "neutral")
    assert first["transcript"] == "Kids are talking by the door"
    assert (second["speaker"], second["gender"], second["emotion"]) == ("12", "female", "fearful")
    assert second["transcript"] == "Dogs are sitting by the door"
    assert second["utterance"] == "03-01-06-01-02-01-12"
    assert second["path"] == "Actor_12/03-01-06-01-02-01-12.wav"


@pytest.mark.parametrize(
    ("code", "emotion"),
    [
        ("01", "neutral"),
        ("02", "calm"),
        ("03", "happy"),
        ("04", "sad"),
        ("05", "angry"),
        ("06", "fearful"),
        ("07", "disgust"),
        ("08", "surprised"),
    ],
)
def test_every_emotion_code_has_its_published_meaning(make_corpus, code, emotion):
    root = make_corpus("ravdess", [f"03-01-{code}-01-01-01-05.wav"])
    assert ravdess.load(root).table["emotion"].tolist() == [emotion]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("03-01-99-01-01-01-11", "emotion code 99 is none of 01–08"),
        ("03-01-05-01-01-01-25", "actor code 25 is none of 01–24"),
        ("03-01-05-01-07-01-11", "statement code 07 is none of 01, 02"),
        ("03-01-05-03-01-01-11", "intensity code 03"),
        ("03-01-05-01-01-09-11", "repetition code 09"),
        ("09-01-05-01-01-01-11", "modality code 09 is none of 01–03"),
        ("03-04-05-01-01-01-11", "channel code 04"),
        ("notes", "name is not seven two-digit codes"),
        ("03-01-05-01-01-01-1", "name is not seven two-digit codes"),
    ],
)
def test_a_name_that_cannot_be_read_is_a_problem_with_its_reason(make_corpus, name, reason):
    root = make_corpus("ravdess", ["Actor_11/03-01-05-01-01-01-11.wav", f"Actor_11/{name}.wav"], 0.01)
    manifest = ravdess.load(root)
    assert len(manifest) == 1
    assert [problem.path for problem in manifest.problems] == [Path(f"Actor_11/{name}.wav")]
    assert reason in manifest.problems[0].reason


def test_song_and_video_recordings_are_no_part_of_the_corpus(make_corpus):
    names = ["03-01-05-01-01-01-11", "03-02-05-01-01-01-11", "01-01-05-01-01-01-11"]
    manifest = ravdess.load(make_corpus("ravdess", [f"{name}.wav" for name in names], 0.01))
    assert manifest.table["utterance"].tolist() == names[:1]
    assert not manifest.problems


def test_hidden_and_other_files_are_not_recordings(make_corpus):
    root = make_corpus("ravdess", ["03-01-05-01-01-01-11.wav", "._03-01-05-01-01-01-11.wav"], 0.01)
    (root / "README.txt").write_text("about")
    manifest = ravdess.load(root)
    assert len(manifest) == 1
    assert not manifest.problems


def test_a_recording_that_stands_twice_is_refused_by_name(make_corpus):
    root = make_corpus("ravdess", ["a/03-01-05-01-01-01-11.wav", "b/03-01-05-01-01-01-11.flac"], 0.01)
    with pytest.raises(SuiteError, match=r"a/03-01-05-01-01-01-11\.wav and b/03-01-05-01-01-01-11\.flac"):
        ravdess.load(root)


@pytest.mark.corpus
def test_the_real_corpus_has_its_published_size(data_root):
    manifest = corpora.load("ravdess", data_root)
    assert len(manifest) == 1440
    assert not manifest.problems
    assert set(manifest.table["speaker"].value_counts()) == {60}
    counts = manifest.table["emotion"].value_counts()
    assert counts["neutral"] == 96
    assert set(counts.drop("neutral")) == {192}
    assert manifest.table.groupby("gender")["speaker"].nunique().to_dict() == {"female": 12, "male": 12}
