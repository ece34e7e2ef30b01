"""The published model: its sizes, its equations, what its missing mask does, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import mixers
from bench.config import Bare, Extractor, Features, Pretrained, System
from bench.errors import SuiteError
from bench.model import bare
from bench.model.model import build

PUBLISHED = {  # million parameters of the mixer alone, inferred from the study's released code
    "softmax": 4.20, "retnet": 8.39, "gsa": 5.24, "fox": 2.39, "kda": 2.50, "lightnet": 3.41,
}  # fmt: skip
REST = 1.59  # million: layer weights, norms, pooling and head
SEVEN = (*PUBLISHED, "mamba2")
WIDTH, LAYERS = 64, 3
SMALL = Bare(d_model=WIDTH, head_width=24, head_layers=2, masked=True)
RELEASED = SMALL.model_copy(update={"masked": False})
FRAMES, TOKENS = (23, 14, 4), (5, 8, 2)


def extractors(width: int, layers: int, **more: object) -> Pretrained:
    speech = Extractor(name="wavlm", width=width, num_layers=layers)
    return Pretrained(speech=speech, text=Extractor(name="bert", width=width, num_layers=2), **more)


FEATURES = extractors(WIDTH, LAYERS)


def model(
    layout: str = "softmax", direction: str = "bidirectional", settings: Bare = SMALL
) -> bare.BareModel:
    torch.manual_seed(0)
    net = build(FEATURES, settings, System(layout=layout, direction=direction), 8).eval()
    assert isinstance(net, bare.BareModel)
    return net


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states, tokens and their masks, with loud noise in the padding."""
    rng = torch.Generator().manual_seed(1)
    states = torch.randn(3, max(FRAMES), LAYERS, WIDTH, generator=rng)
    text = torch.randn(3, max(TOKENS), WIDTH, generator=rng)
    mask, text_mask = (torch.arange(max(n)) < torch.tensor(n)[:, None] for n in (FRAMES, TOKENS))
    states[~mask] *= 1e3
    text[~text_mask] *= 1e3
    return states, mask, text, text_mask


@pytest.mark.parametrize("layout", PUBLISHED)
def test_mixer_and_rest_have_the_published_sizes(layout):
    with torch.device("meta"):
        net = build(extractors(1024, 24), Bare(), System(layout=layout, direction="causal"), 8)
    counts = net.parameter_counts()
    assert round(counts.mixers / 1e6, 2) == PUBLISHED[layout]
    assert round((counts.total - counts.mixers) / 1e6, 2) == REST
    assert counts.feedforward_width == 0


def test_a_mixer_without_a_published_layer_has_the_size_of_the_suite():
    assert model("gla").parameter_counts().mixers == pytest.approx(4 * WIDTH**2, rel=0.05)


def float64_logits(net: bare.BareModel, states: Tensor, text: Tensor) -> Tensor:
    """The study's model with PyTorch's attention, every step written out."""
    weights = {name: value.detach().double() for name, value in net.state_dict().items()}

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    speech = sum(weights["layers.weights"][i] * states[:, :, i].double() for i in range(LAYERS))
    x = torch.cat([norm(speech, "speech_norm"), norm(text.double(), "text_norm")], 1)
    attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True).double()
    parts = {"in_proj_weight": "qkv.linear.weight", "in_proj_bias": "qkv.linear.bias"}
    parts |= {"out_proj.weight": "out.weight", "out_proj.bias": "out.bias"}
    attention.load_state_dict({theirs: weights[f"mixer.{ours}"] for theirs, ours in parts.items()})
    y = attention(x, x, x)[0]
    scores = y @ weights["pooling.query.weight"][0]
    pooled = (scores.softmax(1)[..., None] * y).sum(1)
    for layer in range(1, 2 + SMALL.head_layers):
        pooled = pooled @ weights[f"head.{layer}.0.weight"].T + weights[f"head.{layer}.0.bias"]
        pooled = norm(pooled, f"head.{layer}.1")
        pooled = pooled * (1 + torch.erf(pooled / 2**0.5)) / 2
    return pooled @ weights[f"head.{layer + 1}.weight"].T + weights[f"head.{layer + 1}.bias"]


