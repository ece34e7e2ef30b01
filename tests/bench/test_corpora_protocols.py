"""Speaker independence: in every protocol of every corpus, no speaker stands in two splits."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import corpora
from bench.corpora import crema_d, emodb, iemocap, ravdess, synthetic

PROTOCOLS = [
    (name, protocol)
    for name in corpora.names()
    for protocol, folds in corpora.find(name).PROTOCOLS.items()
    if all(isinstance(fold, corpora.Fold) for fold in folds)
]


def assert_speaker_independent(manifest: corpora.Manifest) -> None:
    """No speaker in two splits; where speakers are held out in turn, every utterance is tested once."""
    speaker_of = manifest.table.set_index("utterance")["speaker"]
    for protocol in manifest.protocols:
        tested = []
        for number, fold in enumerate(manifest.folds(protocol)):
            split = manifest.assign(protocol, number)
            assert (split.groupby(speaker_of[split.index]).nunique() == 1).all()
            assert set(split) == {"train", "dev", *manifest.test_splits(protocol, number)}
            tested += split[split == "test"].index.tolist() if isinstance(fold, corpora.Fold) else []
        if tested:
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


def test_every_crema_d_utterance_is_tested_once_and_never_trained_on(make_corpus):
    names = [f"{actor}_IEO_{emotion}_HI.wav" for actor in range(1001, 1092) for emotion in ("ANG", "SAD")]
    manifest = crema_d.load(make_corpus("crema_d", names, 0.001))
    assert len(manifest) == 182
    assert_speaker_independent(manifest)


def test_every_iemocap_utterance_is_tested_once_and_never_trained_on(make_corpus):
    turns = [f"Ses0{session}F_impro01_{who}000" for session in range(1, 6) for who in "FM"]
    root = make_corpus(
        "iemocap", [f"Session{turn[4]}/sentences/wav/{turn[:-5]}/{turn}.wav" for turn in turns], 0.001
    )
    for turn in turns:
        labels = root / f"Session{turn[4]}/dialog/EmoEvaluation" / f"{turn[:-5]}.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        with labels.open("a") as file:
            file.write(f"[1.0 - 2.0]\t{turn}\tang\t[2.5, 2.5, 2.5]\n")
    manifest = iemocap.load(root)
    assert len(manifest) == 10
    assert_speaker_independent(manifest)


def test_every_protocol_of_a_table_is_speaker_independent(make_corpus, tmp_path):
    rows = [
        {"path": f"{speaker}{take}.wav", "label": "xy"[take % 2], "speaker": speaker}
        for number, speaker in enumerate("abcdefg")
        for take in range(2 + number)
    ]
    make_corpus(".", [row["path"] for row in rows], 0.001)
    parts = dict(zip("abcdefg", ("train", "train", "dev", "train", "test", "train", "test2"), strict=True))
    table = pd.DataFrame(rows)
    table["split"], table["fold"] = (
        table["speaker"].map(parts),
        table["speaker"].map(lambda name: ord(name) % 3),
    )
    table.to_csv(tmp_path / "mine.csv", index=False)
    manifest = corpora.load("table:mine", tmp_path)
    assert [name.partition("-")[0] for name in manifest.protocols] == ["speakers", "split", "fold"]
    assert_speaker_independent(manifest)


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
