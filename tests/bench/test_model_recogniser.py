"""The whole recogniser: padding, direction and size, for every layout of the standard comparison."""

import numpy as np
import pytest
import torch

from bench.config import Encoder, Features, System
from bench.errors import SuiteError
from bench.model import layout, recogniser
from bench.model.encoder import MaskedBatchNorm

FEATURES = Features(num_mels=20)
SMALL = Encoder(d_model=32, num_layers=4, num_heads=4, dropout=0.0)
LAYOUTS = layout.standard()


def model(name: str, direction: str = "bidirectional", settings: Encoder = SMALL) -> recogniser.Recogniser:
    torch.manual_seed(0)
    return recogniser.build(FEATURES, settings, System(layout=name, direction=direction), 5).eval()


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_utterance_gets_the_same_logits_alone_and_padded_in_a_batch(name):
    net = model(name)
    torch.manual_seed(1)
    frames = torch.randn(3, 61, 20)
    lengths = [61, 40, 17]
    mask = torch.arange(61) < torch.tensor(lengths)[:, None]
    frames[~mask] = 1e4  # whatever stands in the padding
    together = net(frames, mask)
    for i, length in enumerate(lengths):
        torch.testing.assert_close(together[i : i + 1], net(frames[i : i + 1, :length]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_future_frame_reaches_a_causal_encoder(name):
    net = model(name, "causal").encoder
    torch.manual_seed(2)
    frames = torch.randn(1, 64, 20)
    changed = frames.clone()
    changed[:, 32:] = torch.randn(1, 32, 20)
    before, after = net(frames)[0], net(changed)[0]
    torch.testing.assert_close(before[:, :8], after[:, :8], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before[:, 8:], after[:, 8:])


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("width", [64, 96])
def test_matched_encoders_have_the_softmax_encoders_parameters_within_one_percent(name, width):
    settings = Encoder(d_model=width)
    sizes = [model(each, settings=settings).parameter_counts().total for each in ("softmax", name)]
    assert abs(sizes[1] / sizes[0] - 1) <= 0.01


def test_stock_encoders_share_the_feed_forward_width_instead():
    settings = Encoder(d_model=64, match="stock")
    widths = {model(each, settings=settings).parameter_counts().feedforward_width for each in LAYOUTS}
    assert widths == {128}


def test_stock_encoders_have_the_published_layers():
    settings = Encoder(d_model=64, match="stock")
    parameters = model("retnet", settings=settings).parameter_counts()
    assert parameters.mixers == settings.num_layers * (8 * 64**2 + 32)  # 8·d² and a norm of 2·d/4


def test_a_width_that_a_published_layer_does_not_come_in_is_refused():
    with pytest.raises(SuiteError, match="mixer mamba2: "):
        model("mamba2", settings=Encoder(d_model=48, match="stock"))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(SuiteError, match="d_model=64 is no multiple of num_heads=3"):
        model("softmax", settings=Encoder(num_heads=3))


def test_a_mixer_too_heavy_to_match_is_refused_with_the_numbers():
    with pytest.raises(SuiteError, match="cannot be matched"):
        recogniser.feedforward_width(
            Encoder(d_model=32, num_heads=1, feedforward_ratio=0.04), System(layout="mamba2")
        )


def test_direction_changes_no_parameter():
    for name in LAYOUTS:
        both = [dict(model(name, direction).named_parameters()) for direction in ("causal", "bidirectional")]
        assert {key: value.shape for key, value in both[0].items()} == {
            key: value.shape for key, value in both[1].items()
        }


def test_shared_parts_start_from_the_same_weights_in_every_layout():
    """The comparison is paired from the first step: only the blocks differ between two students."""
    first, second = model("softmax"), model("retnet")
    torch.testing.assert_close(
        first.encoder.front.state_dict(), second.encoder.front.state_dict(), rtol=0, atol=0
    )


@pytest.mark.parametrize("rate", [1, 2, 4])
def test_subsampling_rounds_frames_up(rate):
    net = model("softmax", settings=Encoder(d_model=32, subsampling=rate))
    encoded, mask = net.encoder(torch.randn(2, 13, 20), torch.ones(2, 13, dtype=torch.bool))
    assert encoded.shape[1] == mask.shape[1] == -(-13 // rate)


def test_batch_norm_takes_its_statistics_from_real_frames_alone():
    """Against the mean and variance of the real frames, by NumPy."""
    norm = MaskedBatchNorm(3)
    torch.manual_seed(0)
    x = torch.randn(2, 3, 10, 4)
    mask = torch.arange(10) < torch.tensor([10, 6])[:, None]
    x[1, :, 6:] = 100.0
    real = x.transpose(1, 2)[mask].numpy()
    expected = (real - real.mean((0, 2))[:, None]) / np.sqrt(real.var((0, 2)) + 1e-5)[:, None]
    out = norm.train()(x, mask)
    np.testing.assert_allclose(out.transpose(1, 2)[mask].detach().numpy(), expected, atol=1e-5)
    assert not out[1, :, 6:].any()
