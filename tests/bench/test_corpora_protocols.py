"""Speaker independence: in every protocol of every corpus, no speaker stands in two splits."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import corpora
from bench.corpora import emodb, ravdess, synthetic

PROTOCOLS = [(name, protocol) for name in corpora.names() for protocol in corpora.find(name).PROTOCOLS]


def assert_speaker_independent(manifest: corpora.Manifest) -> None:
    for protocol in manifest.protocols:
        tested = []
        for fold in range(len(manifest.folds(protocol))):
            split = manifest.assign(protocol, fold)
            speakers = pd.Series(manifest.table["speaker"].to_numpy(), split.index)
            assert (split.groupby(speakers).nunique() == 1).all()
            assert set(split) == {"train", "dev", "test"}
            tested += split[split == "test"].index.tolist()
        assert sorted(tested) == manifest.table["utterance"].tolist()


@pytest.mark.parametrize(("name", "protocol"), PROTOCOLS)
def test_development_and_test_speakers_differ_and_each_is_tested_once(name, protocol):
    folds = corpora.find(name).PROTOCOLS[protocol]
    tested = [speaker for fold in folds for speaker in fold.test]
    assert len(tested) == len(set(tested))
    for fold in folds:
        assert fold.dev
        assert not set(fold.dev) & set(fold.test)
        assert set(fold.dev) < set(tested)
        assert set(tested) - set(fold.dev) - set(fold.test)


def test_every_ravdess_utterance_is_tested_once_and_never_trained_on(make_corpus):
    names = [f"03-01-{emotion:02d}-01-01-01-{actor:02d}.wav" for actor in range(1, 25) for emotion in (2, 5)]
    assert_speaker_independent(ravdess.load(make_corpus("ravdess", names, 0.001)))


def test_every_emodb_utterance_is_tested_once_and_never_trained_on(make_corpus):
    speakers = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
    names = [f"{speaker}a01{letter}a.wav" for speaker in speakers for letter in "WN"]
    assert_speaker_independent(emodb.load(make_corpus("emodb", names, 0.001)))


@given(st.integers(3, 200))
def test_synthetic_folds_test_every_speaker_once_for_any_number(count):
    names = synthetic.speaker_names(count)
    folds = synthetic.folds(names)
    assert sorted(speaker for fold in folds for speaker in fold.test) == sorted(names)
    for fold in folds:
        assert fold.dev
        assert fold.test
        assert not set(fold.dev) & set(fold.test)
        assert set(names) - set(fold.dev) - set(fold.test)


def test_ravdess_folds_are_those_of_the_papers():
    luna = ravdess.PROTOCOLS["luna"]
    assert luna[0].test == ("02", "05", "14", "15", "16")
    assert luna[0].dev == ("03", "06")
    assert luna[4].test == ("01", "04", "09", "22")
    assert [len(fold.test) for fold in luna] == [5, 5, 5, 5, 4]
    assert ravdess.PROTOCOLS["emobox"][5].test == ("06", "13", "17", "22")


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["emodb", "ravdess"])
def test_real_corpora_are_speaker_independent(data_root, name):
    assert_speaker_independent(corpora.load(name, data_root))
