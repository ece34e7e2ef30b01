"""IEMOCAP: labels, attributes and transcripts are read from the files of the release, nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.corpora import iemocap
from bench.errors import SuiteError

HEADING = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
RATERS = "C-E2:\tNeutral;\t()\nC-F1:\tNeutral;\t(curious)\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"


def label(turn: str, code: str, attributes: str = "[2.5000, 3.0000, 3.5000]") -> str:
    return f"[6.2901 - 8.2357]\t{turn}\t{code}\t{attributes}\n{RATERS}"


def write(root: Path, session: int, turns: dict[str, str], extra: str = "", audio: bool = True) -> Path:
    """Session folders with a label file, transcripts and a recording for each turn of one dialogue."""
    folder = root / f"Session{session}"
    dialogue = f"Ses0{session}F_impro01"
    for part in ("dialog/EmoEvaluation/Categorical", "dialog/transcriptions", f"sentences/wav/{dialogue}"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    labels = HEADING + "".join(label(f"{dialogue}_{turn}", code) for turn, code in turns.items()) + extra
    (folder / "dialog/EmoEvaluation" / f"{dialogue}.txt").write_text(labels)
    (folder / "dialog/EmoEvaluation" / f"._{dialogue}.txt").write_bytes(b"\x00\x05\x16\x07[")
    (folder / "dialog/EmoEvaluation/Categorical" / f"{dialogue}_e2_cat.txt").write_text("not a label file")
    lines = [f"{dialogue}_{turn} [006.2901-008.2357]: Excuse me, {turn}.\n" for turn in turns]
    (folder / "dialog/transcriptions" / f"{dialogue}.txt").write_text("".join(lines))
    for turn in turns if audio else ():
        file = folder / "sentences/wav" / dialogue / f"{dialogue}_{turn}.wav"
        soundfile.write(file, np.zeros(4), 16_000)
    return root


def test_a_turn_is_read_as_its_files_say(tmp_path):
    # The first turn of the release, as printed in its documentation: neutral, V 2.5, A 2.5, D 2.5.
    root = write(tmp_path, 1, {}, extra=label("Ses01F_impro01_F000", "neu", "[2.5000, 2.5000, 2.5000]"))
    wav = root / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    soundfile.write(wav, np.zeros(4), 16_000)
    (root / "Session1/dialog/transcriptions/Ses01F_impro01.txt").write_text(
        "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.\n"
    )
    (row,) = iemocap.load(root).table.to_dict("records")
    assert (row["speaker"], row["gender"], row["emotion"]) == ("Ses01F", "female", "neutral")
    assert (row["valence"], row["arousal"], row["dominance"]) == (2.5, 2.5, 2.5)
    assert row["transcript"] == "Excuse me."
    assert (root / row["path"]) == wav


def test_attributes_keep_their_order_of_valence_activation_dominance(tmp_path):
    (row,) = iemocap.load(write(tmp_path, 2, {"M003": "ang"})).table.to_dict("records")
    assert (row["valence"], row["arousal"], row["dominance"]) == (2.5, 3.0, 3.5)


def test_the_speaker_is_who_has_the_turn_not_who_wears_the_markers(tmp_path):
    table = iemocap.load(write(tmp_path, 4, {"F000": "ang", "M000": "sad"})).table
    assert table["speaker"].tolist() == ["Ses04F", "Ses04M"]
    assert table["gender"].tolist() == ["female", "male"]


def test_excited_is_happy_and_other_labels_are_left_out_and_counted(tmp_path):
    codes = ["ang", "hap", "exc", "neu", "sad", "fru", "fru", "xxx", "sur", "fea", "dis", "oth"]
    manifest = iemocap.load(write(tmp_path, 1, {f"F{i:03d}": code for i, code in enumerate(codes)}))
    assert manifest.table["emotion"].tolist() == ["angry", "happy", "happy", "neutral", "sad"]
    assert manifest.emotions == ("angry", "happy", "neutral", "sad")
    assert not manifest.problems
    assert dict(manifest.notes)["left out"].startswith("frustrated 2, ")
    for counted in ("no agreement 1", "surprised 1", "fearful 1", "disgusted 1", "other 1"):
        assert counted in dict(manifest.notes)["left out"]


def test_the_folder_that_the_archive_unpacks_to_is_found(tmp_path):
    write(tmp_path / "IEMOCAP_full_release", 3, {"F000": "neu"})
    manifest = iemocap.load(tmp_path)
    assert (tmp_path / manifest.table["path"].iloc[0]).is_file()


def test_a_label_without_a_recording_is_a_problem_with_the_missing_path(tmp_path):
    write(tmp_path, 1, {"F000": "neu"})
    manifest = iemocap.load(write(tmp_path, 2, {"F000": "ang", "F001": "xxx"}, audio=False))
    assert manifest.table["utterance"].tolist() == ["Ses01F_impro01_F000"]
    (problem,) = manifest.problems  # the turn without agreement is not needed
    assert problem.path == Path("Session2/sentences/wav/Ses02F_impro01/Ses02F_impro01_F000.wav")
    assert "no recording" in problem.reason


def test_a_recording_without_a_label_is_a_problem(tmp_path):
    root = write(tmp_path, 1, {"F000": "neu"})
    stray = root / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F009.wav"
    soundfile.write(stray, np.zeros(4), 16_000)
    (problem,) = iemocap.load(root).problems
    assert root / problem.path == stray
    assert "no label" in problem.reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (label("Ses01F_impro01_F001", "joy"), "label code joy is none of ang, hap, exc"),
        (label("Ses01F_impro01_F001", "neu", "[2.5000, 2.5000]"), "is not [start - end], turn, label"),
        (
            label("Ses01F_impro01_F001", "neu", "[2.5000, 7.0000, 2.5000]"),
            "attribute 7.0000 is not from 1 to 5",
        ),
        (label("Ses09F_impro01_F001", "neu"), "turn Ses09F_impro01_F001 is not named like"),
    ],
)
def test_a_line_that_cannot_be_read_is_a_problem_with_its_number(tmp_path, line, reason):
    manifest = iemocap.load(write(tmp_path, 1, {"F000": "neu"}, extra=line))
    assert len(manifest) == 1
    (problem,) = manifest.problems
    assert problem.path == Path("Session1/dialog/EmoEvaluation/Ses01F_impro01.txt")
    assert problem.reason.startswith("line 8: ")
    assert reason in problem.reason


def test_a_folder_without_sessions_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(SuiteError, match="is not iemocap: expected folders Session1 to Session5"):
        iemocap.load(tmp_path)
