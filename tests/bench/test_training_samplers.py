"""Samplers: balanced where they say so, spread, of like length, the same whenever and for whomever asked."""

from collections import Counter
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from training_fixtures import toy_cells, toy_normaliser, toy_split

from bench.cli import run_command
from bench.config import Recipe, SamplerName
from bench.errors import SuiteError
from bench.training import samplers
from bench.training.balanced import Strata
from bench.training.farthest import farthest
from bench.training.fit import fit
from bench.training.split import Split, buckets
from bench.training.spread import Spread

NAMES = get_args(SamplerName)
LABELS = st.lists(st.integers(0, 4), min_size=5, max_size=120)


def batches_of(labels, size, epoch, each=1, lengths=None):
    lengths = np.arange(len(labels)) if lengths is None else lengths
    return Strata.of(np.array(labels)).batches(lengths, size, ("test",), epoch, each)


@settings(max_examples=50)
@given(LABELS, st.integers(1, 20), st.integers(0, 5))
def test_every_batch_holds_every_label_as_often_give_or_take_one(labels, size, epoch):
    classes = len(set(labels))
    for batch in batches_of(labels, size, epoch):
        counts = Counter(np.array(labels)[batch[:, 0]].tolist())
        assert len(batch) == size
        assert max(counts.values()) - (min(counts.values()) if len(counts) == classes else 0) <= 1


@settings(max_examples=50)
@given(LABELS, st.integers(1, 20), st.integers(1, 3))
def test_over_a_training_every_utterance_of_a_class_is_offered_as_often(labels, size, each):
    seen = Counter()
    for epoch in range(3):
        for batch in batches_of(labels, size, epoch, each):
            seen.update(batch.ravel().tolist())
    for label in set(labels):
        counts = [seen[i] for i, own in enumerate(labels) if own == label]
        assert max(counts) - min(counts) <= 1


def test_within_a_label_the_second_ones_take_turns():
    labels, second = np.repeat([0, 1], 40), np.tile([0, 0, 0, 1], 20)
    for batch in Strata.of(labels, second).batches(np.arange(80), 8, ("test",), 0):
        chosen = Counter(zip(labels[batch[:, 0]].tolist(), second[batch[:, 0]].tolist(), strict=True))
        assert set(chosen.values()) == {2}


def test_what_is_offered_for_a_place_is_of_one_stratum():
    labels = np.arange(90) % 3
    for batch in batches_of(labels, 6, 2, each=4):
        assert batch.shape == (6, 4)
        assert (labels[batch] == labels[batch[:, :1]]).all()


def test_balanced_batches_waste_little_more_on_padding_than_bucketed_ones():
    rng = np.random.default_rng(0)
    labels, lengths = rng.choice(8, 1600), rng.gamma(4, 100, 1600).astype(int) + 50

    def waste(groups):
        return sum(len(g) * lengths[g].max() for g in groups) / sum(lengths[g].sum() for g in groups) - 1

    balanced = [batch[:, 0] for batch in batches_of(labels, 16, 0, lengths=lengths)]
    mixed = [np.concatenate(balanced)[i::100] for i in range(100)]
    assert waste(balanced) < waste(buckets(lengths, 16, rng)) + 0.1
    assert waste(balanced) < 0.4 * waste(mixed)


def greedy(points, owners, places, first):
    """Farthest-first by the definition, in loops."""
    chosen, left = [first], Counter(places)
    left[owners[first]] -= 1
    while left.total():
        free = [i for i in range(len(points)) if i not in chosen and left[owners[i]] > 0]
        gaps = [min(np.linalg.norm(points[i] - points[j]) for j in chosen) for i in free]
        chosen.append(free[int(np.argmax(gaps))])
        left[owners[chosen[-1]]] -= 1
    return set(chosen)


@pytest.mark.parametrize("seed", range(5))
def test_farthest_is_the_greedy_choice_within_each_strata_places(seed):
    rng = np.random.default_rng(seed)
    strata, vectors = np.array([0, 0, 0, 1, 1, 2]), rng.normal(size=(24, 5)).astype(np.float32)
    offered = np.arange(24).reshape(6, 4)
    found = farthest(offered, strata, vectors, np.ones(24, bool), np.random.default_rng(7))
    owners = np.repeat(strata, 4)
    assert set(found) == greedy(vectors.astype(float), owners, Counter(strata.tolist()), found[0])


def test_an_utterance_that_was_never_heard_is_chosen_before_those_that_were():
    vectors, heard = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32), np.ones(12, bool)
    heard[[2, 9]] = False
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert {2, 9} <= set(farthest(np.arange(12).reshape(4, 3), np.zeros(4, int), vectors, heard, rng))


@pytest.mark.parametrize("known", [True, False])
def test_an_utterance_stands_twice_in_a_batch_only_where_nothing_else_is_offered(known):
    vectors, heard = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), np.full(4, known)
    offered, rng = np.array([[0, 0], [0, 1], [2, 2]]), np.random.default_rng(0)
    found = farthest(offered, np.array([0, 0, 1]), vectors, heard, rng)
    assert sorted(found) == [0, 1, 2]
    twice = farthest(np.array([[3], [3]]), np.array([0, 0]), vectors, heard, rng)
    assert twice.tolist() == [3, 3]


def diverse(split: Split, **recipe) -> Spread:
    return samplers.spread(Recipe(sampler="diverse", batch_size=6, **recipe), split, seed=0)


