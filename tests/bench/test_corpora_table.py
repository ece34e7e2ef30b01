"""A table of one's own: read as it stands, refused where it cannot be trusted, never mistaken for another."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench import corpora
from bench.config import Plan
from bench.errors import SuiteError
from bench.training import grid

SPEAKERS = [f"{number:02d}" for number in range(1, 8)]


def rows(each: int = 2) -> list[dict[str, str]]:
    """Recordings of seven speakers, two labels; speaker 01 has twice as many."""
    return [
        {"path": f"audio/{speaker}_{take}.wav", "label": ("calm", "angry")[take % 2], "speaker": speaker}
        for speaker in SPEAKERS
        for take in range(each * (1 + (speaker == "01")))
    ]


def write(folder: Path, table: list[dict[str, str]] | pd.DataFrame, name: str = "mine.csv") -> Path:
    """A table and an empty file for every path in it."""
    frame = pd.DataFrame(table)
    for path in frame["path"]:
        if path:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
    if name.endswith(".csv"):
        frame.to_csv(folder / name, index=False)
    else:
        frame.to_parquet(folder / name, index=False)
    return folder


def load(folder: Path) -> corpora.Manifest:
    return corpora.load("table:mine", folder)


def test_a_table_is_read_as_it_stands(tmp_path):
    full = [
        row | {"gender": "F", "arousal": "4.5", "valence": "", "transcript": "NA, she said", "mood": "x"}
        for row in rows()
    ]
    manifest = load(write(tmp_path, full))
    assert (manifest.corpus, manifest.title, manifest.root) == ("table:mine", "mine", tmp_path)
    assert manifest.emotions == ("angry", "calm")
    first = manifest.table.to_dict("records")[0]
    assert (first["utterance"], first["path"]) == ("audio/01_0", "audio/01_0.wav")
    assert (first["speaker"], first["gender"], first["emotion"]) == ("01", "female", "calm")
    assert first["arousal"] == 4.5
    assert pd.isna(first["valence"])
    assert first["transcript"] == "NA, she said"
    assert not manifest.problems


def test_parquet_and_csv_of_one_table_are_one_corpus(tmp_path):
    full = pd.DataFrame([row | {"speaker": int(row["speaker"]), "valence": 1.5} for row in rows()])
    one = load(write(tmp_path, full))
    (tmp_path / "mine.csv").unlink()
    other = load(write(tmp_path, full, "mine.parquet"))
    pd.testing.assert_frame_equal(one.table, other.table)


def test_labels_and_speakers_that_look_like_numbers_or_nothing_stay_text(tmp_path):
    odd = [row | {"label": "null" if row["label"] == "calm" else "1"} for row in rows()]
    manifest = load(write(tmp_path, odd))
    assert manifest.emotions == ("1", "null")
    assert set(manifest.table["speaker"]) == set(SPEAKERS)


def test_headings_may_be_in_capitals_and_start_with_a_byte_order_mark(tmp_path):
    write(tmp_path, rows())
    table = tmp_path / "mine.csv"
    heading, rest = table.read_text().split("\n", 1)
    table.write_text(heading.upper() + "\n" + rest, encoding="utf-8-sig")
    assert len(load(tmp_path)) == len(rows())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"path": ""}, "row 3 has no path"),
        ({"label": " "}, "row 3 has no label"),
        ({"speaker": ""}, "row 3 has no speaker"),
        ({"gender": "woman"}, "row 3 has a gender other than"),
        ({"arousal": "high"}, "row 3 has arousal that is no number"),
        ({"split": "holdout"}, "row 3 has a split other than"),
        ({"fold": ""}, "row 3 has no fold"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_problem_with_its_number(tmp_path, change, reason):
    parts = {"01": "train", "02": "dev", "03": "test"}
    table = [
        row
        | {"gender": "f", "arousal": "1", "split": parts.get(row["speaker"], "train"), "fold": row["speaker"]}
        for row in rows()
    ]
    table[2] |= change
    manifest = load(write(tmp_path, table))
    assert len(manifest) == len(table) - 1
    assert [reason in problem.reason for problem in manifest.problems] == [True]


def test_a_recording_that_is_not_there_or_stands_twice_is_a_problem_of_each_row(tmp_path):
    table = rows()
    write(tmp_path, [*table, table[0]])
    (tmp_path / table[1]["path"]).unlink()
    manifest = load(tmp_path)
    assert len(manifest) == len(table) - 2
    reasons = sorted(problem.reason for problem in manifest.problems)
    assert reasons == [
        "row 1 names a recording that another row names too",
        f"row {len(table) + 1} names a recording that another row names too",
        "row 2 names a recording that is not there",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path;label;speaker\na.wav;calm;01\n",
            "lacks path, label, speaker: its columns are path;label;speaker",
        ),
        ("path,label,Label,speaker\n", "names a column twice"),
        ("", "cannot be read as csv"),
        ("path,label,speaker\na.wav,calm,01,extra\n", "more fields than its heading"),
        ("path,label,speaker\na.wav,calm,01\nb.wav,calm,01,extra\n", "cannot be read as csv"),
        ("path,label,speaker\n", "has 0 usable of 0 rows and 0 classes; at least two"),
        ("path,label,speaker\nnone.wav,calm,01\n", r"a row names a recording that is not there"),
    ],
)
def test_a_table_that_is_none_is_refused_with_the_reason(tmp_path, text, message):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(SuiteError, match=message):
        load(tmp_path)


def test_a_table_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "mine.csv").write_bytes("path,label,speaker\nä.wav,müde,01\n".encode("latin-1"))
    with pytest.raises(SuiteError, match=r"mine\.csv cannot be read as csv .*utf-8"):
        load(tmp_path)


def test_a_name_that_is_no_table_is_answered_with_the_tables_there(tmp_path):
    with pytest.raises(
        SuiteError, match=r"table:mine: .* has no mine\.csv or mine\.parquet; there is no table"
    ):
        load(tmp_path)
    write(tmp_path, rows(), "other.csv")
    with pytest.raises(SuiteError, match="the tables there are other"):
        load(tmp_path)
    with pytest.raises(
        SuiteError, match=r"table: name a table of .*, as table:NAME; the tables there are other"
    ):
        corpora.load("table", tmp_path)
    with pytest.raises(SuiteError, match="no corpus 'ravdess:mine'"):
        corpora.load("ravdess:mine", tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path):
    write(tmp_path, rows())
    write(tmp_path, rows(), "mine.parquet")
    with pytest.raises(SuiteError, match=r"mine\.csv and mine\.parquet are both there"):
        load(tmp_path)


def test_speaker_folds_are_of_like_size(tmp_path):
    manifest = load(write(tmp_path, rows(each=10)))
    sizes = [manifest.assign("speakers", fold).eq("test").sum() for fold in range(5)]
    assert sum(sizes) == len(manifest) == 80
    assert sorted(sizes) == [10, 10, 20, 20, 20]  # seven speakers, one with 20 rows, are not evener in five


def test_own_splits_are_followed_and_may_test_twice(tmp_path):
    parts = {"02": "Validation", "03": "test", "04": "test_noisy"}
    table = [row | {"split": parts.get(row["speaker"], "Train")} for row in rows()]
    manifest = load(write(tmp_path, table))
    assert set(manifest.test_splits("split", 0)) == {"test", "test_noisy"}
    split = manifest.assign("split", 0)
    speakers = manifest.table.set_index("utterance")["speaker"]
    expected = speakers.map({"02": "dev", "03": "test", "04": "test_noisy"}).fillna("train")
    assert split.to_dict() == expected.to_dict()


def test_own_folds_are_each_tested_once_with_the_next_to_choose_on(tmp_path):
    table = [row | {"fold": str(int(row["speaker"]) + 5)} for row in rows()]  # 6 to 12: 10 follows 9
    manifest = load(write(tmp_path, table))
    folds = manifest.folds("fold")
    assert [fold.test for fold in folds] == [(speaker,) for speaker in SPEAKERS]
    assert [fold.dev for fold in folds] == [(speaker,) for speaker in (*SPEAKERS[1:], "01")]


@pytest.mark.parametrize("column", ["split", "fold"])
def test_a_speaker_in_two_splits_or_folds_is_refused_by_name(tmp_path, column):
    parts = {"01": "train", "02": "dev", "03": "test"}
    table = [row | {column: parts.get(row["speaker"], "train")} for row in rows()]
    table[0][column] = "test"
    with pytest.raises(SuiteError, match=rf"column {column} puts a speaker in two places \(01\)"):
        load(write(tmp_path, table))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (
            "split",
            ["train", "train", "test"],
            "column split holds test, train; it should hold train, dev and test",
        ),
        ("fold", ["a", "a", "b"], "column fold holds 2 folds; there should be 3"),
    ],
)
def test_splits_and_folds_that_leave_a_part_empty_are_refused(tmp_path, column, values, message):
    table = [row | {column: values[int(row["speaker"]) % 3]} for row in rows()]
    with pytest.raises(SuiteError, match=message):
        load(write(tmp_path, table))


def test_two_speakers_are_too_few(tmp_path):
    with pytest.raises(SuiteError, match="2 speakers are too few"):
        load(write(tmp_path, [row for row in rows() if row["speaker"] in ("01", "02")]))


def test_an_edited_table_is_another_task(tmp_path):
    def task_ids() -> set[str]:
        plan = Plan(name="own", tasks=("table:mine/speakers",), layouts=("softmax",))
        return {cell.id for cell in grid.cells(plan, lambda name: corpora.load(name, tmp_path))}

    write(tmp_path, rows())
    before = task_ids()
    assert before == task_ids()
    table = rows()
    table[0]["label"] = "angry"
    write(tmp_path, table)
    assert not before & task_ids()
