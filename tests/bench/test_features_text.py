"""Frozen text encoders: transformers' own numbers, no padding in them, long and empty transcripts."""

import pytest
import torch
from pretrained_fixtures import TEXT
from transformers import AutoModel, AutoTokenizer

from bench.config import Extractor
from bench.features.text import TextEncoder

LONG = "so i said, what now? " * 200  # more than 512 tokens in every tokenizer here


def load(root, kind: str) -> TextEncoder:
    return TextEncoder.load(Extractor(name=kind), root)


@torch.no_grad()
def plain(folder, text: str) -> torch.Tensor:
    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    return AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state


@pytest.mark.parametrize("kind", TEXT)
def test_one_transcript_gives_what_transformers_gives(models, kind):
    states, mask = load(models, kind)(["well, fine."])
    assert mask.all()
    torch.testing.assert_close(states, plain(models / kind, "well, fine."), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", TEXT)
def test_a_transcript_is_the_same_alone_and_in_any_batch(models, kind):
    encoder = load(models, kind)
    alone, real = encoder(["no way"])
    states, mask = encoder([LONG, "no way", "a"])
    assert mask[1].sum() == real.sum()
    torch.testing.assert_close(states[1, : real.sum()], alone[0], rtol=0, atol=1e-5)
    assert states.isfinite().all()
    assert not states[~mask].any()


@pytest.mark.parametrize("kind", TEXT)
def test_an_empty_transcript_is_three_dots(models, kind):
    encoder = load(models, kind)
    expected, _ = encoder(["..."])
    for empty in ("", " \n"):
        torch.testing.assert_close(encoder([empty])[0], expected)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_transcripts_are_cut_to_what_the_model_takes_and_counted(models, kind):
    encoder = load(models, kind)
    states, _ = encoder([LONG, "short", LONG])
    assert states.shape[1] == 512
    assert encoder.truncated == 2


def test_roberta_has_no_positions_beyond_its_table(models, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(models / "roberta", model_max_length=10**9)
    AutoModel.from_pretrained(models / "roberta").save_pretrained(tmp_path / "roberta")
    tokenizer.save_pretrained(tmp_path / "roberta")
    states, _ = load(tmp_path, "roberta")([LONG])
    assert states.shape[1] == 512


@pytest.mark.parametrize("kind", TEXT)
def test_it_stays_frozen_and_in_evaluation_mode(models, kind):
    encoder = load(models, kind)
    before, _ = encoder(["oh"])
    torch.nn.ModuleList([encoder]).train()
    after, _ = encoder(["oh"])
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    torch.testing.assert_close(after, before)


def test_autocast_changes_little(models):
    encoder = load(models, "bert")
    exact, _ = encoder(["well, fine."])
    with torch.autocast("cpu", torch.bfloat16):
        states, _ = encoder(["well, fine."])
    assert (states.float() - exact).norm() < 0.1 * exact.norm()
