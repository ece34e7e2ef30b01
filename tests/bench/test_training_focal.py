"""The focal loss against a float64 loop of its equation, and the recall that an adaptive one follows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import recall_score
from torch.nn import functional as F

from bench.config import Focal, Recipe, Stage
from bench.training import losses
from bench.training.focal import MEMORY, ClassRecall, focal_loss
from bench.training.split import Batch


@pytest.fixture
def batch():
    rng = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(64, 4, generator=rng)
    return logits, torch.randint(4, (64,), generator=rng), torch.tensor([0.5, 1.0, 1.5, 2.0])


def by_loop(logits, labels, gammas, weights) -> float:
    """Σ w_y (1 − p_y)^γ_y · (−log p_y) / Σ w_y, utterance by utterance."""
    total = count = 0.0
    for row, label in zip(logits.double().numpy(), labels.tolist(), strict=True):
        p = np.exp(row[label]) / np.exp(row).sum()
        total += weights[label] * (1 - p) ** gammas[label] * -np.log(p)
        count += weights[label]
    return total / count


@pytest.mark.parametrize("gammas", [[2.0] * 4, [0.0, 0.5, 2.0, 5.0]])
def test_the_focal_loss_is_that_of_a_float64_loop(batch, gammas):
    logits, labels, weights = batch
    found = focal_loss(logits, labels, torch.tensor(gammas), weights)
    assert found.item() == pytest.approx(by_loop(logits, labels, gammas, weights.tolist()), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [True, False])
def test_gamma_zero_is_the_cross_entropy_in_value_and_gradient(batch, smoothing, weighted):
    logits, labels, weights = batch
    chosen = weights if weighted else None
    found, expected = (logits.clone().requires_grad_() for _ in range(2))
    focal_loss(found, labels, torch.zeros(4), chosen, smoothing).backward()
    F.cross_entropy(expected, labels, chosen, label_smoothing=smoothing).backward()
    torch.testing.assert_close(found.grad, expected.grad, rtol=1e-5, atol=1e-8)


def test_certain_and_hopeless_utterances_have_finite_gradients():
    logits = torch.tensor([[80.0, -80.0], [-80.0, 80.0]], requires_grad=True)
    focal_loss(logits, torch.tensor([0, 0]), torch.tensor([0.5, 2.0])).backward()
    assert torch.isfinite(logits.grad).all()


def test_the_running_recall_is_an_average_of_scikit_learns_over_batches_that_hold_the_class(batch):
    logits, labels, _ = batch
    recall, expected = ClassRecall(5), np.zeros(5)
    for rows in torch.arange(64).split(16):
        recall.update(logits[rows], labels[rows])
        shares = recall_score(
            labels[rows], logits[rows].argmax(1), labels=range(5), average=None, zero_division=0
        )
        held = np.isin(range(5), labels[rows])
        expected = np.where(held, MEMORY * expected + (1 - MEMORY) * shares, expected)
    np.testing.assert_allclose(recall.recall.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(recall.gammas(3.0).numpy(), 3 * expected, atol=1e-6)
    assert recall.recall[4] == 0


def test_adaptive_training_starts_with_the_cross_entropy_and_moves_to_the_focal_loss():
    torch.manual_seed(0)
    labels = torch.arange(3).repeat(8)
    logits = 3 * F.one_hot(labels, 3).float() + 0.1 * torch.randn(24, 3)
    nothing = torch.empty(0)
    batch = Batch(nothing, nothing, labels, torch.full((24, 3), float("nan")), nothing)
    recipe = Recipe(focal=Focal(gamma=2.0, adaptive=True), label_smoothing=0.0)
    recall, weights = ClassRecall(3), torch.ones(3)
    first = losses.loss(logits, batch, recipe, weights, recall=recall)
    torch.testing.assert_close(first, F.cross_entropy(logits, labels))
    for _ in range(200):
        last = losses.loss(logits, batch, recipe, weights, recall=recall)
    plain = losses.loss(logits, batch, recipe.model_copy(update={"focal": Focal(gamma=2.0)}), weights)
    torch.testing.assert_close(last, plain)
    assert last < 0.2 * first
    halved = losses.loss(logits, batch, recipe, weights, Stage(share=1.0, emotion=0.5), recall)
    torch.testing.assert_close(halved, last / 2)
