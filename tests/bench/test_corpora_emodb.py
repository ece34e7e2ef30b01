"""EMO-DB: names are read as its documentation says."""

from __future__ import annotations

import pytest

from bench import corpora
from bench.corpora import emodb


def test_names_are_read_as_documented(make_corpus):
    # The example of the EMO-DB documentation: 03a01Fa is speaker 03, text a01, Freude (happiness), version a.
    root = make_corpus("emodb", ["wav/03a01Fa.wav", "wav/16b10Lb.flac"], 0.01)
    first, second = emodb.load(root).table.to_dict("records")
    assert (first["speaker"], first["gender"], first["emotion"]) == ("03", "male", "happiness")
    assert first["transcript"] == "Der Lappen liegt auf dem Eisschrank."
    assert (second["speaker"], second["gender"], second["emotion"]) == ("16", "female", "boredom")


def test_classes_are_the_emotions_present_in_the_published_order(make_corpus):
    names = ["03a01Nc", "08a02Wa", "09b01Ed", "10a05Tb"]
    manifest = emodb.load(make_corpus("emodb", [f"{name}.wav" for name in names], 0.01))
    assert manifest.emotions == ("anger", "disgust", "sadness", "neutral")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("03a01Xa", "emotion code X is none of W, L, E, A, F, T, N"),
        ("04a01Wa", "speaker code 04 is none of 03, 08"),
        ("03a03Wa", "sentence code a03 is none of a01, a02, a04"),
        ("03a01W", "name is not speaker, sentence, emotion letter and version"),
    ],
)
def test_a_name_that_cannot_be_read_is_a_problem_with_its_reason(make_corpus, name, reason):
    manifest = emodb.load(make_corpus("emodb", ["03a01Wa.wav", f"wav/{name}.wav"], 0.01))
    assert manifest.table["utterance"].tolist() == ["03a01Wa"]
    assert len(manifest.problems) == 1
    assert reason in manifest.problems[0].reason


@pytest.mark.corpus
def test_the_real_corpus_has_its_known_size(data_root):
    manifest = corpora.load("emodb", data_root)
    assert len(manifest) == 339
    assert not manifest.problems
    counts = manifest.table["emotion"].value_counts().to_dict()
    assert counts == {"anger": 127, "happiness": 71, "neutral": 79, "sadness": 62}
    assert manifest.table["speaker"].nunique() == 10
