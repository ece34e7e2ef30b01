"""MSP-Podcast: every delivered form is read alike, every fault listed, a release known by its counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import soundfile

from bench import corpora
from bench.cli import run_command
from bench.config import Plan
from bench.corpora import msp_labels, msp_made, msp_podcast, msp_release
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.features.inspection import inspect, report_lines
from bench.training import grid

HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"
ROWS = (
    "MSP-PODCAST_0001_0008.wav,N,2.2,4.0,2.6,30,Male,Test1",  # the sample row of the corpus
    "MSP-PODCAST_0002_0001.wav,A,6.0,1.5,6.2,40,Female,Train",
    "MSP-PODCAST_0002_0002.wav,H,5.0,6.0,4.0,Unknown,Unknown,Train",
    "MSP-PODCAST_0003_0001.wav,S,2.0,2.0,3.0,50,Female,Development",
    "MSP-PODCAST_0004_0001.wav,U,5.0,4.0,4.0,60,Male,Test2",
    "MSP-PODCAST_0002_0003.wav,O,4.0,4.0,4.0,40,Female,Train",
    "MSP-PODCAST_0002_0004.wav,X,4.0,4.0,4.0,40,Female,Train",
    "MSP-PODCAST_0002_0005.wav,X,4.0,4.0,4.0,40,Female,Train",
)
SCORED = tuple(row.partition(".wav")[0] for row in ROWS[:5])


def names_of(rows) -> list[str]:
    return [row.partition(",")[0] for row in rows]


def copy(root: Path, rows=ROWS, audios="Audios", labels="Labels") -> Path:
    """A tiny copy as delivered: label file, partitions, and a file (which is never opened) a recording."""
    (root / labels).mkdir(parents=True)
    (root / audios).mkdir(parents=True)
    (root / labels / "labels_consensus.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    lines = [f"{row.rpartition(',')[2]}; {name}" for row, name in zip(rows, names_of(rows), strict=True)]
    (root / "Partitions.txt").write_text("\n".join(lines) + "\n")
    for name in names_of(rows):
        (root / audios / name).touch()
    return root


def utterances(manifest) -> list[str]:
    return manifest.table["utterance"].tolist()


def row_of(manifest, utterance: str) -> dict:
    return manifest.table.set_index("utterance").loc[utterance].to_dict()


def problems(manifest) -> dict[str, str]:
    return {problem.path.as_posix(): problem.reason for problem in manifest.problems}


def note(manifest, heading: str) -> str:
    return dict(manifest.notes)[heading]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A synthetic release 2.0 with recordings, as `corpora make` writes it."""
    folder = tmp_path_factory.mktemp("made") / "msp_podcast"
    msp_made.make(folder, "2.0", turns=200, seed=3)
    return folder


def test_a_label_row_is_read_as_documented(tmp_path):
    row = row_of(msp_podcast.load(copy(tmp_path)), "MSP-PODCAST_0001_0008")
    assert (row["emotion"], row["speaker"], row["gender"], row["split"]) == ("neutral", "30", "male", "Test1")
    assert (row["arousal"], row["valence"], row["dominance"]) == (2.2, 4.0, 2.6)
    assert row["path"] == "Audios/MSP-PODCAST_0001_0008.wav"


@pytest.mark.parametrize(
    ("code", "emotion"),
    [
        ("A", "angry"),
        ("S", "sad"),
        ("H", "happy"),
        ("U", "surprise"),
        ("F", "fear"),
        ("D", "disgust"),
        ("C", "contempt"),
        ("N", "neutral"),
    ],
)
def test_every_code_has_its_published_meaning(tmp_path, code, emotion):
    manifest = msp_podcast.load(copy(tmp_path, [ROWS[1].replace(",A,", f",{code},")]))
    assert manifest.table["emotion"].tolist() == [emotion]


def test_other_and_no_agreement_are_left_out_and_counted_and_no_fault(tmp_path):
    manifest = msp_podcast.load(copy(tmp_path))
    assert utterances(manifest) == sorted(SCORED)
    assert note(manifest, "left out").startswith("O (other) 1, X (no agreement) 2")
    assert not manifest.problems


