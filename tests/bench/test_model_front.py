"""From hidden states to the encoder: the sum over layers, means of frames, text after speech, padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.config import Cepstra, Encoder, Extractor, Pretrained, System
from bench.model import recogniser
from bench.model.front import LayerSum, averaged, joined

LAYERS, WIDTH, TEXT_WIDTH = 3, 10, 6
SPEECH = Extractor(name="speech", width=WIDTH, num_layers=LAYERS)
TEXT = Extractor(name="text", width=TEXT_WIDTH, num_layers=2)
BOTH = Pretrained(speech=SPEECH, text=TEXT)
SMALL = Encoder(d_model=32, num_layers=4, dropout=0.0, subsampling=2)
LAYOUTS = ("softmax", "retnet", "lightnet", "gsa", "fox", "kda", "mamba2*3 softmax")
FRAMES, TOKENS = (29, 18, 5), (7, 9, 2)


def model(
    layout: str = "softmax",
    direction: str = "bidirectional",
    settings: Encoder = SMALL,
    features: Pretrained = BOTH,
) -> recogniser.Recogniser:
    torch.manual_seed(0)
    return recogniser.build(features, settings, System(layout=layout, direction=direction), 5).eval()


def real(lengths: tuple[int, ...]) -> Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states, tokens and their masks, with loud noise in the padding."""
    rng = torch.Generator().manual_seed(1)
    states = torch.randn(3, max(FRAMES), LAYERS, WIDTH, generator=rng)
    text = torch.randn(3, max(TOKENS), TEXT_WIDTH, generator=rng)
    states[~real(FRAMES)] *= 1e3
    text[~real(TOKENS)] *= 1e3
    return states, real(FRAMES), text, real(TOKENS)


@pytest.mark.parametrize("kind", ["free", "softmax"])
def test_the_layer_sum_is_that_of_a_float64_loop(kind):
    summed = LayerSum(Pretrained(speech=SPEECH, layers=kind))
    torch.nn.init.normal_(summed.weights)
    states = torch.randn(2, 11, LAYERS, WIDTH)
    weights = summed.weights.detach().double()
    if kind == "softmax":
        weights = weights.exp() / weights.exp().sum()
    expected = torch.einsum("btld,l->btd", states.double(), weights)
    torch.testing.assert_close(summed(states).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["free", "softmax"])
def test_every_layer_weighs_the_same_at_the_start(kind):
    states = torch.randn(2, 11, LAYERS, WIDTH)
    summed = LayerSum(Pretrained(speech=SPEECH, layers=kind))
    torch.testing.assert_close(summed(states), states.mean(2))


@pytest.mark.parametrize(
    "features",
    [
        Pretrained(speech=SPEECH, layers="last"),
        Pretrained(speech=SPEECH, layers=2),
        Pretrained(speech=SPEECH.model_copy(update={"num_layers": 1})),
    ],
    ids=["last", "second", "only"],
)
def test_one_layer_is_taken_as_it_is_and_has_no_weight(features):
    summed, states = LayerSum(features), torch.randn(2, 11, 1, WIDTH)
    assert not list(summed.parameters())
    assert torch.equal(summed(states), states[:, :, 0])


@pytest.mark.parametrize("kind", ["free", "softmax"])
def test_gradient_reaches_every_parameter_of_the_front(kind):
    net = model(features=BOTH.model_copy(update={"layers": kind})).train()
    states, mask, text, text_mask = batch()
    net(states, mask, text, text_mask).square().sum().backward()
    front = [*net.encoder.front.named_parameters(), *net.encoder.text.named_parameters()]
    assert "layers.weights" in dict(front)
    for name, parameter in front:
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("rate", [1, 2, 4])
def test_frames_are_averaged_over_the_real_ones_of_each_group(rate):
    x, mask = torch.randn(3, max(FRAMES), 4, dtype=torch.float64), real(FRAMES)
    x[~mask] = 1e9 if rate > 1 else 0.0
    means, kept = averaged(x, mask, rate)
    for row, length in enumerate(FRAMES):
        groups = [x[row, start : min(start + rate, length)] for start in range(0, length, rate)]
        expected = torch.stack([group.sum(0) / len(group) for group in groups])
        torch.testing.assert_close(means[row][kept[row]], expected)
        torch.testing.assert_close(averaged(x[row : row + 1, :length], None, rate)[0][0], expected)


