"""A curriculum: every epoch in its stage, every task at its stage's weight, and recipes with one id each."""

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from bench.config import Recipe, Stage, content_id
from bench.training import losses
from bench.training.curriculum import EVEN, stage
from bench.training.split import Batch

STAGES = (Stage(share=0.25, gender=3), Stage(share=0.25, gender=2), Stage(share=0.5, gender=1))


def genders(sampler: str, epochs: int) -> list[float]:
    recipe = Recipe(sampler=sampler, stages=STAGES, epochs=epochs)
    return [stage(recipe, epoch).gender for epoch in range(epochs)]


def test_stages_have_their_shares_of_the_epochs():
    assert genders("curriculum", 8) == [3, 3, 2, 2, 1, 1, 1, 1]
    assert genders("curriculum_diverse", 8) == [3, 2, 1, 1, 1, 1, 1, 1]
    assert genders("curriculum", 1) == [3]


def test_the_usual_stages_fill_every_number_of_epochs():
    for epochs in range(1, 60):
        recipe = Recipe(sampler="curriculum", epochs=epochs)
        found = [recipe.stages.index(stage(recipe, epoch)) for epoch in range(epochs)]
        assert found == sorted(found)
        assert found[0] == 0
        assert abs(found.count(2) - 0.6 * epochs) < 1


@pytest.mark.parametrize("sampler", ["uniform", "class_balanced", "diverse"])
def test_other_samplers_keep_every_task_at_its_weight(sampler):
    assert stage(Recipe(sampler=sampler), 0) == EVEN == Stage(share=1)


def test_shares_that_do_not_add_up_are_refused():
    with pytest.raises(ValidationError, match="should have shares that add up to 1"):
        Recipe(stages=(Stage(share=0.5), Stage(share=0.4)))


def test_a_sampler_that_uses_no_stages_and_no_guide_has_one_id_whatever_these_say():
    odd = {"stages": STAGES, "guide": "kda"}
    usual, settled = Recipe(), Recipe(**odd).settled()
    assert content_id(settled) == content_id(usual)
    for sampler, kept in (("curriculum", "stages"), ("diverse", "guide")):
        other = Recipe(sampler=sampler, **odd).settled()
        assert getattr(other, kept) == odd[kept]
        assert content_id(other) != content_id(Recipe(sampler=sampler))


def test_a_stage_scales_the_losses_of_emotions_and_attributes():
    outputs, nothing = torch.randn(6, 7), torch.empty(0)
    batch = Batch(nothing, nothing, torch.randint(4, (6,)), torch.rand(6, 3), nothing)
    recipe = Recipe(attribute_weight=0.5, label_smoothing=0.0, class_weights=False)
    now = Stage(share=1, emotion=0.3, attributes=2.0)
    expected = 0.3 * F.cross_entropy(outputs[:, :4], batch.labels) + 0.5 * 2.0 * losses.concordance_loss(
        outputs[:, 4:], batch.attributes
    )
    torch.testing.assert_close(losses.loss(outputs, batch, recipe, torch.ones(4), now), expected)
