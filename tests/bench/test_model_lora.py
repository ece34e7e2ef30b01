"""Low-rank adaptation: the paper's equation, nothing else trained, and merged weights that do the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import mixers
from bench.config import Extractor, Lora
from bench.features.made_models import make
from bench.features.speech import SpeechEncoder
from bench.model import lora

SETTINGS = Lora(rank=3, alpha=6.0)
NAMES = [name for name in mixers.available() if not mixers.info(name).twin_of]


def linear_maps(module: nn.Module) -> list[nn.Linear]:
    return [part for part in module.modules() if isinstance(part, nn.Linear)]


def learned(module: nn.Module) -> None:
    """Updates as training would leave them: neither factor zero."""
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.1)
            assert name.endswith((".a", ".b"))


def test_an_adapted_map_is_the_equation_of_the_paper():
    torch.manual_seed(0)
    layer, x = nn.Linear(7, 5), torch.randn(4, 7)
    weight, bias = (value.detach().double() for value in (layer.weight, layer.bias))
    lora.adapt(layer, SETTINGS)
    learned(layer)
    update = layer.parametrizations.weight[0]
    assert (update.a.shape, update.b.shape) == ((3, 7), (5, 3))
    low_rank = x.double() @ update.a.double().T @ update.b.double().T
    expected = x.double() @ weight.T + bias + 6.0 / 3 * low_rank
    torch.testing.assert_close(layer(x).double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_mixer_starts_unchanged_learns_only_the_updates_and_merges(name):
    torch.manual_seed(0)
    mixer, x = mixers.build(name, d_model=32, num_heads=4), torch.randn(2, 9, 32)
    plain, before = mixer.state_dict(), mixer(x)
    maps = linear_maps(mixer)
    size = sum(SETTINGS.rank * (part.in_features + part.out_features) for part in maps)
    lora.adapt(mixer, SETTINGS)
    torch.testing.assert_close(mixer(x), before, rtol=0, atol=0)
    assert lora.trained(mixer.parameters()) == size > 0
    learned(mixer)
    adapted = mixer(x)
    assert not torch.allclose(adapted, before, atol=1e-3)
    adapted.square().sum().backward()
    for parameter in mixer.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad
    fresh = mixers.build(name, d_model=32, num_heads=4)
    merged = lora.merged(mixer.state_dict(), SETTINGS)
    assert merged.keys() == plain.keys()
    fresh.load_state_dict(merged)
    torch.testing.assert_close(fresh(x), adapted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["distilhubert", "wavlm", "whisper"])
def test_a_speech_encoder_is_adapted_also_where_its_weights_are_read_directly(kind, tmp_path):
    """WavLM's attention hands its projections' weights to a function and never calls them."""
    make(tmp_path / kind, kind)
    encoder = SpeechEncoder.load(Extractor(name=kind), "last", tmp_path)
    plain = encoder.state_dict()
    clip = [0.1 * torch.randn(8_000, generator=torch.Generator().manual_seed(0))]
    before, _ = encoder.encode(clip)
    lora.adapt(encoder, SETTINGS)
    learned(encoder)
    after, _ = encoder.encode(clip)
    after.sum().backward()
    unused = [name for name, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused
    assert not torch.allclose(after, before, atol=1e-3)
    fresh = SpeechEncoder.load(Extractor(name=kind), "last", tmp_path)
    merged = lora.merged(encoder.state_dict(), SETTINGS)
    assert merged.keys() == plain.keys()  # weight norms, parametrisations of their own, stay as they are
    fresh.load_state_dict(merged)
    torch.testing.assert_close(fresh.encode(clip)[0], after, rtol=0, atol=1e-6)
