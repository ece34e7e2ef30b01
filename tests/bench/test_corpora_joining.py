"""Corpora joined: nobody in two splits, labels mapped as declared or refused, parts kept apart by name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench import corpora
from bench.config import Features
from bench.errors import SuiteError
from bench.features import cache as feature_cache
from bench.features.inspection import inspect, report_lines

RAVDESS = [
    f"ravdess/03-01-{emotion:02d}-01-01-01-{actor:02d}.wav"
    for emotion in range(1, 9)
    for actor in range(1, 25)
]
EMODB = [f"emodb/{speaker}a01{letter}a.wav" for speaker in ("03", "08", "09", "10") for letter in "WLTN"]
CREMA_D = [
    f"crema_d/{actor}_IEO_{emotion}_HI.wav"
    for actor in range(1001, 1006)
    for emotion in ("ANG", "SAD", "DIS")
]
IEMOCAP = [
    (f"Ses0{number}F_impro01_{who}000", "sad" if who == "F" else "ang")
    for number in range(1, 6)
    for who in "FM"
]
SMALL = Features(num_mels=8)


@pytest.fixture
def data(make_corpus) -> Path:
    """Small copies of four corpora in one data folder."""
    turns = [f"iemocap/Session{turn[4]}/sentences/wav/{turn[:-5]}/{turn}.wav" for turn, _ in IEMOCAP]
    root = make_corpus("data", [*RAVDESS, *EMODB, *CREMA_D, *turns], 0.05)
    for turn, label in IEMOCAP:
        file = root / f"iemocap/Session{turn[4]}/dialog/EmoEvaluation/{turn[:-5]}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as lines:
            lines.write(f"[1.0 - 2.0]\t{turn}\t{label}\t[2.5, 2.5, 2.5]\n")
    return root


def splits(manifest: corpora.Manifest, protocol: str, fold: int = 0) -> pd.DataFrame:
    """The table with each utterance's split, of those that have one."""
    table = manifest.table.set_index("utterance").drop(columns="split")
    return table.join(manifest.assign(protocol, fold).rename("split"), how="inner")


def by_corpus(table: pd.DataFrame) -> dict[str, set[str]]:
    """The splits in which each corpus stands."""
    return table.groupby(table.index.str.partition("/").get_level_values(0))["split"].agg(set).to_dict()


def counts(manifest: corpora.Manifest) -> dict[str, int]:
    return manifest.table["emotion"].value_counts().to_dict()


def notes(manifest: corpora.Manifest, heading: str) -> list[str]:
    return [text for name, text in manifest.notes if name == heading]


def test_the_source_trains_and_chooses_and_the_target_alone_is_tested(data):
    manifest = corpora.load("ravdess+crema_d-to-emodb", data)
    table = splits(manifest, "cross")
    assert manifest.test_splits("cross", 0) == ("test",)
    assert by_corpus(table) == {"ravdess": {"train", "dev"}, "crema_d": {"train", "dev"}, "emodb": {"test"}}
    assert (table.groupby("speaker")["split"].nunique() == 1).all()
    chosen = {
        *(f"ravdess/{actor}" for actor in corpora.find("ravdess").PROTOCOLS["luna"][0].dev),
        *(f"crema_d/{actor}" for actor in corpora.find("crema_d").PROTOCOLS["actors"][0].dev),
    }
    assert set(table["speaker"][table["split"] == "dev"]) == chosen & set(table["speaker"])


def test_without_a_label_set_the_classes_are_those_that_all_deciding_corpora_have(data):
    manifest = corpora.load("ravdess-to-emodb", data)
    assert manifest.emotions == ("neutral", "sad", "angry")  # EMO-DB has these and boredom here
    assert counts(manifest) == {"neutral": 28, "sad": 28, "angry": 28}
    assert notes(manifest, "left out") == [
        "RAVDESS: calm 24, happy 24, fearful 24, disgust 24, surprised 24",
        "EMO-DB: boredom 4",
    ]
    assert notes(manifest, "classes") == ["EMO-DB: anger as angry, sadness as sad"]


