"""`serbench models`: random models in the layout of pretrained ones, any size, and what is told of them."""

import json
from typing import get_args

import pytest
import torch
from transformers import AutoConfig, AutoModel

from bench.cli import run_command
from bench.config import Extractor
from bench.errors import SuiteError
from bench.features.kinds import KINDS, MadeKind
from bench.features.made_models import MAKERS, PUBLISHED, Shape, make
from bench.features.pretrained import resolve

MILLIONS = {  # parameters of the published models (of Whisper large-v3: its encoder)
    "wavlm": 315.5,
    "wav2vec2": 315.4,
    "hubert": 315.4,
    "xlsr": 315.4,
    "distilhubert": 23.5,
    "whisper": 637.0,
    "bert": 335.1,
    "roberta": 355.4,
    "modernbert": 394.8,
}


@pytest.mark.parametrize("kind", get_args(MadeKind))
def test_the_large_ones_have_as_many_parameters_as_the_published(kind):
    with torch.device("meta"):
        model, _ = MAKERS[kind](Shape(*PUBLISHED[kind]))
    model = model.encoder if kind == "whisper" else model
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(MILLIONS[kind], abs=0.1)


def test_the_same_seed_gives_the_same_weights_and_another_others(tmp_path):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        make(tmp_path / name, "hubert", seed=seed)
    one, same, other = (resolve(Extractor(name=name), tmp_path).digest for name in ("one", "same", "other"))
    assert one == same != other


def test_making_a_model_leaves_the_random_stream_alone(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    make(tmp_path / "model", "bert")
    assert torch.equal(torch.rand(2), expected)


def test_width_and_layers_can_be_chosen(tmp_path):
    make(tmp_path / "model", "distilhubert", width=128, layers=3)
    config = AutoConfig.from_pretrained(tmp_path / "model")
    assert (config.hidden_size, config.num_hidden_layers) == (128, 3)


@pytest.mark.parametrize("width", [8, 40, 336])
def test_a_width_that_has_no_heads_is_refused(tmp_path, width):
    with pytest.raises(SuiteError, match=f"width {width} cannot be divided into heads"):
        make(tmp_path / "model", "wavlm", width=width)
    assert not (tmp_path / "model").exists()


def test_every_architecture_that_is_run_can_be_made():
    with torch.device("meta"):
        made = {MAKERS[kind](Shape(32, 2))[0].config.model_type for kind in MAKERS}
    assert made == set(KINDS)


def test_the_command_makes_a_model_and_tells_what_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SER_MODELS", str(tmp_path))
    assert run_command(["models", "make", "tiny", "--kind", "wavlm", "--layers", "3"]) == 0
    assert run_command(["models", "check", "tiny"]) == 0
    told = capsys.readouterr().out
    found = resolve(Extractor(name="tiny"), tmp_path)
    size = sum(p.numel() for p in AutoModel.from_pretrained(tmp_path / "tiny").parameters())
    row = next(line for line in told.splitlines() if found.digest in line)
    assert row.split()[:7] == ["tiny", "speech", "wavlm", "32", "3", f"{size:,}", found.digest]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["make", "../out", "--kind", "bert"], "choose another"),
        (["make", "there", "--kind", "bert"], "there already"),
        (["make", "new", "--kind", "bert", "--width", "7"], "cannot be divided"),
        (["check"], "models check: name"),
        (["check", "there"], "has no config.json"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, arguments, sentence):
    (tmp_path / "there").mkdir()
    assert run_command(["models", *arguments, "--models", str(tmp_path)]) == 2
    assert sentence in capsys.readouterr().err


def test_no_models_folder_is_told_with_the_way_to_set_it(monkeypatch, capsys):
    monkeypatch.delenv("SER_MODELS", raising=False)
    assert run_command(["models", "make", "tiny", "--kind", "bert"]) == 2
    assert "SER_MODELS" in capsys.readouterr().err


def test_a_folder_is_what_save_pretrained_writes(tmp_path):
    make(tmp_path / "model", "wavlm")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    assert json.loads((tmp_path / "model" / "config.json").read_text())["model_type"] == "wavlm"