@pytest.mark.parametrize(
    ("classes", "more", "left_out"),
    [(9, {"other"}, "X (no agreement) 2, Test3"), (10, {"other", "no_agreement"}, "Test3")],
)
def test_other_and_no_agreement_are_classes_where_asked_for(tmp_path, classes, more, left_out):
    copy(tmp_path / "msp_podcast")
    manifest = corpora.load("msp_podcast", tmp_path, {"classes": classes})
    assert manifest.emotions[:8] == msp_podcast.EMOTIONS
    assert set(manifest.emotions[8:]) == more == set(manifest.table["emotion"]) - set(msp_podcast.EMOTIONS)
    assert len(manifest) == {9: 6, 10: 8}[classes]
    assert note(manifest, "left out").startswith(left_out)


def test_another_number_of_classes_is_refused(tmp_path):
    with pytest.raises(SuiteError, match=r"classes=7 should be 8, 9 \(other too\) or 10"):
        msp_podcast.load(copy(tmp_path), classes=7)


def test_nested_folders_and_validation_are_read_like_the_plain_form(tmp_path):
    plain = msp_podcast.load(copy(tmp_path / "plain"))
    rows = [row.replace("Development", "Validation") for row in ROWS]
    nested = msp_podcast.load(copy(tmp_path / "nested", rows, "Audios/Audios", "Labels/Labels"))
    assert not nested.problems
    pd.testing.assert_frame_equal(nested.table.drop(columns="path"), plain.table.drop(columns="path"))


@pytest.mark.parametrize("name", ["labels_consensus.json", "labels_concensus.json"])
def test_labels_in_json_in_both_spellings_give_the_same_manifest(tmp_path, name):
    plain = msp_podcast.load(copy(tmp_path))
    table = pd.read_csv(tmp_path / "Labels/labels_consensus.csv", dtype={"SpkrID": object})
    rows = table.set_index("FileName").to_dict("index")
    (tmp_path / "Labels/labels_consensus.csv").unlink()
    (tmp_path / "Labels" / name).write_text(json.dumps(rows))
    pd.testing.assert_frame_equal(msp_podcast.load(tmp_path).table, plain.table)


def test_an_extra_0001_on_one_side_is_the_same_turn_unless_both_are_there(tmp_path):
    rows = [
        ROWS[0],
        ROWS[1].replace("0002_0001", "0002_0001_0001"),
        ROWS[3],
        ROWS[3].replace(".wav", "_0001.wav"),
    ]
    copy(tmp_path, rows)
    audios = tmp_path / "Audios"
    (audios / "MSP-PODCAST_0001_0008.wav").rename(audios / "MSP-PODCAST_0001_0008_0001.wav")
    (audios / "MSP-PODCAST_0002_0001_0001.wav").rename(audios / "MSP-PODCAST_0002_0001.wav")
    manifest = msp_podcast.load(tmp_path)
    assert not manifest.problems
    assert dict(zip(manifest.table["utterance"], manifest.table["path"], strict=True)) == {
        "MSP-PODCAST_0001_0008": "Audios/MSP-PODCAST_0001_0008_0001.wav",
        "MSP-PODCAST_0002_0001_0001": "Audios/MSP-PODCAST_0002_0001.wav",
        "MSP-PODCAST_0003_0001": "Audios/MSP-PODCAST_0003_0001.wav",
        "MSP-PODCAST_0003_0001_0001": "Audios/MSP-PODCAST_0003_0001_0001.wav",
    }


def test_unknown_speakers_are_one_a_podcast_unless_speaker_ids_names_them(tmp_path):
    stranger = ROWS[2].replace
    rows = [*ROWS, *(stranger("0002_0002", name) for name in ("0002_0009", "0007_0001", "0007_0002"))]
    copy(tmp_path, rows)
    (tmp_path / "Speaker_ids.txt").write_text(
        "MSP-PODCAST_0007_0002.wav; 71\nMSP-PODCAST_0001_0008.wav; 31\nMSP-PODCAST_0002_0009.wav; Unknown\n"
    )
    manifest = msp_podcast.load(tmp_path)
    speakers = manifest.table.set_index("utterance")["speaker"]
    assert speakers["MSP-PODCAST_0002_0002"] == speakers["MSP-PODCAST_0002_0009"] == "unknown-0002"
    assert speakers["MSP-PODCAST_0007_0001"] == "unknown-0007"
    assert speakers["MSP-PODCAST_0007_0002"] == "71"
    assert speakers["MSP-PODCAST_0001_0008"] == "30"  # the labels say so
    assert any("disagree on the speaker of 1 turns" in warning for warning in manifest.warnings)
    assert note(manifest, "unknown") == "speaker of 3 turns, in 2 podcasts, each counted as one speaker"


