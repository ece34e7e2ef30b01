"""The mean of weights over epochs: torch's, and no trace of it in training itself."""

import pytest
import torch
from torch.optim.swa_utils import AveragedModel
from training_fixtures import EMOTIONS, toy_cells, toy_normaliser, toy_split

from bench.training import samplers, scoring
from bench.training.cohort import Cohort, Student
from bench.training.fit import fit


@pytest.fixture(scope="module")
def splits():
    return toy_split(30, seed=1), toy_split(15, seed=2)


def train(cells, splits, folder, on_epoch=lambda done: None) -> Cohort:
    return fit(tuple(cells), *splits, toy_normaliser(splits[0]), folder, on_epoch)


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def random_walk(model: torch.nn.Module, rng: torch.Generator) -> None:
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            if value.is_floating_point():
                value += torch.randn(value.shape, generator=rng)


@pytest.mark.parametrize(("decay", "theirs"), [(0.99, None), (0.5, lambda mean, own, n: (mean + own) / 2)])
def test_the_mean_is_torchs_plain_at_first_and_then_moving(decay, theirs):
    """Six epochs at 0.99 are all a plain mean; at 0.5 every epoch from the second on halves what was."""
    (cell,) = toy_cells("mamba2", averaging=decay)
    student, rng = Student(cell, len(EMOTIONS)), torch.Generator().manual_seed(0)
    oracle = AveragedModel(student.model, avg_fn=theirs, use_buffers=True)
    for epoch in range(6):
        random_walk(student.model, rng)
        oracle.update_parameters(student.model)
        student.take_mean(epoch)
        expected = oracle.module.state_dict()
        for name, value in student.model.state_dict().items():
            torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)
        student.take_own()


def test_averaging_leaves_training_as_it_is(splits, tmp_path):
    (plain,), (averaged,) = toy_cells("softmax", epochs=4), toy_cells("softmax", epochs=4, averaging=0.9)
    a = train([plain], splits, tmp_path / "a").student(plain)
    b = train([averaged], splits, tmp_path / "b").student(averaged)
    assert_same(a.model.state_dict(), b.model.state_dict())
    assert [epoch.train_loss for epoch in a.curve] == [epoch.train_loss for epoch in b.curve]
    assert any(not torch.equal(value, b.mean[name]) for name, value in b.model.state_dict().items())


def test_the_weights_kept_are_the_means_of_the_best_epoch():
    """Three epochs whose dev decisions are best in the second."""
    (cell,) = toy_cells("softmax", averaging=0.9)
    student, rng, means = Student(cell, 2), torch.Generator().manual_seed(0), []
    for number, decided in enumerate((0, 1, 0)):
        random_walk(student.model, rng)
        student.take_mean(number)
        means.append(student.mean)
        student.confusion.update(torch.tensor([0, decided]), torch.tensor([0, 1]))
        student.losses.append(1.0)
        student.end_epoch(number)
        student.take_own()
    assert student.best_epoch == 1
    assert_same(student.best, means[1])
    own = student.model.state_dict()
    assert not any(torch.equal(value, own[name]) for name, value in means[1].items() if value.ndim > 1)


def test_predictions_and_dev_scores_are_the_means(splits, tmp_path):
    (cell,) = toy_cells("softmax", epochs=5, averaging=0.9, peak_lr=5e-3)
    cohort = train([cell], splits, tmp_path)
    student = cohort.student(cell)
    table = scoring.predict(cohort, cell, {"dev": splits[1]})
    logits = table[[f"logit_{emotion}" for emotion in EMOTIONS]].to_numpy()
    recalls = [(logits.argmax(1)[splits[1].labels == k] == k).mean() for k in range(len(EMOTIONS))]
    assert sum(recalls) / len(recalls) == pytest.approx(student.curve[student.best_epoch].dev_uar, abs=1e-9)


class Killed(Exception):
    """Stands for a kill between two epochs."""


def test_a_killed_cohort_continues_to_the_same_mean(splits, tmp_path):
    cells = toy_cells("softmax", "gsa", epochs=4, averaging=0.9)
    whole = train(cells, splits, tmp_path / "whole")

    def kill(done):
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        train(cells, splits, tmp_path / "killed", kill)
    resumed = train(cells, splits, tmp_path / "killed")
    for cell in cells:
        assert_same(whole.student(cell).mean, resumed.student(cell).mean)
        assert_same(whole.student(cell).best, resumed.student(cell).best)
        assert whole.student(cell).curve == resumed.student(cell).curve


@pytest.mark.parametrize(("bucketed", "drawn"), [(True, 0), (False, 3)])
def test_batches_are_drawn_at_random_where_the_recipe_does_not_bucket(
    splits, tmp_path, monkeypatch, bucketed, drawn
):
    asked = []
    original = samplers.shuffled
    monkeypatch.setattr(samplers, "shuffled", lambda *given: asked.append(given) or original(*given))
    train(toy_cells("softmax", epochs=3, bucketed=bucketed), splits, tmp_path)
    assert [given[:2] for given in asked] == [(len(splits[0]), 8)] * drawn
