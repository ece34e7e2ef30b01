"""Augmentation against NumPy, one effect at a time."""

import math

import numpy as np
import pytest
import torch

from bench.config import Augmentation
from bench.training import streams
from bench.training.augmentation import augment

OFF = Augmentation(time_masks=0, mel_masks=0, mel_shift_bins=0, time_stretch=0.0, gain_db=0.0)
FILL = torch.full((12,), -7.0)


def batch():
    torch.manual_seed(0)
    mask = torch.arange(50) < torch.tensor([50, 30, 9])[:, None]
    return torch.randn(3, 50, 12), mask


def changed(**settings):
    frames, mask = batch()
    return augment(
        frames, mask, OFF.model_copy(update=settings), 10.0, FILL, streams.torch_generator("test", 1)
    )


def test_all_off_changes_nothing():
    frames, mask = batch()
    after, mask_after = changed()
    assert torch.equal(after, frames)
    assert torch.equal(mask_after, mask)


def test_stretching_is_linear_interpolation_along_time():
    frames, mask = batch()
    after, mask_after = changed(time_stretch=0.3)
    rates = torch.rand(3, generator=streams.torch_generator("test", 1)) * 0.6 + 0.7
    for i, rate in enumerate(rates.tolist()):
        real = frames[i][mask[i]].numpy()
        length = math.floor(len(real) / rate)
        assert mask_after[i].sum() == length
        where = np.minimum(np.arange(length) * rate, len(real) - 1)
        expected = np.stack([np.interp(where, np.arange(len(real)), real[:, m]) for m in range(12)], 1)
        np.testing.assert_allclose(after[i, :length].numpy(), expected, atol=1e-4)


def test_padding_never_enters_a_stretched_frame():
    frames, mask = batch()
    frames[~mask] = torch.nan
    after, mask_after = augment(
        frames,
        mask,
        OFF.model_copy(update={"time_stretch": 0.3}),
        10.0,
        FILL,
        streams.torch_generator("test", 1),
    )
    assert torch.isfinite(after[mask_after]).all()


def test_a_mel_shift_moves_whole_utterances_by_whole_bins():
    frames, _ = batch()
    after, _ = changed(mel_shift_bins=3)
    for before, moved in zip(frames.numpy(), after.numpy(), strict=True):
        shifts = [np.take(before, np.clip(np.arange(12) - s, 0, 11), axis=1) for s in range(-3, 4)]
        assert any(np.array_equal(moved, shifted) for shifted in shifts)


def test_gain_adds_the_same_decibels_to_every_cell_of_an_utterance():
    frames, _ = batch()
    difference = changed(gain_db=6.0)[0] - frames
    per_utterance = difference[:, :1, :1]
    torch.testing.assert_close(difference, per_utterance.expand_as(difference), rtol=1e-4, atol=1e-5)
    assert (per_utterance.abs() <= 6 * math.log(10) / 10).all()


@pytest.mark.parametrize(("kind", "axis"), [("time", 0), ("mel", 1)])
def test_a_mask_fills_one_bounded_span_with_the_training_mean(kind, axis):
    widest = {"time_mask_s": 0.04} if kind == "time" else {"mel_mask_bins": 4}
    after, _ = changed(**{f"{kind}_masks": 1}, **widest)
    for rows in after:
        filled = (rows == -7.0).all(1 - axis).nonzero().flatten()
        assert len(filled) <= 5
        if len(filled):
            assert filled[-1] - filled[0] + 1 == len(filled)
        assert ((rows == -7.0).sum() == len(filled) * rows.shape[1 - axis]).item()
