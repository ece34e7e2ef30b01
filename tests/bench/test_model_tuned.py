"""Students with a speech encoder of their own: what is heard, what learns, and how large DistilHuBERT is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pretrained_fixtures import speech

from bench.config import Bare, Encoder, Extractor, Features, Pooled, Pretrained, System
from bench.errors import SuiteError
from bench.features.encoders import Heard
from bench.features.made_models import MAKERS, PUBLISHED, Shape, make
from bench.features.pretrained import resolve_features
from bench.features.speech import SpeechEncoder, frames_of
from bench.model.layout import label
from bench.model.model import build
from bench.model.pooled import PooledStates
from bench.model.tuned import Tuned, whole

POOLED = System(layout="pooled")
KINDS = ("distilhubert", "wav2vec2", "whisper")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    for kind in KINDS:
        make(folder / kind, kind)
    return folder


def tuned(
    root, kind="distilhubert", part="transformer", layers="softmax", encoder=None, system=POOLED
) -> Tuned:
    features = resolve_features(Pretrained(speech=Extractor(name=kind), layers=layers, tuned=part), root)
    frozen = SpeechEncoder.load(features.speech, layers, root)
    torch.manual_seed(0)
    model = whole(features, encoder or Pooled(), system, 4, frozen)
    assert isinstance(model, Tuned)
    return model


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Two clips, the shorter one followed by noise."""
    long, short = speech(1.1), speech(0.6, seed=1)
    samples = torch.stack([long, speech(1.1, seed=2, level=1.0)])
    samples[1, : len(short)] = short
    return samples, torch.arange(len(long)) < torch.tensor([len(long), len(short)])[:, None]


