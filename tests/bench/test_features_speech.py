"""Frozen speech encoders: transformers' own numbers, no padding in them, any length, never trained."""

import numpy as np
import pytest
import torch
from pretrained_fixtures import SPEECH, plain, speech
from transformers import AutoModel

from bench.config import Extractor
from bench.errors import SuiteError
from bench.features import speech as module
from bench.features.speech import SpeechEncoder, frames_of

NO_FIXED_LENGTH = [kind for kind in SPEECH if kind != "whisper"]


def load(root, kind: str, layers="free") -> SpeechEncoder:
    return SpeechEncoder.load(Extractor(name=kind), layers, root)


@pytest.mark.parametrize("kind", SPEECH)
def test_one_clip_gives_what_transformers_gives(models, kind):
    clip = speech(1.3)
    states, mask = load(models, kind)([clip])
    expected = plain(models / kind, clip)
    frames = frames_of(len(clip))
    assert states.shape == (1, frames, 2, 32)
    assert mask.all()
    for layer, truth in enumerate(expected):
        torch.testing.assert_close(states[0, :, layer], truth[:frames], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", SPEECH)
def test_a_clip_is_the_same_alone_and_in_any_batch(models, kind):
    encoder = load(models, kind)
    clip, long, tiny = speech(0.7), speech(4.0, seed=1, level=1.0), speech(0.005, seed=2)
    alone, _ = encoder([clip])
    shortest, _ = encoder([tiny])
    states, mask = encoder([long, clip, tiny])
    assert mask.sum(1).tolist() == [frames_of(len(each)) for each in (long, clip, tiny)]
    torch.testing.assert_close(states[1, : alone.shape[1]], alone[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(states[2, :1], shortest[0], rtol=0, atol=1e-5)
    assert not states[~mask].any()


@pytest.mark.parametrize("kind", ["wavlm", "wav2vec2-base"])
def test_what_stands_in_the_padding_of_a_tensor_is_not_heard(models, kind):
    encoder, clip, other = load(models, kind), speech(0.7), speech(1.5, seed=1)
    padded = torch.full((2, len(other)), float("nan"))
    padded[0, : len(clip)], padded[1] = clip, other
    states, mask = encoder(padded, torch.tensor([len(clip), len(other)]))
    expected, same = encoder([clip, other])
    assert torch.equal(mask, same)
    torch.testing.assert_close(states, expected)


@pytest.mark.parametrize("samples", [1, 399, 400, 719, 720, 16_000, 16_001, 88_000])
def test_the_number_of_frames_is_that_of_the_convolutions(models, samples):
    count = AutoModel.from_pretrained(models / "wavlm")._get_feat_extract_output_lengths
    assert frames_of(samples) == int(count(torch.tensor(max(samples, 400))))


@pytest.mark.parametrize("kind", ["wavlm", "hubert-base", "whisper"])
def test_layers_chooses_all_the_last_or_one_by_number(models, kind):
    clip = speech(0.5)
    every, _ = load(models, kind, "softmax")([clip])
    for layers, wanted in (("last", 1), (1, 0), (2, 1)):
        states, _ = load(models, kind, layers)([clip])
        torch.testing.assert_close(states, every[:, :, [wanted]])


def test_a_layer_that_is_not_there_is_refused(models):
    with pytest.raises(SuiteError, match="layer 3 is asked for, and it has 2"):
        load(models, "wavlm", 3)


def test_it_stays_frozen_and_in_evaluation_mode(models):
    encoder, clip = load(models, "wavlm"), speech(0.5)
    before, _ = encoder([clip])
    torch.nn.ModuleList([encoder]).train()
    after, _ = encoder([clip])
    assert not any(part.training for part in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not after.requires_grad
    torch.testing.assert_close(after, before)


def test_a_student_can_be_trained_on_its_output(models):
    states, _ = load(models, "hubert", "last")([speech(0.5)])
    student = torch.nn.Linear(32, 1)
    student(states).sum().backward()
    assert student.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", ["wavlm", "distilhubert", "whisper"])
def test_autocast_changes_little(models, kind):
    encoder, clip = load(models, kind), speech(0.5)
    exact, _ = encoder([clip])
    with torch.autocast("cpu", torch.bfloat16):
        states, _ = encoder([clip])
    assert states.shape == exact.shape
    assert (states.float() - exact).norm() < 0.1 * exact.norm()


@pytest.mark.parametrize("kind", NO_FIXED_LENGTH)
def test_a_long_clip_is_its_windows_one_after_the_other(models, monkeypatch, kind):
    monkeypatch.setattr(module, "WINDOW_FRAMES", 40)
    encoder = load(models, kind)
    monkeypatch.setattr(encoder.backbone, "normalise", False)  # of the whole clip, before it is cut
    clip = speech(2.0)  # 99 frames: three windows of 33
    states, mask = encoder([speech(0.3, seed=1), clip])
    parts = [clip[320 * start : 320 * (start + 32) + 400] for start in (0, 33)] + [clip[320 * 66 :]]
    expected = torch.cat([encoder([part])[0][0] for part in parts])
    assert mask[1].sum() == len(expected) == 99
    torch.testing.assert_close(states[1], expected, rtol=0, atol=1e-5)


def test_whisper_hears_long_audio_in_windows_of_at_most_30_s(models):
    encoder, clip = load(models, "whisper", "last"), speech(31.0)
    states, mask = encoder([clip])
    half = frames_of(len(clip)) // 2
    first = plain(models / "whisper", clip[: 320 * (half - 1) + 400])[-1][:half]
    rest = plain(models / "whisper", clip[320 * half :])[-1][: mask.sum() - half]
    torch.testing.assert_close(states[0, :, 0], torch.cat([first, rest]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["wavlm", "whisper"])
def test_what_is_encoded_at_once_is_bounded(models, monkeypatch, kind):
    encoder = load(models, kind, "last")
    shapes = []

    def forward(windows, every):
        shapes.append([len(window) for window in windows])
        longest = max(frames_of(len(window)) for window in windows)
        return (torch.zeros(len(windows), max(longest, encoder.backbone.padded_to), 32),)

    monkeypatch.setattr(encoder.backbone, "forward", forward)
    two_hours, clips = torch.zeros(7_200 * 16_000), [torch.zeros(80_000)] * 3
    states, mask = encoder([*clips, two_hours])
    assert mask.sum(1).tolist() == [249, 249, 249, 359_999]
    assert states.shape == (4, 359_999, 1, 32)
    assert max(max(each) for each in shapes) <= 30 * 16_000 + 400
    assert max(map(len, shapes)) <= 8


def test_a_clip_without_samples_is_refused(models):
    with pytest.raises(SuiteError, match="no samples"):
        load(models, "wavlm")([speech(0.5), torch.empty(0)])


def test_silence_gives_finite_states(models):
    states, _ = load(models, "wavlm")([torch.zeros(16_000)])
    assert np.isfinite(states.numpy()).all()