def test_an_added_corpus_trains_in_every_fold_of_the_sources_own_protocol(data):
    alone, manifest = corpora.load("iemocap", data), corpora.load("iemocap-with-crema_d", data)
    assert manifest.emotions == alone.emotions
    for fold in range(len(alone.folds("sessions"))):
        split = manifest.assign("sessions", fold)
        own = split[split.index.str.startswith("iemocap/")]
        expected = alone.assign("sessions", fold)
        assert dict(zip(own.index.str.removeprefix("iemocap/"), own, strict=True)) == expected.to_dict()
        assert set(split[split.index.str.startswith("crema_d/")]) == {"train"}
        assert (split.index.str.startswith("crema_d/")).sum() == 10  # disgust is no class of IEMOCAP


def test_added_corpora_narrow_no_class_and_test_nobody(data):
    manifest = corpora.load("ravdess-with-crema_d-to-emodb", data)
    assert manifest.emotions == corpora.load("ravdess-to-emodb", data).emotions
    assert by_corpus(splits(manifest, "cross"))["crema_d"] == {"train"}
    assert counts(manifest) == {"neutral": 28, "sad": 33, "angry": 33}


def test_label_set_four_merges_calm_into_neutral_and_keeps_the_protocols(data):
    manifest = corpora.load("ravdess-as-four", data)
    assert manifest.emotions == ("angry", "happy", "neutral", "sad")
    assert counts(manifest) == {"angry": 24, "happy": 24, "neutral": 48, "sad": 24}
    assert notes(manifest, "classes") == ["RAVDESS: calm as neutral"]
    whole = corpora.load("ravdess", data).assign("luna", 3)
    split = manifest.assign("luna", 3)
    assert split.tolist() == whole[split.index.str.removeprefix("ravdess/")].tolist()


def test_names_stay_unique_and_paths_lead_to_the_recordings(data):
    manifest = corpora.load("ravdess-to-emodb", data)
    assert manifest.table["utterance"].is_unique
    assert {name.partition("/")[0] for name in manifest.table["speaker"]} == {"ravdess", "emodb"}
    assert {"ravdess/03", "emodb/03"} <= set(manifest.table["speaker"])
    assert all((manifest.root / path).is_file() for path in manifest.table["path"])
    assert manifest.title == "RAVDESS → EMO-DB"


def test_attributes_on_scales_of_their_own_are_left_out(data):
    assert corpora.load("iemocap", data).table["valence"].notna().all()
    joined = corpora.load("iemocap-with-crema_d", data).table
    assert joined[["arousal", "valence", "dominance"]].isna().all(axis=None)


def test_a_class_that_is_tested_and_never_trained_is_refused_listing_both(data):
    expected = (
        r"neutral would be tested, and no training utterance has it; CREMA-D has neutral.*EMO-DB has anger"
    )
    with pytest.raises(SuiteError, match=expected):  # this copy of CREMA-D has no neutral clip
        corpora.load("crema_d-to-emodb", data)


def write_table(folder: Path, name: str, labels: str) -> None:
    """A table of one label a speaker, whose recordings lie in the corpora beside it."""
    rows = [
        {"path": RAVDESS[i], "label": label, "speaker": f"s{i}"} for i, label in enumerate(labels.split())
    ]
    pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "ravdess-to-table:mine",
            r"fewer than two classes are in common; RAVDESS has neutral, calm.*mine has ",
        ),
        ("ravdess-with-table:other", r"other has none of angry, calm"),
        ("table:other-as-four", r"fewer than two classes are in common; other has bored, proud"),
    ],
)
def test_labels_that_do_not_map_are_refused_listing_what_each_has(data, name, message):
    write_table(data, "mine", "Anger proud Anger proud bored Anger")
    write_table(data, "other", "proud bored proud bored proud")
    with pytest.raises(SuiteError, match=message):
        corpora.load(name, data)


def test_an_edited_table_is_another_comparison(data):
    write_table(data, "mine", "Anger Sad Anger Sad Anger Sad")
    before = corpora.load("ravdess-to-table:mine", data)
    write_table(data, "mine", "Sad Anger Anger Sad Anger Sad")
    after = corpora.load("ravdess-to-table:mine", data)
    assert before.protocol("cross") != after.protocol("cross")
    assert len(before.folds("cross")) == 1


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    """A cache with small generated corpora."""
    return tmp_path_factory.mktemp("generated")


OPTIONS = {"speakers": 6, "per_speaker": 5, "turns": 100}


