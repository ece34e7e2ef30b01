"""Optimisers, schedules and the choice of an epoch, against torch.optim; a kill changes none of them."""

import random

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, ReduceLROnPlateau
from training_fixtures import EMOTIONS, MELS, toy_cells, toy_normaliser, toy_split

from bench.config import Augmentation, Cepstra, Recipe, Recurrent, System
from bench.training.cohort import Cohort, Student
from bench.training.fit import fit
from bench.training.optimiser import CYCLE_EPOCHS, CYCLE_FLOOR, PATIENCE, Plateau, optimiser, schedule

OFF = Augmentation(time_masks=0, mel_masks=0, mel_shift_bins=0, time_stretch=0.0, gain_db=0.0)


@pytest.fixture(scope="module")
def splits():
    return toy_split(30, seed=1), toy_split(15, seed=2)


def train(cells, splits, folder, on_epoch=lambda done: None) -> Cohort:
    return fit(tuple(cells), *splits, toy_normaliser(splits[0]), folder, on_epoch)


def recurrent_cells(**recipe):
    """ResLSTM-SA and LSTM-SA on the toy corpus, whose frames are as wide as these cepstra."""
    cells = toy_cells("softmax", "softmax", **recipe)
    features = Cepstra(num_mfcc=5, num_chroma=MELS - 5)
    return tuple(
        cell.model_copy(
            update={
                "system": System(layout=name, direction="causal"),
                "features": features,
                "encoder": Recurrent(hidden=8),
                "recipe": cell.recipe.model_copy(update={"augmentation": OFF}),
            }
        )
        for cell, name in zip(cells, ("reslstm_sa", "lstm_sa"), strict=True)
    )


def weights(peak_lr: float) -> torch.optim.Optimizer:
    return SGD([torch.nn.Parameter(torch.ones(1))], lr=peak_lr)


def rate(adam: torch.optim.Optimizer) -> float:
    return adam.param_groups[0]["lr"]


def test_adam_adds_the_decay_to_the_gradient_and_adamw_does_not():
    """Their first step has length lr in the direction of what they take for the gradient."""
    for name, moved in (("adam", 0.1), ("adamw", 0.1 * 0.5 * 3)):
        model = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(model.weight, 3.0)
        recipe = Recipe(optimiser=name, peak_lr=0.1, weight_decay=0.5)
        model.weight.grad = torch.zeros_like(model.weight)
        optimiser(model, recipe).step()
        assert model.weight.item() == pytest.approx(3 - moved, rel=1e-5)


def test_the_optimiser_has_the_betas_of_the_recipe():
    adam = optimiser(torch.nn.Linear(2, 2), Recipe(optimiser="adam", beta2=0.999))
    assert {group["betas"] for group in adam.param_groups} == {(0.9, 0.999)}


def test_every_parameter_is_decayed_where_the_recipe_says_all():
    (cell,) = toy_cells("mamba2", decayed="all")
    model = Student(cell, len(EMOTIONS)).model
    decayed, spared = optimiser(model, cell.recipe).param_groups
    assert {id(p) for p in decayed["params"]} == {id(p) for p in model.parameters()}
    assert not spared["params"]


def test_warm_restarts_are_torchs_stepped_at_every_step():
    steps, epochs = 7, 3 * CYCLE_EPOCHS
    ours, theirs = weights(0.2), weights(0.2)
    recipe = Recipe(schedule="restarts", epochs=epochs, warmup_fraction=0.0, peak_lr=0.2)
    rates = schedule(ours, recipe, steps * epochs)
    oracle = CosineAnnealingWarmRestarts(theirs, T_0=steps * CYCLE_EPOCHS, eta_min=0.2 * CYCLE_FLOOR)
    assert rate(ours) == pytest.approx(0.2)  # of no warm-up one step is left, at the peak
    ours.step()
    rates.step()
    for _ in range(steps * epochs - 1):
        assert rate(ours) == pytest.approx(rate(theirs), abs=1e-12)
        for each in (ours, theirs, rates, oracle):
            each.step()


def test_a_plateau_halves_the_rate_as_torchs_does():
    ours, theirs = weights(0.2), weights(0.2)
    rates = Plateau(ours, warmup=1)
    oracle = ReduceLROnPlateau(theirs, mode="max", factor=0.5, patience=PATIENCE, threshold=0)
    scores = random.Random(0)
    for _ in range(40):
        for _ in range(3):
            ours.step()
            rates.step()
        score = round(scores.random(), 1)  # ties are no improvement
        rates.end_epoch(score)
        oracle.step(score)
        assert rate(ours) == pytest.approx(rate(theirs), rel=1e-12)
    assert rate(ours) < 0.01