def test_text_follows_the_last_real_frame_of_its_own_speech():
    speech, text = torch.randn(3, max(FRAMES), 4), torch.randn(3, max(TOKENS), 4)
    x, mask = joined(speech, real(FRAMES), text, real(TOKENS))
    assert x.shape == (3, max(FRAMES) + max(TOKENS), 4)
    assert mask.sum(1).tolist() == [sum(lengths) for lengths in zip(FRAMES, TOKENS, strict=True)]
    for row, (frames, tokens) in enumerate(zip(FRAMES, TOKENS, strict=True)):
        assert torch.equal(x[row, :frames], speech[row, :frames])
        assert torch.equal(x[row, frames : frames + tokens], text[row, :tokens])
        assert mask[row, : frames + tokens].all()


@pytest.mark.parametrize("which", ["speech", "text", "both"])
def test_a_mask_that_is_not_given_is_a_full_one(which):
    speech, text = torch.randn(2, 8, 4), torch.randn(2, 5, 4)
    full = torch.ones(2, 8, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    mask = full[0] if which == "text" else None
    text_mask = full[1] if which == "speech" else None
    x, kept = joined(speech, mask, text, text_mask)
    assert torch.equal(x, torch.cat([speech, text], 1))
    assert kept is None if which == "both" else kept.all()


@pytest.mark.parametrize("rate", [1, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_utterance_gets_the_same_logits_alone_and_padded_in_a_batch(layout, rate):
    net = model(layout, settings=SMALL.model_copy(update={"subsampling": rate}))
    states, mask, text, text_mask = batch()
    together = net(states, mask, text, text_mask)
    for row, (frames, tokens) in enumerate(zip(FRAMES, TOKENS, strict=True)):
        alone = net(states[row : row + 1, :frames], None, text[row : row + 1, :tokens])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-4)


def test_a_causal_encoder_reads_the_text_after_all_of_the_speech():
    net = model("retnet", "causal").encoder
    states, _, text, _ = batch()
    encoded, mask = net(states, None, text)
    assert mask is None
    spoken = encoded.shape[1] - text.shape[1]
    other = net(states, None, text + 1)[0]
    assert torch.equal(encoded[:, :spoken], other[:, :spoken])
    other = net(states + 1e-1 * torch.randn_like(states), None, text)[0]
    assert (encoded[:, spoken:] - other[:, spoken:]).abs().amax((0, 2)).min() > 1e-6


def test_without_a_text_encoder_there_are_speech_frames_alone():
    net = model(features=Pretrained(speech=SPEECH))
    states, mask, _, _ = batch()
    encoded, kept = net.encoder(states, mask)
    assert kept.sum(1).tolist() == [-(-length // SMALL.subsampling) for length in FRAMES]
    assert encoded.shape[:2] == kept.shape
    assert net.encoder.text is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_matched_encoders_are_of_one_size_under_a_front_that_is_the_same_for_all(layout):
    settings = Encoder(d_model=64)
    softmax, other = (model(name, settings=settings) for name in ("softmax", layout))
    sizes = [net.parameter_counts().total for net in (softmax, other)]
    assert abs(sizes[1] / sizes[0] - 1) <= 0.01
    for part in ("front", "text"):
        first, second = (getattr(net.encoder, part).state_dict() for net in (softmax, other))
        torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_cepstra_are_subsampled_as_log_mels_are():
    torch.manual_seed(0)
    net = recogniser.build(Cepstra(), SMALL, System(layout="softmax"), 8).eval()
    encoded, _ = net.encoder(torch.randn(2, 13, 46))
    assert encoded.shape == (2, 7, SMALL.d_model)