def test_diverse_batches_are_balanced_and_farther_apart_than_drawn_ones():
    split, rng = toy_split(120), np.random.default_rng(0)
    spread, vectors = diverse(split), np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
    spread.note(torch.arange(120), torch.from_numpy(vectors))
    groups = spread.groups(split.lengths, 6, epoch=1)
    assert all(Counter(split.labels[group].tolist()).most_common()[-1][1] == 2 for group in groups)
    drawn = [rng.choice(120, 6, replace=False) for _ in groups]
    gaps = [np.mean([pdist(vectors[group]).min() for group in some]) for some in (groups, drawn)]
    assert gaps[0] > 1.3 * gaps[1]


def test_a_resumed_epoch_keeps_its_batches_though_the_buffer_has_moved_on():
    split = toy_split(30)
    spread, resumed = diverse(split), diverse(split)
    spread.note(torch.arange(30), torch.randn(30, 4))
    groups = spread.groups(split.lengths, 6, epoch=3)
    spread.note(torch.arange(30), torch.randn(30, 4))
    resumed.set_extra_state(spread.get_extra_state())
    for epoch in (3, 4):
        ours, theirs = (some.groups(split.lengths, 6, epoch) for some in (resumed, spread))
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(groups, theirs, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_every_sampler_has_as_many_batches_an_epoch_and_repeats_them(name):
    split, recipe = toy_split(31), Recipe(sampler=name, batch_size=8, epochs=4)
    for epoch in range(4):
        first, again = (
            samplers.groups(recipe, split, 5, epoch, samplers.spread(recipe, split, 5)) for _ in range(2)
        )
        assert len(first) == 4
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    other = samplers.groups(recipe, split, 6, 3, samplers.spread(recipe, split, 6))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_curriculum_hears_uniforms_batches_and_the_two_stage_one_turns_diverse_half_way():
    split = toy_split(40)
    uniform, curriculum = (Recipe(sampler=name, batch_size=8) for name in ("uniform", "curriculum"))
    pairs = (samplers.groups(recipe, split, 0, 3) for recipe in (uniform, curriculum))
    assert all(np.array_equal(a, b) for a, b in zip(*pairs, strict=True))
    both = Recipe(sampler="curriculum_diverse", epochs=6)
    assert [samplers.batching(both, epoch) for epoch in range(6)] == ["uniform"] * 3 + ["diverse"] * 3


def train(cells, folder, on_epoch=lambda done: None):
    splits = toy_split(30, seed=1), toy_split(15, seed=2)
    return fit(tuple(cells), *splits, toy_normaliser(splits[0]), folder, on_epoch)


def assert_same(a, b):
    for (name, left), right in zip(a.model.state_dict().items(), b.model.state_dict().values(), strict=True):
        assert torch.equal(left, right), name


@pytest.mark.parametrize("guide", ["kda", "retnet"])
def test_a_student_of_diverse_batches_is_the_same_in_a_cohort_and_alone(tmp_path, guide):
    """Whether the guide is one of the cohort or is trained beside it."""
    cells = toy_cells("softmax", "kda", epochs=3, sampler="diverse", guide=guide)
    together = train(cells, tmp_path / "together")
    alone = train(cells[:1], tmp_path / "alone")
    assert_same(together.student(cells[0]), alone.student(cells[0]))


class Killed(Exception):
    """Stands for a kill between two epochs."""


def test_a_killed_cohort_of_diverse_batches_continues_to_the_same_weights(tmp_path):
    cells = toy_cells("softmax", epochs=4, sampler="curriculum_diverse", guide="softmax")
    whole = train(cells, tmp_path / "whole")

    def kill(done):
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        train(cells, tmp_path / "killed", kill)
    resumed = train(cells, tmp_path / "killed")
    assert_same(whole.student(cells[0]), resumed.student(cells[0]))
    assert whole.student(cells[0]).curve == resumed.student(cells[0]).curve


def test_class_weights_act_on_uniform_batches_alone(tmp_path):
    split, dev = toy_split(30, seed=1, used=2), toy_split(6, seed=2)
    for sampler, equal in (("uniform", False), ("class_balanced", True)):
        students = []
        for weighted in (True, False):
            (cell,) = toy_cells("softmax", epochs=1, sampler=sampler, class_weights=weighted)
            folder = tmp_path / f"{sampler}-{weighted}"
            cohort = fit((cell,), split, dev, toy_normaliser(split), folder, lambda done: None)
            students.append(cohort.student(cell).curve[0].train_loss)
        assert (students[0] == students[1]) == equal


def test_a_fold_without_an_emotion_is_refused_by_balanced_samplers_alone():
    trained = ["calm"] * 9 + ["happy"] * 9
    for name in ("class_balanced", "diverse", "curriculum_diverse"):
        with pytest.raises(SuiteError, match=r"ravdess/luna fold 2: .* no training utterance is angry"):
            samplers.require_batches(
                Recipe(sampler=name), "ravdess/luna fold 2", trained, ["angry", "calm", "happy"]
            )
    samplers.require_batches(Recipe(sampler="curriculum"), "fold", trained, ["angry", "calm", "happy"])


def test_a_batch_too_small_for_every_emotion_is_refused():
    recipe = Recipe(sampler="class_balanced", batch_size=2)
    with pytest.raises(SuiteError, match=r"3 emotions, and --recipe.batch-size is 2; raise it to 3"):
        samplers.require_batches(recipe, "fold", ["a", "b", "c"], ["a", "b", "c"])


def test_a_guide_that_cannot_be_built_is_refused():
    (cell,) = toy_cells("softmax", sampler="diverse", guide="sofmax")
    with pytest.raises(SuiteError, match=r"--recipe.guide sofmax cannot be trained: .*no mixer 'sofmax'"):
        samplers.guide(cell)


def test_an_unknown_sampler_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit) as left:
        run_command(["run", "scheduling", "--recipe.sampler", "magic"])
    assert left.value.code == 2
    assert "class_balanced" in capsys.readouterr().err
