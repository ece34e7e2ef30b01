"""Files of weights: whole or not there, the same bytes for the same weights, and never a flipped bit."""

import re

import pytest
import torch
from training_fixtures import EMOTIONS, toy_cells, toy_normaliser, toy_split

from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.folders import Folders
from bench.training import checkpoint, streams
from bench.training.cohort import Student
from bench.training.fit import fit
from bench.training.run import sweep_finished

(CELL,) = toy_cells("retnet")
SPLITS = toy_split(16, seed=1), toy_split(8, seed=2)


def save(path):
    with streams.drawing_from("weights", 0):
        student = Student(CELL, len(EMOTIONS))
    checkpoint.save(path, CELL, student.model.state_dict(), toy_normaliser(SPLITS[0]), EMOTIONS)
    return path


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_disk_that_fills_amid_the_weights_is_one_sentence_and_leaves_nothing(tmp_path, largest_file):
    """torch says something else: that its position in the file is unexpected."""
    with largest_file(2_000), pytest.raises(SuiteError, match=r"cannot write .*a\.pt: File too large; free"):
        save(tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


def test_the_same_weights_are_the_same_bytes(tmp_path):
    assert save(tmp_path / "a.pt").read_bytes() == save(tmp_path / "b.pt").read_bytes()


@pytest.mark.parametrize("damage", [flip, cut])
def test_damaged_weights_are_refused(tmp_path, damage):
    path = save(tmp_path / "a.pt")
    checkpoint.load(path)
    damage(path)
    with pytest.raises(SuiteError, match=r"a\.pt: refused, as it is damaged"):
        checkpoint.load(path)


def train(folder, on_epoch=lambda done: None):
    return fit(toy_cells("retnet", epochs=3), *SPLITS, toy_normaliser(SPLITS[0]), folder, on_epoch)


@pytest.mark.parametrize("damage", [flip, cut])
@pytest.mark.parametrize("damaged", [("last.ckpt",), ("last.ckpt", "previous.ckpt")])
def test_training_goes_on_from_the_latest_checkpoint_that_is_whole(tmp_path, capsys, damage, damaged):
    whole, epochs = train(tmp_path / "whole"), []
    train(tmp_path / "again")  # leaves the checkpoints of its last two epochs
    for name in damaged:
        damage(tmp_path / "again" / name)
    resumed = train(tmp_path / "again", epochs.append)
    assert epochs == ([3] if len(damaged) == 1 else [1, 2, 3])
    said = capsys.readouterr().err
    assert re.findall(r"(\w+\.ckpt) is damaged", said) == list(damaged)
    pairs = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs if isinstance(a, torch.Tensor))


def test_checkpoints_of_finished_cells_are_swept_and_those_of_others_stay(tmp_path, monkeypatch):
    """What is left of a process that was killed as it removed them, or before."""
    monkeypatch.setattr(Store, "finished", lambda store, id: id.startswith("done"))
    for name, ids in (("cohort-1", "done1\ndone2\n"), ("cohort-2", "done1\nleft\n"), ("cohort-3", "done3\n")):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        (tmp_path / "checkpoints" / f"{name}.cells").write_text(ids)
    (tmp_path / "checkpoints" / "cohort-1" / "last.ckpt").touch()
    (tmp_path / "checkpoints" / "cohort-3").rmdir()
    sweep_finished(Folders(tmp_path, tmp_path / "cache"))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "cohort-2",
        "cohort-2.cells",
    ]
