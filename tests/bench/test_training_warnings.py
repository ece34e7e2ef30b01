"""A cohort that is warned keeps what it has, wherever it stands, and goes on as if never stopped."""

import os
import signal
import subprocess
import sys

import pytest
import torch
from training_fixtures import toy_cells, toy_normaliser, toy_split

from bench.training import warning
from bench.training.cohort import Cohort
from bench.training.fit import fit

SPLITS = toy_split(30, seed=1), toy_split(15, seed=2)  # four batches to train on, two to score
EPOCHS = 2


class Killed(Exception):
    """Stands for the kill that follows a warning."""


def kill() -> None:
    raise Killed


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch):
    """Signals and their handlers are afterwards as before."""
    before = {number: signal.getsignal(number) for number in warning.SIGNALS}
    monkeypatch.setattr(warning, "_heeded", ())
    monkeypatch.setattr(warning, "_answer", None)
    yield
    warning._given.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


def train(folder, accumulate=1) -> Cohort:
    cells = toy_cells("softmax", "kda", epochs=EPOCHS, accumulate=accumulate)
    return fit(cells, *SPLITS, toy_normaliser(SPLITS[0]), folder, lambda done: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[int, Cohort]:
    """Cohorts that nobody disturbed, by the batches to a step of the optimisers."""
    return {accumulate: train(tmp_path_factory.mktemp("whole"), accumulate) for accumulate in (1, 3)}


def warn_in(monkeypatch, step: str, call: int, number: signal.Signals) -> list[int]:
    """Signal this process in call `call` of a step; gives the list of calls that are made."""
    calls: list[int] = []
    original = getattr(Cohort, step)

    def counted(self, batch, position):
        calls.append(position)
        if len(calls) == call:
            os.kill(os.getpid(), number)
        return original(self, batch, position)

    monkeypatch.setattr(Cohort, step, counted)
    return calls


def assert_same(resumed: Cohort, whole: Cohort) -> None:
    for name, student in whole.students.items():
        found = resumed.students[name]
        assert found.curve == student.curve
        assert found.best_epoch == student.best_epoch
        for one, other in zip(found.best.values(), student.best.values(), strict=True):
            assert torch.equal(one, other)
        for one, other in zip(found.model.parameters(), student.model.parameters(), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("number", warning.SIGNALS)
@pytest.mark.parametrize("call", [1, 3, 6])
def test_a_cohort_warned_amid_an_epoch_goes_on_from_that_batch(call, number, whole, tmp_path, monkeypatch):
    warning.heed(kill)
    with monkeypatch.context() as patch:
        warn_in(patch, "training_step", call, number)
        with pytest.raises(Killed):
            train(tmp_path)
    calls = warn_in(monkeypatch, "training_step", 0, number)
    assert_same(train(tmp_path), whole[1])
    assert len(calls) == 4 * EPOCHS - call


def test_a_warning_between_two_batches_of_one_step_waits_for_the_step(whole, tmp_path, monkeypatch):
    warning.heed(kill)
    with monkeypatch.context() as patch:
        warn_in(patch, "training_step", 2, signal.SIGUSR2)  # of three batches to a step
        with pytest.raises(Killed):
            train(tmp_path, accumulate=3)
    calls = warn_in(monkeypatch, "training_step", 0, signal.SIGUSR2)
    assert_same(train(tmp_path, accumulate=3), whole[3])
    assert len(calls) == 4 * EPOCHS - 3


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_cohort_warned_while_it_scores_trains_nothing_of_the_epoch_again(
    call, whole, tmp_path, monkeypatch
):
    warning.heed(kill)
    with monkeypatch.context() as patch:
        warn_in(patch, "validation_step", call, signal.SIGUSR2)
        with pytest.raises(Killed):
            train(tmp_path)
    calls = warn_in(monkeypatch, "training_step", 0, signal.SIGUSR2)
    assert_same(train(tmp_path), whole[1])
    assert len(calls) == 4 * (EPOCHS - (call + 1) // 2)


def test_a_warning_in_the_last_batch_of_an_epoch_is_answered(whole, tmp_path, monkeypatch):
    warning.heed(kill)
    with monkeypatch.context() as patch:
        warn_in(patch, "training_step", 4, signal.SIGUSR2)
        with pytest.raises(Killed):
            train(tmp_path)
    assert_same(train(tmp_path), whole[1])


def test_a_warned_cohort_that_is_left_alone_ends_as_if_nothing_had_been(whole, tmp_path, monkeypatch):
    kept: list[bool] = []
    warning.heed(lambda: kept.append((tmp_path / "last.ckpt").is_file()))
    warn_in(monkeypatch, "training_step", 2, signal.SIGTERM)
    assert_same(train(tmp_path), whole[1])
    assert kept == [True]


def test_a_child_that_has_not_begun_to_listen_is_not_killed_by_a_warning():
    listen = "from bench.training import warning; warning.heed(); print(warning.given())"
    program = f"import time; time.sleep(0.5); {listen}"
    with warning.held_back():
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    child.send_signal(signal.SIGUSR2)
    assert child.communicate(timeout=60)[0].strip() == "True"


HELD_BACK = """
from pathlib import Path
from bench.folders import Folders
from bench.training.workers import Workers
if __name__ == "__main__":
    workers = Workers(1, Folders(Path(), Path()), 1)
    _, child = workers._start(None, False)
    lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
    child.kill()
    print(next(line.split()[1] for line in lines if line.startswith("SigBlk")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which signals a process holds back")
def test_the_first_child_of_a_run_holds_back_warnings_and_ctrl_c_as_the_others_do(tmp_path):
    (tmp_path / "program.py").write_text(HELD_BACK)
    done = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True)
    held = int(done.stdout, 16)
    assert all(held >> (number - 1) & 1 for number in (*warning.SIGNALS, signal.SIGINT))