@pytest.mark.parametrize("name", ["restarts", "plateau"])
def test_every_schedule_warms_up(name):
    adam = weights(0.2)
    rates = schedule(adam, Recipe(schedule=name, epochs=10, warmup_fraction=0.2, peak_lr=0.2), 100)
    seen = []
    for _ in range(20):
        seen.append(rate(adam))
        adam.step()
        rates.step()
    assert seen == pytest.approx([0.2 * (step + 1) / 20 for step in range(20)])
    assert rate(adam) == pytest.approx(0.2)


def test_a_plateau_within_the_warm_up_is_not_forgotten():
    adam = weights(0.2)
    rates = Plateau(adam, warmup=10)
    for _ in range(PATIENCE + 2):
        rates.end_epoch(0.5)
    for _ in range(12):
        adam.step()
        rates.step()
    assert rate(adam) == pytest.approx(0.1)


@pytest.mark.parametrize(("select_by", "kept"), [("uar", 1), ("macro_f1", 2)])
def test_the_epoch_kept_is_the_best_by_the_score_that_the_recipe_names(select_by, kept):
    """Dev decisions whose UAR is best in epoch 1 and whose macro-F1 in epoch 2."""
    (cell,) = toy_cells("softmax", select_by=select_by)
    student = Student(cell, 2)
    right, wrong = (0, 0), (0, 1)
    epochs = [
        {right: 50, wrong: 50, (1, 1): 5, (1, 0): 5},  # recalls .5 and .5
        {right: 70, wrong: 30, (1, 1): 10, (1, 0): 0},  # recalls .7 and 1
        {right: 95, wrong: 5, (1, 1): 7, (1, 0): 3},  # recalls .95 and .7, but few false alarms
    ]
    for number, counts in enumerate(epochs):
        for (true, decided), count in counts.items():
            student.confusion.update(torch.full((count,), decided), torch.full((count,), true))
        student.losses.append(1.0)
        student.end_epoch(number)
    assert student.best_epoch == kept


def test_the_schedule_follows_the_score_that_selects(splits, tmp_path):
    cells = recurrent_cells(epochs=8, schedule="plateau", select_by="macro_f1", peak_lr=1e-3)
    cohort = train(cells, splits, tmp_path)
    for student, scheduler in zip(cohort.students.values(), cohort.lr_schedulers(), strict=True):
        oracle = Plateau(weights(1e-3), warmup=1)
        for epoch in student.curve:
            oracle.end_epoch(epoch.dev_macro_f1)
        assert (scheduler.best, scheduler.halvings) == (oracle.best, oracle.halvings)


class Killed(Exception):
    """Stands for a kill between two epochs."""


@pytest.mark.parametrize("name", ["restarts", "plateau"])
def test_a_killed_cohort_continues_to_the_same_weights_under_every_schedule(name, splits, tmp_path):
    """At so low a rate no dev score improves: the plateau halves it before the kill and after."""
    recipe = {"schedule": name, "optimiser": "adam", "decayed": "all", "warmup_fraction": 0.0}
    cells = recurrent_cells(epochs=2 * PATIENCE + 4, peak_lr=1e-7 if name == "plateau" else 1e-2, **recipe)
    whole = train(cells, splits, tmp_path / "whole")

    def kill(done):
        if done == PATIENCE + 2:
            raise Killed

    with pytest.raises(Killed):
        train(cells, splits, tmp_path / "killed", kill)
    epochs = []
    resumed = train(cells, splits, tmp_path / "killed", epochs.append)
    assert 0 < len(epochs) < cells[0].recipe.epochs
    for cell in cells:
        one, other = whole.students[cell.id], resumed.students[cell.id]
        assert one.curve == other.curve
        for (key, left), right in zip(
            one.model.state_dict().items(), other.model.state_dict().values(), strict=True
        ):
            assert torch.equal(left, right), key
    for one, other in zip(whole.lr_schedulers(), resumed.lr_schedulers(), strict=True):
        assert one.get_last_lr() == other.get_last_lr()
        if name == "plateau":
            assert one.halvings == other.halvings > 1


def test_both_recurrent_systems_train_as_alone(splits, tmp_path):
    cells = recurrent_cells(epochs=2, optimiser="adam", schedule="restarts")
    together = train(cells, splits, tmp_path / "together")
    for cell in cells:
        alone = train([cell], splits, tmp_path / cell.id)
        for left, right in zip(
            together.students[cell.id].model.state_dict().values(),
            alone.students[cell.id].model.state_dict().values(),
            strict=True,
        ):
            assert torch.equal(left, right)