def test_the_model_is_the_published_one_step_by_step():
    net = model()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    states, _, text, _ = (value[:1] for value in batch())
    states, text = states[:, :20], text[:, :5]
    expected = float64_logits(net, states, text)
    torch.testing.assert_close(net(states, None, text).double(), expected, rtol=1e-3, atol=1e-4)


def test_dropout_is_where_it_was_published():
    net = build(FEATURES, Bare(d_model=WIDTH), System(layout="kda"), 8)
    rates = [module.p for module in net.modules() if isinstance(module, nn.Dropout)]
    assert rates == [0.4] + [0.1] * 6


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("layout", SEVEN)
def test_masked_an_utterance_gets_the_same_logits_alone_and_in_a_batch(layout, direction):
    net = model(layout, direction)
    states, mask, text, text_mask = batch()
    together = net(states, mask, text, text_mask)
    for row, (frames, tokens) in enumerate(zip(FRAMES, TOKENS, strict=True)):
        alone = net(states[row : row + 1, :frames], None, text[row : row + 1, :tokens])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", SEVEN)
def test_as_released_padding_counts_as_frames_of_zeros(layout):
    net = model(layout, settings=RELEASED)
    states, mask, text, text_mask = batch()
    silent = states.masked_fill(~mask[..., None, None], 0), text.masked_fill(~text_mask[..., None], 0)
    padded = net(states, mask, text, text_mask)
    torch.testing.assert_close(padded, net(silent[0], None, silent[1]))
    alone = net(states[1:2, : FRAMES[1]], None, text[1:2, : TOKENS[1]])
    assert (padded[1] - alone[0]).abs().max() > 1e-4


@pytest.mark.parametrize("layout", SEVEN)
def test_mask_or_none_is_all_that_sets_the_mended_model_apart(layout):
    states, _, text, _ = batch()
    released, mended = (
        model(layout, settings=settings)(states, None, text) for settings in (RELEASED, SMALL)
    )
    assert torch.equal(released, mended)


@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_the_mixer_runs_in_the_direction_of_the_system(direction):
    net = model("fox", direction)
    assert net.mixer.direction == direction
    assert (net.mixer.query_heads, net.mixer.num_heads) == (32, 4)


def test_gradient_reaches_every_parameter():
    net = model("kda").train()
    net(*batch()).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_students_of_a_cohort_start_alike_but_for_their_mixer():
    shared = [
        {name: value for name, value in model(layout).state_dict().items() if not name.startswith("mixer.")}
        for layout in ("softmax", "retnet")
    ]
    torch.testing.assert_close(shared[0], shared[1], rtol=0, atol=0)


@pytest.mark.parametrize("part", ["speech", "text"])
def test_a_hidden_size_that_does_not_fit_is_refused_with_both_numbers(part):
    other = getattr(FEATURES, part).model_copy(update={"width": 48})
    with pytest.raises(SuiteError, match=f"{other.name} has a hidden size of 48.* width of 64"):
        build(FEATURES.model_copy(update={part: other}), SMALL, System(layout="softmax"), 8)


def test_log_mels_are_refused():
    with pytest.raises(SuiteError, match="reads hidden states of a pretrained speech encoder"):
        build(Features(), SMALL, System(layout="softmax"), 8)


def test_a_layout_of_more_than_one_layer_is_refused():
    with pytest.raises(SuiteError, match=r"'mamba2\*3 softmax' has 4 layers, which do not divide into 1"):
        build(FEATURES, SMALL, System(layout="mamba2*3 softmax"), 8)


def test_a_width_that_a_published_layer_does_not_come_in_is_refused():
    with pytest.raises(SuiteError, match="mixer fox: query_heads=32"):
        build(extractors(48, 2), Bare(d_model=48), System(layout="fox"), 8)


def test_every_registered_mixer_fits_the_model():
    states, mask, text, text_mask = batch()
    for name in mixers.available():
        net = model(name, "causal")
        assert net(states, mask, text, text_mask).isfinite().all(), name