def test_a_target_with_test_splits_of_its_own_is_tested_on_these_alone(generated):
    manifest = corpora.load("synthetic-to-msp_made", None, OPTIONS, generated)
    target = corpora.load("msp_made", None, {"turns": 100}, generated)
    assert manifest.emotions == ("neutral", "happy", "sad", "angry", "fearful")
    assert manifest.test_splits("cross", 0) == ("test1", "test2")
    found = by_corpus(splits(manifest, "cross"))
    assert found == {"synthetic": {"train", "dev"}, "msp_made": {"test1", "test2"}}
    assert manifest.protocol("cross").partition("-")[2] == target.protocol("official").partition("-")[2]
    assert manifest.synthetic


def test_a_source_with_splits_of_its_own_trains_and_chooses_on_these_alone(generated):
    manifest = corpora.load("msp_made-to-synthetic", None, OPTIONS, generated)
    own = corpora.load("msp_made", None, {"turns": 100}, generated).assign("official", 0)
    split = manifest.assign("cross", 0)
    split = split[split.index.str.startswith("msp_made/")]
    assert split.tolist() == own[split.index.str.removeprefix("msp_made/")].tolist()
    assert set(split) == {"train", "dev"}


def test_added_to_splits_of_the_sources_own_a_corpus_trains(generated):
    manifest = corpora.load("msp_made-with-synthetic", None, OPTIONS, generated)
    found = by_corpus(splits(manifest, "official"))
    assert found == {"msp_made": {"train", "dev", "test1", "test2"}, "synthetic": {"train"}}


def test_features_are_those_of_the_parts_and_are_computed_once(data, tmp_path, monkeypatch):
    ravdess, joined = corpora.load("ravdess", data), corpora.load("ravdess-to-emodb", data)
    alone = feature_cache.prepare(ravdess, SMALL, tmp_path / "cache")
    feature_cache.prepare(corpora.load("emodb", data), SMALL, tmp_path / "cache")
    folders = set((tmp_path / "cache/features").iterdir())
    monkeypatch.setattr(feature_cache, "read", None)  # reading a recording again would fail
    store = feature_cache.prepare(joined, SMALL, tmp_path / "cache")
    assert set((tmp_path / "cache/features").iterdir()) == folders
    assert set(joined.table["utterance"]) <= set(store)
    for own in alone:
        assert (store[f"ravdess/{own}"] == alone[own]).all()
        assert store.frames[f"ravdess/{own}"] == alone.frames[own]
        assert store.durations_s[f"ravdess/{own}"] == alone.durations_s[own]


def test_a_bad_recording_of_a_part_is_named_with_its_corpus(data, tmp_path):
    (data / EMODB[0]).write_bytes(b"")
    joined = corpora.load("ravdess-to-emodb", data)
    store = feature_cache.prepare(joined, SMALL, tmp_path / "cache", skip_bad=True)
    assert [str(problem.path) for problem in store.skipped] == [EMODB[0]]
    assert "emodb/03a01Wa" not in store


def test_the_check_counts_every_part_and_finds_no_fault_in_what_is_added(data):
    manifest = corpora.load("emodb-with-ravdess", data)
    text = "\n".join(report_lines(manifest, inspect(manifest)))
    assert "part       RAVDESS: 72 of 192 utterances take part" in text
    assert "every speaker tested once, but for 24 speakers who always train" in text
    assert f"files      all {len(manifest):,} can be used" in text


@pytest.mark.corpus
def test_real_ravdess_has_864_clips_in_the_four_classes(data_root):
    manifest = corpora.load("emodb-to-ravdess-as-four", data_root)
    tested = splits(manifest, "cross").query("split == 'test'")
    assert len(tested) == 864
    assert tested["emotion"].value_counts().to_dict() == {
        "neutral": 288,
        "angry": 192,
        "happy": 192,
        "sad": 192,
    }


@pytest.mark.corpus
def test_real_ravdess_to_emodb_tests_all_that_maps(data_root):
    target = corpora.load("emodb", data_root)
    manifest = corpora.load("ravdess-to-emodb", data_root)
    mapped = target.table["emotion"].isin(["anger", "happiness", "sadness", "neutral", "fear", "disgust"])
    assert (manifest.assign("cross", 0) == "test").sum() == mapped.sum()