def test_test3_without_labels_is_counted_and_no_fault(tmp_path):
    copy(tmp_path)
    for name in ("test3_0001", "test3_0002"):
        (tmp_path / "Audios" / f"MSP-PODCAST_{name}.wav").touch()
    with (tmp_path / "Partitions.txt").open("a") as file:
        file.write("Test3; MSP-PODCAST_test3_0001.wav\n")
    manifest = msp_podcast.load(tmp_path)
    assert not manifest.problems
    assert note(manifest, "left out").endswith("Test3 without labels 2")
    assert utterances(manifest) == sorted(SCORED)


def test_transcripts_are_joined_by_name_and_a_missing_one_is_empty(tmp_path):
    copy(tmp_path)
    (tmp_path / "Transcripts").mkdir()
    (tmp_path / "Transcripts/MSP-PODCAST_0001_0008.txt").write_text(" It was\n naïve. ", encoding="utf-8")
    manifest = msp_podcast.load(tmp_path)
    assert row_of(manifest, "MSP-PODCAST_0001_0008")["transcript"] == "It was naïve."
    assert row_of(manifest, "MSP-PODCAST_0002_0001")["transcript"] == ""
    assert note(manifest, "texts") == "1 of 5 turns have a transcript"


def relabel(old: str, new: str):
    def damage(root: Path) -> None:
        path = root / "Labels/labels_consensus.csv"
        path.write_text(path.read_text().replace(old, new))

    return damage


def repartition(old: str, new: str):
    def damage(root: Path) -> None:
        path = root / "Partitions.txt"
        path.write_text(path.read_text().replace(old, new))

    return damage


def twice(root: Path) -> None:
    (root / "Audios/more").mkdir()
    (root / "Audios/more/MSP-PODCAST_0001_0008.wav").touch()


def latin(root: Path) -> None:
    (root / "Transcripts").mkdir()
    (root / "Transcripts/MSP-PODCAST_0001_0008.txt").write_bytes("naïve".encode("latin-1"))


FIRST = "MSP-PODCAST_0001_0008.wav"


@pytest.mark.parametrize(
    ("damage", "path", "reason"),
    [
        (lambda root: (root / "Audios" / FIRST).unlink(), f"Audios/{FIRST}", "there is no recording"),
        (relabel(",2.2,4.0", ",8.2,4.0"), FIRST, "EmoAct is '8.2', not a number from 1 to 7"),
        (relabel(",4.0,2.6", ",0.5,2.6"), FIRST, "EmoVal is '0.5', not a number from 1 to 7"),
        (relabel(",2.6,30", ",,30"), FIRST, "EmoDom is '', not a number from 1 to 7"),
        (relabel(".wav,N,", ".wav,Q,"), FIRST, "emotion code 'Q' is none of A, S, H, U, F, D, C, N, O, X"),
        (relabel("Male,Test1", "Male,Test9"), FIRST, "split 'Test9' is none of Train, Development"),
        (relabel(ROWS[0], f"{ROWS[0]}\n{ROWS[0]}"), FIRST, "stands more than once in the labels"),
        (
            repartition(f"Test1; {FIRST}", f"Train; {FIRST}"),
            FIRST,
            "Test1 in the labels, Train in Partitions.txt",
        ),
        (
            repartition(f"Test1; {FIRST}", f"Test1; {FIRST}\nTrain; {FIRST}"),
            FIRST,
            "is in several partitions of Partitions.txt",
        ),
        (twice, "Audios/more/MSP-PODCAST_0001_0008.wav", "another recording has the same name"),
        (latin, "Transcripts/MSP-PODCAST_0001_0008.txt", "transcript is not UTF-8"),
    ],
)
def test_a_turn_that_cannot_be_used_is_listed_with_its_reason_and_the_others_stay(
    tmp_path, damage, path, reason
):
    copy(tmp_path)
    damage(tmp_path)
    manifest = msp_podcast.load(tmp_path)
    assert reason in problems(manifest)[path]
    assert utterances(manifest) == sorted(SCORED)[1:]


