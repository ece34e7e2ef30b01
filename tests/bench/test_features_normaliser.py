"""The normaliser knows the training split alone, and agrees with scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from bench.features.normaliser import Normaliser


def store(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shift = rng.normal(-10, 5, 8)
    return {
        name: (shift + rng.standard_normal((rng.integers(1, 50), 8))).astype(np.float32) for name in "abcdef"
    }


def test_mean_and_deviation_are_scikit_learns():
    frames = store()
    scaler = StandardScaler().fit(np.concatenate([frames[name] for name in "abc"]).astype(np.float64))
    normaliser = Normaliser.fit(frames, "abc")
    np.testing.assert_allclose(normaliser.mean, scaler.mean_, rtol=1e-6)
    np.testing.assert_allclose(normaliser.std, scaler.scale_, rtol=1e-5)
    np.testing.assert_allclose(normaliser(frames["e"]), scaler.transform(frames["e"]), atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-1e3, 1e3))
def test_development_and_test_frames_never_reach_the_normaliser(seed, value):
    frames = store(seed)
    before = Normaliser.fit(frames, "abc")
    for held_out in "def":
        frames[held_out] = np.full((1000, 8), value, np.float32)
    after = Normaliser.fit(frames, "abc")
    assert np.array_equal(before.mean, after.mean)
    assert np.array_equal(before.std, after.std)


def test_a_constant_bin_is_only_centred():
    frames = {"a": np.full((1000, 2), -23.02585, np.float32), "b": np.full((9, 2), -20.0, np.float32)}
    normaliser = Normaliser.fit(frames, "a")
    assert normaliser.std.tolist() == [1.0, 1.0]
    assert np.abs(normaliser(frames["a"])).max() < 1e-5
    np.testing.assert_allclose(normaliser(frames["b"]), 3.02585, rtol=1e-5)


def test_frames_are_left_as_they_were():
    frames = store()
    before = frames["a"].copy()
    frames["a"].flags.writeable = False
    assert Normaliser.fit(frames, "a")(frames["a"]).dtype == np.float32
    assert np.array_equal(frames["a"], before)


def test_no_training_utterances_are_refused():
    with pytest.raises(ValueError, match="no training frames"):
        Normaliser.fit(store(), [])
