"""Files from elsewhere that lie, hide code or would fill the disk: each is refused in one sentence."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import report_fixtures as fixtures
import torch

import bench
import mixers
from bench import corpora
from bench.corpora import archives
from bench.errors import Problem, SuiteError, UnusableFiles, shown
from bench.evidence.records import ProfileRecord, RunRecord
from bench.evidence.store import Store, read
from bench.features import audio
from bench.training import checkpoint

PACKAGES = [Path(package.__file__).parent for package in (bench, mixers)]
FORBIDDEN = {  # calls that run what they read
    *("pickle.load", "pickle.loads", "joblib.load", "pd.read_pickle", "marshal.load", "shelve.open"),
    *("yaml.load", "dill.load", "cloudpickle.load", "torch.jit.load", "eval", "exec", "os.system"),
}


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def calls() -> list[tuple[Path, ast.Call, str]]:
    """Every call of the two packages with its dotted name."""
    return [
        (path, node, ast.unparse(node.func))
        for folder in PACKAGES
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def options(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


def test_nothing_in_the_tree_unpickles_what_it_reads():
    found = calls()
    assert [(path, name) for path, _, name in found if name in FORBIDDEN] == []
    loads = [options(call) for _, call, name in found if name == "torch.load"]
    assert loads
    assert all(each.get("weights_only") == "True" for each in loads)
    assert all(options(call).get("allow_pickle", "False") == "False" for _, call, _ in found)


def test_every_place_that_gives_lightning_or_transformers_a_file_asks_for_weights_alone():
    asked = [
        options(call).get("weights_only")
        for _, call, name in calls()
        if "ckpt_path" in options(call) or name.endswith("AutoModel.from_pretrained")
    ]
    assert asked
    assert set(asked) == {"True"}


@pytest.mark.parametrize("form", ["pickle", "torch"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_checkpoint_that_would_run_code_is_refused_and_does_not_run(tmp_path, form):
    bad, sprung = tmp_path / "bad.pt", tmp_path / "sprung"
    if form == "pickle":
        bad.write_bytes(pickle.dumps(Trap(sprung)))
    else:
        torch.save({"cell": Trap(sprung)}, bad)
    with pytest.raises(SuiteError, match=r"bad\.pt: refused, as it is damaged or would run code") as refused:
        checkpoint.load(bad)
    assert not sprung.exists()
    assert "\n" not in str(refused.value)
    assert "weights_only=False" not in str(refused.value)  # torch's own advice


@pytest.mark.parametrize("content", [{}, [], "text", {"cell": 5}, {"cell": "{}", "emotions": []}])
def test_a_checkpoint_of_plain_values_that_is_none_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(SuiteError, match="not a checkpoint of this version"):
        checkpoint.load(tmp_path / "odd.pt")


def zipped(members: dict[str, bytes], mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, content)
    return buffer.getvalue()


def unpack(content: bytes, folder: Path) -> Path:
    file, inside = folder / "a.zip", folder / "inside"
    file.write_bytes(content)
    inside.mkdir()
    with archives.opened(file) as archive:
        archives.unpack(archive, inside)
    return inside


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (zipped({"../evil.wav": b"x"}), "leads out of the folder"),
        (zipped({"a/../../evil.wav": b"x"}), "leads out of the folder"),
        (zipped({"a\\..\\..\\evil.wav": b"x"}), "leads out of the folder"),
        (zipped({"/etc/evil": b"x"}), "has an absolute name"),
        (zipped({"C:\\evil": b"x"}), "has an absolute name"),
        (zipped({"link": b"/etc/passwd"}, stat.S_IFLNK | 0o777), "is a link or another special file"),
        (zipped({"pipe": b""}, stat.S_IFIFO | 0o644), "is a link or another special file"),
        (zipped({"bomb": bytes(1 << 25)}), "over 50 times as many"),
    ],
)
def test_an_archive_that_is_not_of_plain_files_below_one_folder_is_refused_whole(tmp_path, content, reason):
    with pytest.raises(SuiteError, match=reason):
        unpack(content, tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"inside"}


def test_a_member_that_stands_twice_is_refused(tmp_path):
    content = zipped({"a.wav": b"one", "b.wav": b"two"}).replace(b"b.wav", b"a.wav")
    with pytest.raises(SuiteError, match=r"'a\.wav' stands twice"):
        unpack(content, tmp_path)


def test_an_archive_larger_than_the_disk_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(SuiteError, match=r"unpacks to 0\.0 GB and 0\.0 GB are free"):
        unpack(zipped({"a.wav": bytes(100)}), tmp_path)


def test_an_archive_of_plain_files_is_unpacked(tmp_path):
    inside = unpack(zipped({"a/b.wav": b"sound", "שלום ü.txt": b"text"}), tmp_path)
    assert {path.name: path.read_bytes() for path in inside.rglob("*.*")} == {
        "b.wav": b"sound",
        "שלום ü.txt": b"text",
    }


def wav(rate_hz: int = 16_000, channels: int = 1, frames: int = 1000, says: int | None = None) -> bytes:
    """A 16-bit WAV file whose header says `says` bytes of samples."""
    content = np.zeros(frames * channels, "<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * channels * 2 % 2**32, channels * 2, 16)
    size = len(content) if says is None else says
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt \x10\0\0\0" + form + b"data" + (
        struct.pack("<I", size) + content
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (wav(rate_hz=0), "not audio"),
        (wav(rate_hz=1), "sampling rate 1 Hz is not from 1,000"),
        (wav(rate_hz=2**31 - 1), "is not from 1,000 to 1,000,000 Hz"),
        (wav(channels=0), "not audio"),
        (wav(channels=2000, frames=1), "not audio"),
        (wav(says=10**8), "header says 50000000 frames, file holds 1000"),
    ],
)
def test_a_header_that_lies_is_refused_by_both_readers(tmp_path, content, reason):
    file = tmp_path / "a.wav"
    file.write_bytes(content)
    for reader in (audio.decode, audio.length):
        with pytest.raises(audio.AudioError, match=reason):
            reader(file)


@pytest.mark.parametrize(("rate_hz", "channels"), [(384_000, 1), (16_000, 64), (48_000, 1024)])
def test_unusual_rates_and_channels_are_read(tmp_path, rate_hz, channels):
    (tmp_path / "a.wav").write_bytes(wav(rate_hz, channels, frames=rate_hz // 10))
    assert audio.read(tmp_path / "a.wav", 16_000).shape == (1600,)


def test_a_recording_that_would_fill_the_memory_is_refused_while_it_is_read(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(wav(channels=2, frames=600))
    monkeypatch.setattr(audio, "MAX_SAMPLES", 1000)
    for reader in (audio.decode, audio.length):
        with pytest.raises(audio.AudioError, match="over 500 frames of 2 channels; cut it"):
            reader(tmp_path / "a.wav")


def table(folder: Path, rows: dict[int, dict[str, str]], columns: tuple[str, ...] = ()) -> Path:
    """A table of twelve recordings, two classes and four speakers, with some cells changed."""
    heads = ("path", "label", "speaker", *columns)
    lines = [",".join(heads)]
    for n in range(12):
        (folder / f"{n}.wav").write_bytes(wav())
        cells = {"path": f"{n}.wav", "label": "ab"[n % 2], "speaker": f"s{n % 4}"} | rows.get(n, {})
        lines.append(",".join(cells.get(head, "") for head in heads))
    (folder / "mine.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.mark.parametrize("path", ["a\0.wav", "a" * 5000 + ".wav", "../" * 3000 + "x.wav"])
def test_a_path_that_no_system_opens_is_a_problem_of_its_row(tmp_path, path):
    (problem,) = corpora.load("table:mine", table(tmp_path, {0: {"path": path}})).problems
    assert problem.reason == "row 1 names a recording that is not there"


def test_a_huge_field_stays_one_cell(tmp_path):
    manifest = corpora.load("table:mine", table(tmp_path, {0: {"speaker": "s" * 10**6}}))
    assert manifest.table["speaker"].str.len().max() == 10**6


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1e999"])
def test_an_attribute_without_end_is_no_number(tmp_path, value):
    root = table(tmp_path, {n: {"arousal": "3"} for n in range(12)} | {4: {"arousal": value}}, ("arousal",))
    (problem,) = corpora.load("table:mine", root).problems
    assert problem.reason == "row 5 has arousal that is no number"


def test_folds_are_ordered_by_number_however_long_that_is(tmp_path):
    folds = ["9" * 5000, "10", "9", "b"]
    rows = {n: {"fold": folds[n % 4]} for n in range(12)}
    manifest = corpora.load("table:mine", table(tmp_path, rows, ("fold",)))
    assert [fold.test for fold in manifest.folds("fold")] == [("s3",), ("s2",), ("s1",), ("s0",)]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "cp037"])
def test_a_table_in_another_encoding_is_refused(tmp_path, encoding):
    text = (table(tmp_path, {0: {"label": "é"}}) / "mine.csv").read_text(encoding="utf-8")
    (tmp_path / "mine.csv").write_bytes(text.encode(encoding))
    with pytest.raises(SuiteError, match="cannot be read as csv"):
        corpora.load("table:mine", tmp_path)


def test_a_parquet_table_of_bytes_that_are_no_text_is_refused(tmp_path):
    import pandas as pd

    odd = pd.DataFrame({"path": [b"\xff", b"b"], "label": ["a", "b"], "speaker": ["x", "y"]})
    odd.to_parquet(tmp_path / "mine.parquet")
    with pytest.raises(SuiteError, match="holds what is no text"):
        corpora.load("table:mine", tmp_path)


def test_labels_that_would_share_a_column_of_the_report_are_refused(tmp_path):
    with pytest.raises(SuiteError, match="labels b and b_low would share a column"):
        corpora.load("table:mine", table(tmp_path, {0: {"label": "b_low"}}))


def test_a_name_that_is_not_utf8_is_refused_by_name(tmp_path):
    (tmp_path / "ravdess").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "ravdess") + b"/caf\xe9.wav")).write_bytes(wav())
    with pytest.raises(SuiteError, match=r"ravdess: the path caf\\udce9\.wav is not UTF-8; rename it"):
        corpora.load("ravdess", tmp_path)


def test_a_recording_whose_path_is_not_utf8_cannot_be_used(tmp_path):
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    file.write_bytes(wav())
    with pytest.raises(audio.AudioError, match="its path is not UTF-8 text"):
        audio.decode(file)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("a\nb.wav", r"a\nb.wav"),
        ("\x1b[2J.wav", r"\x1b[2J.wav"),
        ("\u202egnp.wav", r"\u202egnp.wav"),
        ("caf\udce9.wav", r"caf\udce9.wav"),
        ("q\"uo'te שלום 語.wav", "q\"uo'te שלום 語.wav"),
    ],
)
def test_a_name_is_printed_on_one_line_and_moves_no_cursor(name, printed):
    assert shown(name) == printed
    error = UnusableFiles("corpus: 1 file", [Problem(Path(name), "bad")], "Mend it.")
    assert str(error).splitlines()[1:2] == [f"  {printed}  bad"]


def edited(record: RunRecord | ProfileRecord, tmp_path: Path, **fields: object) -> Path:
    """A record as somebody left it after an evening with an editor."""
    path = Store(tmp_path).write(record)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("metrics", {"test": {"uar": float("nan")}}, r"metrics\.test\.uar"),
        ("metrics", {"test": {"uar": 61.4}}, r"metrics\.test\.uar"),
        ("utterances", {"test": -5}, r"utterances\.test"),
        ("best_epoch", 10**400, "best_epoch"),
        ("status", "fine", "status"),
        ("added", 1, "added"),
        ("emotions", "happy", "emotions"),
    ],
)
def test_an_edited_run_is_refused_by_path_and_field(tmp_path, field, value, where):
    path = edited(fixtures.run_record(fixtures.ravdess_cell()), tmp_path, **{field: value})
    with pytest.raises(SuiteError, match=rf"{path.name}: not a valid record: {where}"):
        read(path, RunRecord)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("median_ms", float("inf")),
        ("median_ms", -5),
        ("samples_ms", [1.0, float("nan")]),
        ("peak_bytes", -1),
        ("frames", 2**63),
    ],
)
def test_an_edited_profile_is_refused_by_path_and_field(tmp_path, field, value):
    path = edited(fixtures.profile_record(), tmp_path, **{field: value})
    with pytest.raises(SuiteError, match=rf"{path.name}: not a valid record: {field}"):
        read(path, ProfileRecord)


@pytest.mark.parametrize("content", ["[" * 10**5, '{"a":' * 10**4, "\ud800", '"\\ud800"', "5", ""])
def test_a_record_that_is_no_object_is_refused(tmp_path, content):
    file = tmp_path / "x.json"
    file.write_bytes(content.encode("utf-8", errors="surrogatepass"))
    with pytest.raises(SuiteError, match="not a valid record"):
        read(file, RunRecord)


@pytest.mark.parametrize("column", ["logit_calm", "duration_s"])
def test_predictions_whose_numbers_are_text_are_refused(tmp_path, column):
    store, cell = Store(tmp_path), fixtures.ravdess_cell()
    fixtures.write_run(store, cell, fixtures.fold_part(fixtures.manifest(per_speaker=15), 0))
    store.write_predictions(cell.id, store.predictions(cell.id).assign(**{column: "x"}))
    with pytest.raises(SuiteError, match=f"'{column}' holds no numbers"):
        store.predictions(cell.id)