def test_a_recording_without_a_label_is_listed(tmp_path):
    (copy(tmp_path) / "Audios/MSP-PODCAST_0009_0001.wav").touch()
    manifest = msp_podcast.load(tmp_path)
    assert problems(manifest) == {
        "Audios/MSP-PODCAST_0009_0001.wav": "a recording without a label in labels_consensus.csv"
    }
    assert len(manifest) == 5


def test_a_line_of_the_partition_file_that_is_none_is_listed_by_number(tmp_path):
    copy(tmp_path)
    repartition(f"Test1; {FIRST}", f"{FIRST}; Test1")(tmp_path)
    manifest = msp_podcast.load(tmp_path)
    assert "line 1, 'MSP-PODCAST_0001_0008.wav; Test1', is not" in problems(manifest)["Partitions.txt"]
    assert "1 labelled turns are not in Partitions.txt" in manifest.warnings
    assert len(manifest) == 5


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "Partitions.txt").write_text("a,b\nc,d\n"), "no line of .*Partitions.txt is"),
        (relabel("EmoClass", "Emotion"), "labels_consensus.csv has no column EmoClass; its header should be"),
        (
            lambda root: (root / "Labels/labels_consensus.csv").write_bytes(
                (HEADER + "\nà").encode("latin-1")
            ),
            "labels_consensus.csv is not a table in UTF-8",
        ),
        (
            lambda root: shutil.rmtree(root / "Labels"),
            "is not MSP-Podcast: expected Labels/labels_consensus.csv",
        ),
    ],
)
def test_a_table_that_cannot_be_read_at_all_is_one_sentence(tmp_path, damage, message):
    damage(copy(tmp_path))
    with pytest.raises(SuiteError, match=message):
        msp_podcast.load(tmp_path)


def test_labels_without_any_recording_are_one_problem(tmp_path):
    shutil.rmtree(copy(tmp_path) / "Audios")
    manifest = msp_podcast.load(tmp_path)
    assert problems(manifest) == {"Audios": "holds no recording; unpack the audio of the corpus here"}
    assert len(manifest) == 5


PUBLISHED = {  # labelled turns; 2.0: those of the eight emotions, then O and X of any split
    "1.11": {"Train": 84_030, "Development": 19_815, "Test1": 30_647, "Test2": 14_815},
    "1.12": {"Train": 84_260, "Development": 31_961},
    "2.0": {"Train": 137_168, "Development": 27_205, "Test2": 11_667},
}
TEST1 = dict(N=12_457, H=10_947, A=6_985, S=3_041, U=1_206, C=1_040, D=744, F=348)


