"""Batches: every utterance once, padded and cropped as told, the same whenever asked."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_fixtures import toy_split

from bench.training.split import Batches, buckets, shuffled

LENGTHS = st.lists(st.integers(1, 2000), min_size=1, max_size=300)


@given(LENGTHS, st.integers(1, 64), st.integers(0, 99))
def test_an_epoch_holds_every_utterance_once(lengths, size, seed):
    groups = buckets(np.array(lengths), size, np.random.default_rng(seed))
    assert sorted(np.concatenate(groups)) == list(range(len(lengths)))
    assert max(map(len, groups)) <= size


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 99))
def test_an_epoch_of_random_batches_holds_every_utterance_once(count, size, seed):
    groups = shuffled(count, size, np.random.default_rng(seed))
    assert sorted(np.concatenate(groups)) == list(range(count))
    assert {len(group) for group in groups[:-1]} <= {size}
    assert 1 <= len(groups[-1]) <= size


@given(LENGTHS, st.integers(1, 64))
def test_scoring_batches_are_sorted_by_length(lengths, size):
    order = np.concatenate(buckets(np.array(lengths), size))
    assert sorted(order) == list(range(len(lengths)))
    assert (np.diff(np.array(lengths)[order]) >= 0).all()


def test_bucketing_wastes_less_on_padding_than_random_batches():
    rng = np.random.default_rng(0)
    lengths = rng.gamma(4, 100, 2000).astype(int) + 50

    def waste(groups):
        padded = sum(len(group) * lengths[group].max() for group in groups)
        return padded / lengths.sum() - 1

    shuffled = rng.permutation(2000)
    plain = [shuffled[i : i + 32] for i in range(0, 2000, 32)]
    assert waste(buckets(lengths, 32, rng)) < 0.5 * waste(plain)


def test_a_batch_holds_the_utterances_frames_and_zeros():
    split = toy_split(utterances=6)
    batch = Batches(split, [np.array([4, 1])])[0]
    for row, position in enumerate([4, 1]):
        length = split.lengths[position]
        np.testing.assert_array_equal(batch.frames[row, :length].numpy(), split.frames(position))
        assert not batch.frames[row, length:].any()
        assert batch.mask[row].sum() == length
    np.testing.assert_array_equal(batch.labels.numpy(), split.labels[[4, 1]])


def test_a_long_utterance_is_cropped_to_a_stretch_of_itself_and_the_same_one_again():
    split = toy_split(utterances=4)
    batches = Batches(split, [np.arange(4)], crop_frames=5, seed=3)
    batch = batches[0]
    assert batch.frames.shape[1] == 5
    whole = split.frames(0)
    starts = [s for s in range(len(whole) - 4) if np.array_equal(whole[s : s + 5], batch.frames[0].numpy())]
    assert len(starts) == 1
    torch.testing.assert_close(batches[0].frames, batch.frames, rtol=0, atol=0)


def test_class_weights_are_inverse_frequencies_of_mean_one():
    sklearn = pytest.importorskip("sklearn.utils.class_weight")
    split = toy_split(utterances=40)
    expected = sklearn.compute_class_weight("balanced", classes=np.unique(split.labels), y=split.labels)
    np.testing.assert_allclose(split.class_weights().numpy()[np.unique(split.labels)], expected, rtol=1e-6)


def test_a_class_without_utterances_has_weight_zero():
    split = toy_split(utterances=12, emotions=("angry", "calm", "happy"), used=2)
    assert split.class_weights()[2] == 0
    assert isinstance(split.table, pd.DataFrame)
