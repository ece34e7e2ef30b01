"""The loss of attributes is 1 − CCC of what is known, bears tiny batches, and joins the cross-entropy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from bench.config import Focal, Plan, Recipe
from bench.corpora.manifest import COLUMNS, Fold, Manifest
from bench.errors import SuiteError
from bench.evidence import concordance
from bench.folders import Folders
from bench.training import grid, losses
from bench.training.attribute_sums import AttributeSums
from bench.training.split import Batch

NAN = float("nan")
BOTH = Recipe(emotion_weight=0.7, attribute_weight=0.3)


def batch(attributes, labels=None) -> Batch:
    """A batch of targets alone."""
    nothing = torch.empty(0)
    return Batch(nothing, nothing, labels, torch.as_tensor(attributes, dtype=torch.float32), nothing)


def outputs(rows, columns, seed=0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def targets(rows, seed=1) -> torch.Tensor:
    """Attributes from 0 to 1, a fifth of them unknown."""
    rng = torch.Generator().manual_seed(seed)
    values = torch.rand(rows, 3, generator=rng)
    return torch.where(torch.rand(rows, 3, generator=rng) < 0.2, NAN, values)


def lin(predicted, truth):
    """CCC of the known, in float64."""
    known = ~np.isnan(truth)
    x, y = predicted[known].astype(float), truth[known].astype(float)
    return 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


def test_the_loss_is_the_mean_of_one_less_ccc_over_known_targets():
    predicted, truth = outputs(40, 3), targets(40)
    expected = np.mean(
        [1 - lin(*pair) for pair in zip(predicted.detach().numpy().T, truth.numpy().T, strict=True)]
    )
    assert losses.concordance_loss(predicted, truth).item() == pytest.approx(expected, abs=1e-6)


def test_unknown_targets_give_no_gradient_and_known_ones_do():
    predicted, truth = outputs(12, 3), targets(12)
    losses.concordance_loss(predicted, truth).backward()
    assert torch.equal(predicted.grad == 0, truth.isnan())


def test_following_the_gradient_brings_predictions_to_the_truth():
    truth = targets(16)
    predicted = outputs(16, 3).detach().requires_grad_()
    descent = torch.optim.Adam([predicted], lr=0.05)
    for _ in range(200):
        descent.zero_grad()
        losses.concordance_loss(predicted, truth).backward()
        descent.step()
    known = ~truth.isnan()
    torch.testing.assert_close(predicted[known], truth[known], atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "truth",
    [[0.3], [0.3, NAN, NAN], [0.3, 0.3, 0.3], [NAN, NAN]],
    ids=["one", "one known", "constant", "none"],
)
def test_an_attribute_without_two_different_known_targets_adds_nothing_and_no_gradient(truth):
    predicted = outputs(len(truth), 1)
    loss = losses.concordance_loss(predicted, torch.tensor(truth)[:, None])
    loss.backward()
    assert loss.item() == 0
    assert not predicted.grad.any()


def test_an_attribute_that_nobody_rated_does_not_weigh_in_the_mean():
    predicted, truth = outputs(20, 3), targets(20)
    truth[:, 2] = NAN
    alone = losses.concordance_loss(predicted[:, :2], truth[:, :2])
    assert losses.concordance_loss(predicted, truth).item() == pytest.approx(alone.item(), abs=1e-7)


def test_a_constant_prediction_is_finite_in_value_and_gradient():
    predicted = torch.full((5, 3), 0.4, requires_grad=True)
    loss = losses.concordance_loss(predicted, torch.rand(5, 3, generator=torch.Generator().manual_seed(0)))
    loss.backward()
    assert loss.item() == pytest.approx(1, abs=1e-6)
    assert predicted.grad.isfinite().all()


def test_both_losses_are_added_with_their_weights():
    found, truth, labels = outputs(10, 7), targets(10), torch.arange(10) % 4
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0])
    entropy = F.cross_entropy(found[:, :4], labels, weights, label_smoothing=BOTH.label_smoothing)
    expected = 0.7 * entropy + 0.3 * losses.concordance_loss(found[:, 4:], truth)
    assert losses.loss(found, batch(truth, labels), BOTH, weights).item() == pytest.approx(expected.item())


def test_emotions_alone_are_the_weighted_cross_entropy_to_the_bit():
    found, labels, weights = outputs(10, 4), torch.arange(10) % 4, torch.tensor([1.0, 2.0, 0.5, 1.0])
    expected = F.cross_entropy(found, labels, weights, label_smoothing=0.1)
    assert torch.equal(losses.loss(found, batch(targets(10), labels), Recipe(), weights), expected)


@pytest.mark.parametrize(
    ("emotions", "attributes", "widths"), [(1.0, 0.0, (8, 0)), (1.0, 0.5, (8, 3)), (0.0, 1.0, (0, 3))]
)
def test_what_is_not_trained_has_no_outputs(emotions, attributes, widths):
    assert losses.parts(Recipe(emotion_weight=emotions, attribute_weight=attributes), 8) == widths


def test_dev_sums_give_the_ccc_of_all_batches_and_processes_together():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (20_000, 3)).astype(np.float32)
    truth[rng.random(truth.shape) < 0.05] = NAN
    predicted = (0.2 + 0.5 * np.nan_to_num(truth) + rng.normal(0, 0.2, truth.shape)).astype(np.float32)
    processes = AttributeSums(3), AttributeSums(3)
    for number, rows in enumerate(np.array_split(np.arange(len(truth)), 101)):
        processes[number % 2].update(torch.from_numpy(predicted[rows]), torch.from_numpy(truth[rows]))
    found = concordance.ccc(sum(process.compute() for process in processes).numpy())
    expected = [lin(*pair) for pair in zip(predicted.T, truth.T, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def manifest(**attributes) -> Manifest:
    """A hundred utterances of two speakers; an attribute is known of so many of them."""
    table = pd.DataFrame({column: [""] * 100 for column in COLUMNS})
    table = table.assign(
        utterance=[f"u{i:02}" for i in range(100)], speaker=["a", "b"] * 50, emotion="calm", duration_s=NAN
    )
    for name in ("arousal", "valence", "dominance"):
        table[name] = [4.0] * attributes.get(name, 0) + [NAN] * (100 - attributes.get(name, 0))
    folds = {"toy": (Fold(dev=("a",), test=("b",)),)}
    return Manifest("mine", "Mine", Path(), ("calm", "angry"), table, folds)


def test_a_corpus_has_the_attributes_that_nearly_all_utterances_have():
    assert manifest(arousal=100, valence=97, dominance=60).attributes == ("arousal", "valence")
    assert manifest().attributes == ()


@pytest.mark.parametrize(
    ("recipe", "rated", "named"),
    [
        (Recipe(attribute_weight=1.0), {}, "mine does not rate arousal, valence, dominance"),
        (Recipe(emotion_weight=0.0), {}, "nothing to train"),
        (Recipe(focal=Focal(adaptive=True)), {}, "--recipe.focal.gamma, which is 0"),
        (Recipe(select_by="ccc"), {"arousal": 100}, "--recipe.attribute-weight above 0"),
        (Recipe(emotion_weight=0.0, attribute_weight=1.0), {"arousal": 100}, "--recipe.select-by uar"),
        (
            Recipe(emotion_weight=0.0, attribute_weight=1.0, select_by="macro_f1"),
            {"arousal": 100},
            "--recipe.select-by macro_f1",
        ),
    ],
)
def test_a_recipe_that_cannot_be_trained_or_chosen_by_is_refused(recipe, rated, named):
    with pytest.raises(SuiteError, match=named):
        losses.require_targets(recipe, manifest(**rated))


def test_a_run_stops_before_any_audio_is_read_where_the_corpus_has_no_attributes(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.corpora.load", lambda *_: replace(manifest(), root=tmp_path / "no audio"))
    plan = Plan(name="toy", tasks=("ravdess/toy",), layouts=("softmax",), recipe=Recipe(attribute_weight=1.0))
    with pytest.raises(SuiteError, match="mine does not rate arousal"):
        grid.run(plan, Folders(tmp_path / "results", tmp_path / "cache"), workers=1)
