"""Cohorts: side by side is the same as alone, a kill changes nothing, a failure stays with its student."""

import pytest
import torch
from training_fixtures import EMOTIONS, toy_cells, toy_normaliser, toy_split

from bench.config import Focal
from bench.training import scoring
from bench.training.cohort import Cohort, Student
from bench.training.fit import fit
from bench.training.optimiser import optimiser, schedule


@pytest.fixture(scope="module")
def splits():
    return toy_split(30, seed=1), toy_split(15, seed=2)


def train(cells, splits, folder, on_epoch=lambda done: None) -> Cohort:
    return fit(tuple(cells), *splits, toy_normaliser(splits[0]), folder, on_epoch)


def assert_same_weights(a: torch.nn.Module, b: torch.nn.Module):
    for (name, left), right in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(left, right), name


def test_a_student_ends_with_the_same_weights_in_a_cohort_and_alone(splits, tmp_path):
    cells = toy_cells("softmax", "retnet", "kda")
    together = train(cells, splits, tmp_path / "together")
    for cell in cells:
        alone = train([cell], splits, tmp_path / cell.id)
        assert_same_weights(together.students[cell.id].model, alone.students[cell.id].model)
        assert together.students[cell.id].curve == alone.students[cell.id].curve


def test_training_learns_a_separable_corpus(splits, tmp_path):
    (cell,) = toy_cells("softmax", epochs=12, peak_lr=5e-3)
    student = train([cell], splits, tmp_path).students[cell.id]
    assert max(epoch.dev_uar for epoch in student.curve) > 0.8


class Killed(Exception):
    """Stands for a kill between two epochs."""


@pytest.mark.parametrize("focal", [Focal(), Focal(gamma=2.0, adaptive=True)], ids=["plain", "adaptive"])
def test_a_killed_cohort_continues_to_the_same_weights(splits, tmp_path, focal):
    cells = toy_cells("softmax", "gsa", epochs=4, focal=focal)
    whole = train(cells, splits, tmp_path / "whole")

    def kill(done):
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        train(cells, splits, tmp_path / "killed", kill)
    epochs = []
    resumed = train(cells, splits, tmp_path / "killed", epochs.append)
    assert epochs[-1] == 4
    assert len(epochs) < 4
    for cell in cells:
        assert_same_weights(whole.students[cell.id].model, resumed.students[cell.id].model)
        assert whole.students[cell.id].curve == resumed.students[cell.id].curve
        assert whole.students[cell.id].best_epoch == resumed.students[cell.id].best_epoch
        best = zip(
            whole.students[cell.id].best.values(), resumed.students[cell.id].best.values(), strict=True
        )
        assert all(torch.equal(a, b) for a, b in best)


def test_a_student_whose_loss_is_not_finite_stops_and_its_mates_do_not_notice(splits, tmp_path, monkeypatch):
    cells = toy_cells("softmax", "retnet")
    original = Student.__init__

    def poisoned(self, cell, *others):
        original(self, cell, *others)
        if cell.system.layout == "softmax":
            torch.nn.init.constant_(self.model.head[-1].weight, torch.inf)

    monkeypatch.setattr(Student, "__init__", poisoned)
    together = train(cells, splits, tmp_path / "together")
    bad, good = (together.students[cell.id] for cell in cells)
    assert bad.status == "diverged"
    assert "nan" in bad.reason or "inf" in bad.reason
    alone = train(cells[1:], splits, tmp_path / "alone")
    assert_same_weights(good.model, alone.students[cells[1].id].model)


def test_a_student_out_of_memory_stops_alone(splits, tmp_path, monkeypatch):
    cells = toy_cells("softmax", "retnet")
    original = Cohort._update

    def full(self, i, student):
        if i == 0:
            raise torch.OutOfMemoryError("out of memory: tried to allocate 9 GiB")
        original(self, i, student)

    monkeypatch.setattr(Cohort, "_update", full)
    students = train(cells, splits, tmp_path).students
    assert students[cells[0].id].status == "oom"
    assert "9 GiB" in students[cells[0].id].reason
    assert students[cells[1].id].status == "ok"


def test_the_epoch_kept_is_the_first_of_the_best_on_dev(splits, tmp_path):
    (cell,) = toy_cells("softmax", epochs=6, peak_lr=5e-3)
    student = train([cell], splits, tmp_path).students[cell.id]
    scores = [epoch.dev_uar for epoch in student.curve]
    assert student.best_epoch == scores.index(max(scores))


def test_two_seeds_differ_and_one_seed_repeats(splits, tmp_path):
    first, second = toy_cells("softmax")[0], toy_cells("softmax", seed=1)[0]
    a = train([first], splits, tmp_path / "a").students[first.id]
    b = train([first], splits, tmp_path / "b").students[first.id]
    c = train([second], splits, tmp_path / "c").students[second.id]
    assert_same_weights(a.model, b.model)
    assert not torch.equal(a.model.head[-1].weight, c.model.head[-1].weight)


def test_gates_norms_and_biases_are_not_decayed():
    (cell,) = toy_cells("mamba2")
    model = Student(cell, len(EMOTIONS)).model
    decayed, spared = optimiser(model, cell.recipe).param_groups
    assert decayed["weight_decay"] == cell.recipe.weight_decay
    assert spared["weight_decay"] == 0
    assert all(p.ndim >= 2 for p in decayed["params"])
    marked = {id(p) for p in model.parameters() if getattr(p, "_no_weight_decay", False)}
    assert marked <= {id(p) for p in spared["params"]}
    assert len(decayed["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_the_schedule_warms_up_and_ends_as_a_cosine():
    (cell,) = toy_cells("softmax", warmup_fraction=0.2)
    adamw = optimiser(Student(cell, 3).model, cell.recipe)
    rates = schedule(adamw, cell.recipe, 100)
    seen = []
    for _ in range(100):
        seen.append(rates.get_last_lr()[0] / cell.recipe.peak_lr)
        adamw.step()
        rates.step()
    assert seen[19] == pytest.approx(1.0)
    assert seen[9] == pytest.approx(0.5)
    assert seen[60] == pytest.approx(0.5)
    assert rates.get_last_lr()[0] == pytest.approx(0.0, abs=1e-9)


def test_predictions_are_the_chosen_epochs_and_hold_every_utterance(splits, tmp_path):
    (cell,) = toy_cells("softmax", epochs=3)
    cohort = train([cell], splits, tmp_path)
    student, table = cohort.student(cell), scoring.predict(cohort, cell, {"dev": splits[1]})
    assert list(table["utterance"]) == list(splits[1].table["utterance"])
    logits = table[[f"logit_{emotion}" for emotion in EMOTIONS]].to_numpy()
    decided = logits.argmax(1)
    recalls = [(decided[splits[1].labels == k] == k).mean() for k in range(len(EMOTIONS))]
    assert sum(recalls) / len(recalls) == pytest.approx(student.curve[student.best_epoch].dev_uar, abs=1e-9)
