"""CREMA-D: names are read as its documentation says; folds share no actor and balance the sexes."""

from __future__ import annotations

import pytest

from bench.corpora import crema_d

# Rows of the corpus's VideoDemographics.csv.
SEXES = {"1001": "male", "1002": "female", "1037": "female", "1038": "male", "1090": "male", "1091": "female"}


def test_names_are_read_as_documented(make_corpus):
    root = make_corpus("crema_d", ["AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1091_IEO_FEA_HI.wav"], 0.001)
    manifest = crema_d.load(root)
    first, second = manifest.table.to_dict("records")
    assert (first["speaker"], first["gender"], first["emotion"]) == ("1001", "male", "angry")
    assert first["transcript"] == "Don't forget a jacket"
    assert (second["speaker"], second["gender"], second["emotion"]) == ("1091", "female", "fearful")
    assert second["transcript"] == "It's eleven o'clock"
    assert (manifest.root / second["path"]).is_file()


@pytest.mark.parametrize(
    ("code", "emotion"),
    [
        ("ANG", "angry"),
        ("DIS", "disgust"),
        ("FEA", "fearful"),
        ("HAP", "happy"),
        ("NEU", "neutral"),
        ("SAD", "sad"),
    ],
)
def test_every_emotion_code_has_its_published_meaning(make_corpus, code, emotion):
    root = make_corpus("crema_d", [f"1005_TSI_{code}_XX.wav"], 0.001)
    assert crema_d.load(root).table["emotion"].tolist() == [emotion]


def test_the_one_file_of_the_release_with_a_short_level_is_read(make_corpus):
    manifest = crema_d.load(make_corpus("crema_d", ["1040_ITH_SAD_X.wav"], 0.001))
    assert manifest.table["emotion"].tolist() == ["sad"]
    assert not manifest.problems


def test_the_mp3_copies_of_a_clone_are_no_second_recordings(make_corpus):
    root = make_corpus("crema_d", ["AudioWAV/1001_DFA_ANG_XX.wav"], 0.001)
    (root / "AudioMP3").mkdir()
    (root / "AudioMP3" / "1001_DFA_ANG_XX.mp3").write_bytes(b"ID3")
    assert len(crema_d.load(root)) == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("1092_DFA_ANG_XX", "actor code 1092 is none of 1001–1091"),
        ("1001_DFX_ANG_XX", "sentence code DFX is none of IEO, TIE"),
        ("1001_DFA_JOY_XX", "emotion code JOY is none of NEU, HAP"),
        ("1001_DFA_ANG_XL", "level code XL is none of LO, MD, HI, XX, X"),
        ("1001-DFA-ANG-XX", "name is not actor, sentence, emotion and level"),
    ],
)
def test_a_name_that_cannot_be_read_is_a_problem_with_its_reason(make_corpus, name, reason):
    manifest = crema_d.load(make_corpus("crema_d", ["1001_DFA_ANG_XX.wav", f"{name}.wav"], 0.001))
    assert len(manifest) == 1
    assert [reason in problem.reason for problem in manifest.problems] == [True]


def test_actors_and_their_sexes_are_those_of_the_paper():
    assert len(crema_d.ACTORS) == 91
    assert list(crema_d.ACTORS.values()).count("male") == 48
    assert {actor: crema_d.ACTORS[actor] for actor in SEXES} == SEXES


def test_folds_are_of_one_size_and_balance_the_sexes():
    folds = crema_d.PROTOCOLS["actors"]
    assert sorted(len(fold.test) for fold in folds) == [18, 18, 18, 18, 19]
    women = [sum(crema_d.ACTORS[actor] == "female" for actor in fold.test) for fold in folds]
    assert sorted(women) == [8, 8, 9, 9, 9]
    assert folds[0].test[:3] == ("1002", "1008", "1018")  # first, sixth and eleventh woman
    assert folds[0].dev == folds[1].test
    assert folds[4].dev == folds[0].test
