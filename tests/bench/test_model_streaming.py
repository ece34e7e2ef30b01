"""A causal model on a stream says what it says of the whole utterance, however it is cut and however long.

And what its pooling attends to.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from export_fixtures import SMALL, cell_of, noise
from hypothesis import given, settings
from hypothesis import strategies as st

import mixers
from bench.config import Extractor, Pretrained, System
from bench.errors import SuiteError
from bench.model.model import build
from bench.model.streaming import StreamingRecogniser, joined, moments_of

LAYOUTS = (*mixers.available(), "mamba2 softmax", "reslstm_sa", "lstm_sa")


def model_of(layout: str, rate: int = 4, direction: str = "causal"):
    """A small model in float64 whose batch norms have statistics."""
    layers = len(layout.split())
    encoder = (
        None
        if layout.endswith("lstm_sa")
        else SMALL.model_copy(update={"subsampling": rate, "num_layers": layers})
    )
    cell = cell_of(layout, direction, encoder)
    torch.manual_seed(0)
    model = build(cell.features, cell.encoder, cell.system, 3)
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    return model.double().eval(), cell.features.width


@torch.inference_mode()
def heard(stream: StreamingRecogniser, frames: torch.Tensor, cuts: list[int]) -> list[torch.Tensor]:
    """The outputs after each piece of frames (B, T, M) that ends at `cuts` (in chunks) or at T."""
    state, start, outputs = stream.init_state(len(frames)), 0, []
    for end in [*(cut * stream.rate for cut in cuts), frames.shape[1]]:
        said, state = stream(frames[:, start:end], state)
        outputs.append(said)
        start = end
    return outputs


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_prefix_of_a_stream_says_what_the_model_says_of_it(layout):
    model, width = model_of(layout)
    stream, frames = StreamingRecogniser(model), torch.from_numpy(noise(61, width, batch=2)).double()
    cuts = [1, 3, 4, 11]
    with torch.inference_mode():
        expected = [model(frames[:, : cut * stream.rate]) for cut in cuts] + [model(frames)]
    for found, wanted in zip(heard(stream, frames, cuts), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rate", [1, 2, 4])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 57])
def test_the_last_chunk_may_hold_any_number_of_frames(rate, frames):
    model, width = model_of("retnet", rate)
    x = torch.from_numpy(noise(8 * rate + frames, width)).double()
    (*_, found) = heard(StreamingRecogniser(model), x, [3, 8])
    with torch.inference_mode():
        torch.testing.assert_close(found, model(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layout", ["softmax", "kda"])
def test_a_state_may_be_gone_back_to(layout):
    model, width = model_of(layout)
    stream, frames = StreamingRecogniser(model), torch.from_numpy(noise(16, width)).double()
    with torch.inference_mode():
        _, state = stream(frames, stream.init_state(1))
        first, _ = stream(frames, state)
        stream(-frames, state)
        again, _ = stream(frames, state)
    assert torch.equal(first, again)


def test_a_linear_mixers_stream_keeps_as_much_after_a_minute_as_after_a_second():
    model, width = model_of("retnet")
    stream, second = StreamingRecogniser(model), torch.from_numpy(noise(48, width)).double()

    def held(value) -> int:
        return value.numel() if isinstance(value, torch.Tensor) else sum(map(held, value))

    state, sizes = stream.init_state(1), []
    with torch.inference_mode():
        for _ in range(60):
            _, state = stream(second, state)
            sizes.append(held(state))
    assert len(set(sizes)) == 1


@settings(max_examples=30, deadline=None, database=None)
@given(st.integers(1, 39), st.floats(0, 300))
def test_pooled_statistics_of_two_stretches_are_those_of_both(cut, spread):
    rng = np.random.default_rng(cut)
    x, scores = rng.standard_normal((1, 40, 3)) + 5, spread * rng.standard_normal((1, 40))
    weights = np.exp(scores[0] - scores.max())
    mean = np.average(x[0], axis=0, weights=weights)
    variance = np.average((x[0] - mean) ** 2, axis=0, weights=weights)
    parts = [(x[:, :cut], scores[:, :cut]), (x[:, cut:], scores[:, cut:])]
    found = joined(*(moments_of(*map(torch.from_numpy, part)) for part in parts))
    np.testing.assert_allclose(found.mean[0], mean, rtol=1e-10)
    np.testing.assert_allclose(found.variance[0], variance, rtol=1e-8, atol=1e-12)


def test_a_long_stream_in_float32_stays_with_a_constant_signal():
    """A variance taken as the mean of squares less the square of the mean would be lost to rounding."""
    x, scores = torch.full((1, 50, 2), 100.0), torch.zeros(1, 50)
    x[:, ::2] += 0.01
    moments = moments_of(x, scores)
    for _ in range(400):
        moments = joined(moments, moments_of(x, scores))
    torch.testing.assert_close(moments.variance, torch.full((1, 2), 2.5e-5), rtol=2e-2, atol=0)


def test_pooling_survives_scores_that_no_exponential_does():
    model, width = model_of("retnet")
    frames = torch.from_numpy(noise(61, width)).double()
    with torch.no_grad():
        model.pooling.score[-1].weight.mul_(1e4)
        model.pooling.score[-1].bias.fill_(1e4)
    with torch.inference_mode():
        whole = model(frames)
    assert whole.isfinite().all()
    (*_, found) = heard(StreamingRecogniser(model), frames, list(range(1, 16)))
    torch.testing.assert_close(found, whole, rtol=1e-8, atol=1e-8)


def test_the_attention_adds_up_to_the_pooled_mean():
    """Against the pooled vector itself, padding included."""
    model, width = model_of("softmax", direction="bidirectional")
    frames = torch.from_numpy(noise(61, width, batch=3)).double()
    mask = torch.arange(61) < torch.tensor([61, 40, 9])[:, None]
    with torch.inference_mode():
        shares = model.attention(frames, mask)
        encoded, real = model.encoder(frames, mask)
        pooled = model.pooling(encoded, real)
    assert shares.shape == encoded.shape[:2]
    assert not shares[~real].any()
    torch.testing.assert_close(shares.sum(1), torch.ones_like(shares[:, 0]))
    mean = torch.einsum("bt,btd->bd", shares, encoded)
    torch.testing.assert_close(mean, pooled[:, : mean.shape[1]])


def test_a_bidirectional_model_is_refused_with_what_to_do():
    with pytest.raises(SuiteError, match="train one with --directions causal"):
        StreamingRecogniser(model_of("gla", direction="bidirectional")[0])


def test_a_mixer_without_streaming_is_named(monkeypatch):
    monkeypatch.delattr(mixers.info("gla").cls, "init_state")
    with pytest.raises(SuiteError, match="GLA does not provide streaming"):
        StreamingRecogniser(model_of("gla")[0])


def test_a_model_of_frozen_encoders_is_refused():
    features = Pretrained(speech=Extractor(name="x", width=8, num_layers=2))
    model = build(features, SMALL, System(layout="retnet", direction="causal"), 3)
    with pytest.raises(SuiteError, match="pretrained speech encoder hears whole utterances"):
        StreamingRecogniser(model)