def published(release: str) -> pd.DataFrame:
    """Turns with the counts of a release, typed from its publication; everything else is neutral."""
    parts = [pd.DataFrame({"split": [split] * n, "emotion": "N"}) for split, n in PUBLISHED[release].items()]
    if release == "2.0":
        parts += [pd.DataFrame({"split": ["Test1"] * n, "emotion": code}) for code, n in TEST1.items()]
        rest = 267_905 - 3_200 - 137_168 - 27_205 - 36_768 - 11_667
        parts.append(pd.DataFrame({"split": ["Train"] * rest, "emotion": "X"}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(("release", "test3"), [("1.11", 2_347), ("1.12", 3_200), ("2.0", 3_200), ("2.0", 0)])
def test_a_release_is_recognised_by_its_published_counts(release, test3):
    found = msp_release.identify(published(release), test3)
    assert (found.release, found.nearest, found.differences) == (release, release, ())


def test_a_copy_that_fits_no_release_is_told_the_difference_to_the_nearest():
    found = msp_release.identify(published("2.0").iloc[1:], 3_200)
    assert (found.release, found.nearest) == ("", "2.0")
    assert "Train, eight emotions 137,168 published, 137,167 here" in found.differences


def test_a_copy_of_no_known_release_warns_and_is_named_by_its_own_labels(tmp_path):
    one, other = (msp_podcast.load(copy(tmp_path / name, ROWS[at:])) for name, at in (("a", 0), ("b", 1)))
    assert any(warning.startswith("counts differ from release") for warning in one.warnings)
    assert one.protocol("official").startswith("official-")
    assert one.protocol("official") != other.protocol("official")  # cells and tables of the two stay apart
    assert one.title == "MSP-Podcast (no known release)"
    assert not one.synthetic


def test_the_official_splits_are_trained_on_chosen_on_and_scored_apart(tmp_path):
    manifest = msp_podcast.load(copy(tmp_path))
    split = manifest.assign("official", 0)
    assert split.to_dict() == {
        "MSP-PODCAST_0001_0008": "test1",
        "MSP-PODCAST_0002_0001": "train",
        "MSP-PODCAST_0002_0002": "train",
        "MSP-PODCAST_0003_0001": "dev",
        "MSP-PODCAST_0004_0001": "test2",
    }
    assert manifest.test_splits("official", 0) == ("test1", "test2")


def test_a_challenge_copy_without_test_labels_has_no_test_split(tmp_path):
    manifest = msp_podcast.load(copy(tmp_path, [ROWS[1], ROWS[2], ROWS[3]]))
    assert manifest.test_splits("official", 0) == ()


def test_speakers_shared_with_training_are_listed_and_disjoint_does_not_train_on_them(tmp_path):
    shared = ROWS[4].replace(",60,", ",40,")
    manifest = msp_podcast.load(copy(tmp_path, [*ROWS[:4], shared]))
    assert any(
        warning.startswith("1 speakers of Train or Development") and "40 (Test2 1, Train 1)" in warning
        for warning in manifest.warnings
    )
    official, disjoint = manifest.assign("official", 0), manifest.assign("disjoint", 0)
    assert official["MSP-PODCAST_0002_0001"] == "train"
    assert "MSP-PODCAST_0002_0001" not in disjoint
    speaker = manifest.table.set_index("utterance")["speaker"].loc[disjoint.index]
    assert not set(speaker[disjoint == "train"]) & set(speaker[disjoint != "train"])


def test_an_unknown_protocol_is_answered_with_the_known_ones(tmp_path):
    manifest = msp_podcast.load(copy(tmp_path))
    with pytest.raises(SuiteError, match=r"no protocol 'luna'; there is disjoint-\w+, official-\w+"):
        manifest.assign("luna", 0)


def test_a_plan_names_its_cells_after_the_release(tmp_path):
    manifest = msp_podcast.load(copy(tmp_path))
    plan = Plan(name="own", tasks=("msp_podcast/official",), layouts=("softmax",))
    assert (
        grid.cells(plan, lambda corpus: manifest)[0].task.protocol
        == manifest.protocol("official")
        != "official"
    )


@pytest.mark.slow
def test_a_run_is_chosen_on_development_and_reported_on_every_test_split(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    results = ["--results", str(tmp_path / "results")]
    small = ["--encoder.d-model", "16", "--encoder.num-layers", "1", "--recipe.epochs", "1"]
    task = ["--task", "msp_podcast/official", "--data-root", str(made)]
    assert run_command(["train", *task, *small, *results]) == 0
    assert "protocol disjoint does not train on them" in capsys.readouterr().err
    store = Store(tmp_path / "results")
    run = store.runs()[0]
    assert list(run.utterances) == ["train", "dev", "test1", "test2"]
    assert set(run.metrics) == {"dev", "test1", "test2"}
    predictions = store.predictions(run.id)
    sizes = predictions["split"].value_counts().to_dict()
    assert sizes == {split: count for split, count in run.utterances.items() if split != "train"}
    assert run_command(["report", *results]) == 0
    board = (tmp_path / "results/leaderboard.md").read_text()
    assert all(f"{run.config.task.protocol}, {split}, recipe" in board for split in ("Dev", "Test1", "Test2"))


def test_the_check_reports_release_counts_and_shared_speakers(made):
    manifest = corpora.load("msp_podcast", made.parent)
    text = "\n".join(report_lines(manifest, inspect(manifest)))
    assert "release    synthetic, built like 2.0" in text
    assert "left out   O (other)" in text
    assert "warning    2 speakers of Train or Development in another split too" in text
    assert "44,100 Hz" in text
    assert "channels 1 (" in text
    assert "files      all" in text
    assert f"{manifest.protocol('official')}: 1 fold" in text


def test_a_made_copy_has_every_oddity_and_no_fault(made):
    manifest = msp_podcast.load(made)
    assert manifest.synthetic
    assert not manifest.problems
    assert manifest.title == "MSP-Podcast 2.0, synthetic"
    assert set(manifest.table["emotion"]) == set(msp_podcast.EMOTIONS)
    assert set(manifest.table["split"]) == {"Train", "Development", "Test1", "Test2"}
    assert manifest.table["speaker"].str.startswith("unknown-").any()
    paths = manifest.table["path"].str.removesuffix(".wav")
    assert paths.str.startswith("Audios/Audios/").all()
    assert (manifest.table["utterance"] + "_0001" == paths.str.rpartition("/")[2]).any()
    assert "Validation" in (made / "Partitions.txt").read_text()
    found = [soundfile.info(made / path) for path in manifest.table["path"]]
    assert {(each.samplerate, each.channels) for each in found} >= {(16_000, 1), (44_100, 1), (16_000, 2)}
    assert list(made.glob("Audios/Audios/MSP-PODCAST_test3_*.wav"))


def test_the_made_corpus_is_generated_once_in_the_cache(tmp_path):
    first = corpora.load("msp_made", None, {"turns": 100, "seed": 1}, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in first.root.rglob("*.wav")}
    again = corpora.load("msp_made", None, {"turns": 100, "seed": 1}, tmp_path)
    assert (again.corpus, again.synthetic, len(written)) == ("msp_made", True, 100)
    assert {path: path.stat().st_mtime_ns for path in again.root.rglob("*.wav")} == written
    pd.testing.assert_frame_equal(again.table, first.table)


def test_a_made_consensus_is_the_plurality_and_the_mean_of_its_raters(made):
    consensus = pd.read_csv(made / "Labels/labels_consensus.csv").set_index("FileName")
    ratings = pd.read_csv(made / "Labels/labels_detailed.csv")
    votes = pd.crosstab(ratings["FileName"], ratings["EmoClass_Major"])
    assert votes.sum(axis=1).between(5, 7).all()
    named = consensus["EmoClass"].map(msp_release.EMOTIONS).dropna().str.capitalize()
    assert (votes.loc[named.index].idxmax(axis=1) == named).all()
    assert (votes.loc[consensus.index[consensus["EmoClass"] == "X"]].max(axis=1) == 1).all()
    means = ratings.groupby("FileName")[["EmoAct", "EmoVal", "EmoDom"]].mean()
    pd.testing.assert_frame_equal(means, consensus[list(means)].loc[means.index], atol=1e-6)


@pytest.mark.parametrize("release", list(msp_release.RELEASES))
def test_a_made_copy_of_any_release_is_read_without_a_fault(tmp_path, release):
    msp_made.make(tmp_path / "made", release, turns=400, audio=False)
    labels = msp_labels.read(tmp_path / "made")
    assert (labels.problems, labels.warnings) == ((), ())
    assert len(labels.turns) + len(labels.unlabelled) == 400
    assert labels.ratings > 5 * len(labels.turns)


def test_at_full_size_a_made_copy_has_the_published_counts():
    counts = msp_made.counts(msp_release.RELEASES["2.0"], 267_905)
    assert sum(counts.values()) == 267_905
    assert {code: counts["Test1", code] for code in TEST1} == TEST1
    assert sum(counts["Train", code] for code in TEST1) == 137_168


def test_the_same_seed_makes_the_same_corpus_and_another_another(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        msp_made.make(tmp_path / name, turns=100, seed=seed, audio=False)
    tables = [(tmp_path / name / "Labels/labels_consensus.csv").read_bytes() for name in "abc"]
    assert tables[0] == tables[1] != tables[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--release", "3.0"], "no release '3.0' of MSP-Podcast is known; there is 1.11, 1.12, 2.0"),
        (["--turns", "10"], "give at least 100 turns"),
        (["--out", "full"], "full is there already; name an empty or a new folder"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_sentence(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").touch()
    assert run_command(["corpora", "make", "msp_podcast", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_command_line_makes_a_corpus_that_it_can_load(tmp_path, capsys):
    out = tmp_path / "msp_podcast"
    arguments = ["--release", "1.11", "--turns", "120", "--no-audio", "--out", str(out)]
    assert run_command(["corpora", "make", "msp_podcast", *arguments]) == 0
    assert "120 synthetic turns like release 1.11" in capsys.readouterr().out
    assert len(corpora.load("msp_podcast", tmp_path)) > 50