@pytest.mark.parametrize("kind", KINDS)
def test_untrained_it_says_what_its_reader_says_of_the_frozen_encoders_states(root, kind):
    model = tuned(root, kind).eval()
    samples, mask = batch()
    frozen = SpeechEncoder.load(Extractor(name=kind), "softmax", root)
    expected = model.reader(*frozen(samples, mask.sum(1)))
    torch.testing.assert_close(model(samples, mask), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", ["attentive", "mean"])
@pytest.mark.parametrize("training", [False, True])
def test_what_stands_in_padding_is_not_heard(root, pooling, training):
    model = tuned(root, encoder=Pooled(pooling=pooling, dropout=0.0)).train(training)
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
        if isinstance(getattr(part, "dropout", None), float):  # of attention
            part.dropout = 0.0
    samples, mask = batch()
    short = samples[1:, : int(mask[1].sum())]
    alone = model(short, torch.ones_like(short, dtype=torch.bool))
    torch.testing.assert_close(model(samples, mask)[1:], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_clips_that_fill_a_batch_need_no_mask(root, kind):
    model = tuned(root, kind).eval()
    samples = batch()[0]
    masked = model(samples, torch.ones_like(samples, dtype=torch.bool))
    torch.testing.assert_close(model(samples), masked, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["transformer", "all"])
def test_all_that_is_to_be_trained_has_a_gradient_and_nothing_else(root, kind, part):
    model = tuned(root, kind, part)
    model(*batch()).square().sum().backward()
    first = {"whisper": ("conv1.", "conv2.")}.get(kind, ("feature_extractor.",))
    fixed = ("masked_spec_embed", "embed_positions")
    for name, parameter in model.speech.backbone.named_parameters():
        convolution = any(f".{start}" in f".{name}" for start in first)
        wanted = not any(end in name for end in fixed) and (part == "all" or not convolution)
        assert parameter.requires_grad == (parameter.grad is not None) == wanted, name
    assert all(parameter.grad is not None for parameter in model.reader.parameters())


def test_training_draws_from_torchs_stream_alone(root):
    """transformers masks hidden states from NumPy's global stream unless it is told not to."""
    model = tuned(root)
    found = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(0)
        found.append(model(*batch()))
    torch.testing.assert_close(*found, rtol=0, atol=0)
    assert model.speech.training
    assert not torch.equal(found[0], model(*batch()))  # dropout is on


def test_every_student_has_a_copy_of_its_own(root):
    frozen = SpeechEncoder.load(Extractor(name="distilhubert"), "last", root)
    features = resolve_features(
        Pretrained(speech=Extractor(name="distilhubert"), layers="last", tuned="all"), root
    )
    one, other = (whole(features, Pooled(), POOLED, 4, frozen) for _ in range(2))
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(1.0)
    mine = one.speech.backbone.state_dict()
    for name, value in frozen.backbone.named_parameters():
        assert not torch.equal(mine[name], value)
        torch.testing.assert_close(other.speech.backbone.state_dict()[name], value)
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


@pytest.mark.parametrize(
    ("encoder", "layout"),
    [
        (Encoder(d_model=32, num_layers=2, num_heads=2, subsampling=2), "mamba2 softmax"),
        (Bare(d_model=32), "kda"),
    ],
)
def test_any_reader_of_hidden_states_may_stand_behind_it(root, encoder, layout):
    model = tuned(root, encoder=encoder, system=System(layout=layout))
    assert model(*batch()).shape == (2, 4)
    counts, reader = model.parameter_counts(), model.reader.parameter_counts()
    speech_size = sum(parameter.numel() for parameter in model.speech.parameters())
    assert counts.total == reader.total + speech_size
    assert counts.mixers == reader.mixers > 0
    assert widths_of(model) == (model.frame_width, model.pooled_width)


@pytest.mark.parametrize("pooling", ["attentive", "mean"])
def test_other_heads_may_share_it(root, pooling):
    model = tuned(root, encoder=Pooled(pooling=pooling))
    samples, mask = batch()
    assert model.encode(Heard(samples, mask)).mask.sum(1).tolist() == [frames_of(int(n)) for n in mask.sum(1)]
    assert widths_of(model) == (model.frame_width, model.pooled_width)


def widths_of(model) -> tuple[int, int]:
    """Of what a model encodes: a frame and a pooled vector."""
    encoded = model.encode(Heard(*batch()))
    return encoded.frames.shape[-1], encoded.pooled.shape[-1]


def test_mean_pooling_is_the_mean_over_real_frames():
    features = Pretrained(speech=Extractor(name="a", width=6, num_layers=2), layers="last")
    model = PooledStates(features, Pooled(pooling="mean"), 3)
    x = torch.randn(2, 9, 6)
    mask = torch.arange(9) < torch.tensor([9, 4])[:, None]
    x[1, 4:] = float("nan")
    expected = torch.stack([x[0].mean(0), x[1, :4].mean(0)])
    torch.testing.assert_close(model.pooling(x, mask), expected)


def test_distilhubert_has_the_parameters_that_were_published():
    """arXiv 2512.23435: 4.20 + 0.40 + 4.72 + 14.18 million; ours is drawn from the same configuration."""
    with torch.device("meta"):
        model, _ = MAKERS["distilhubert"](Shape(*PUBLISHED["distilhubert"]))
    sizes = {name: sum(p.numel() for p in part.parameters()) / 1e6 for name, part in model.named_children()}
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == 23.49
    assert round(sizes["feature_extractor"], 2) == 4.20
    assert sizes["feature_projection"] == pytest.approx(0.40, abs=0.01)
    position = sum(p.numel() for p in model.encoder.pos_conv_embed.parameters()) / 1e6
    assert round(position, 2) == 4.72
    assert round(sum(p.numel() for p in model.encoder.layers.parameters()) / 1e6, 2) == 14.18


def test_pooled_states_are_shown_by_their_speech_encoders_name():
    features = Pretrained(speech=Extractor(name="ntu-spml/distilhubert"))
    assert label("pooled", features).text == "distilhubert, pooled"
    assert label("pooled").mixers == ("pooled",)


@pytest.mark.parametrize(
    ("features", "encoder", "system", "sentence"),
    [
        (Features(), Pooled(), POOLED, "pools the hidden states of a speech encoder"),
        (Features(), Encoder(), POOLED, "layout 'pooled' and a pooled encoder go together"),
        (Features(), Pooled(), System(layout="kda"), "layout 'pooled' and a pooled encoder go together"),
        (Features(), Pooled(), System(layout="pooled", direction="causal"), "has no direction"),
    ],
)
def test_pooling_that_does_not_fit_is_refused(features, encoder, system, sentence):
    with pytest.raises(SuiteError, match=sentence):
        build(features, encoder, system, 4)
