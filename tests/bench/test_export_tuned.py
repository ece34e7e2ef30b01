"""A model that trained its speech encoder, exported: from the waveform on, updates merged, small in int8."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from export_fixtures import EMOTIONS
from test_export_files import BLOCKED

from bench.cli import run_command
from bench.config import Cell, Encoder, Extractor, Lora, Pooled, Pretrained, Recipe, System, Task
from bench.errors import SuiteError
from bench.export import compress
from bench.features.audio import AudioError
from bench.features.backbones import RECEPTIVE_FIELD, WINDOW_FRAMES
from bench.features.made_models import make
from bench.features.pretrained import resolve_features
from bench.features.speech import SpeechEncoder, frames_of
from bench.model.lora import LowRank, adapt
from bench.model.tuned import whole
from bench.training import checkpoint

onnx = pytest.importorskip("onnx", reason="the export extra is not installed")
pytest.importorskip("onnxruntime", reason="the export extra is not installed")
pytest.importorskip("onnxscript", reason="the export extra is not installed")

from bench.export.exporting import CLIP, Order, export  # noqa: E402
from bench.export.runtime import Exported  # noqa: E402

MIXED = {"encoder": Encoder(d_model=16, num_layers=1, num_heads=2, subsampling=2), "layout": "retnet"}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A models folder with one small encoder of three kinds."""
    folder = tmp_path_factory.mktemp("models")
    for kind in ("distilhubert", "wav2vec2", "whisper"):
        make(folder / kind, kind, layers=1)
    return folder


def written(
    folder: Path, models: Path, kind="distilhubert", encoder=None, layout="pooled", tuned="all", **recipe
):
    """A checkpoint of random weights, and the model as it was in training: with its updates, if any."""
    torch.manual_seed(0)
    features = Pretrained(speech=Extractor(name=kind), layers="last", tuned=tuned)
    cell = Cell(
        task=Task(corpus="ravdess", protocol="luna"), seed=0, system=System(layout=layout),
        features=resolve_features(features, models), encoder=encoder or Pooled(), recipe=Recipe(**recipe),
    )  # fmt: skip
    speech = SpeechEncoder.load(cell.features.speech, "last", models)
    model = whole(cell.features, cell.encoder, cell.system, len(EMOTIONS), speech)
    if cell.recipe.lora.rank:
        adapt(model.get_submodule("speech"), cell.recipe.lora)
        for part in model.modules():
            if isinstance(part, LowRank):
                torch.nn.init.normal_(part.b, std=0.02)
    path = folder / f"{cell.id}.pt"
    checkpoint.save(path, cell, model.state_dict(), None, EMOTIONS)
    return path, model.eval()


@pytest.fixture(scope="module")
def made(models, tmp_path_factory):
    """Checkpoint, model and file of DistilHuBERT, pooled, adapted at rank 2."""
    folder = tmp_path_factory.mktemp("made")
    path, model = written(folder, models, lora=Lora(rank=2))
    export(path, folder / "model.onnx", Order(), models=models)
    return path, model, folder / "model.onnx"


def samples(count: int, batch: int = 1) -> np.ndarray:
    """Noise with an offset, (batch, count) float32."""
    noise = np.random.default_rng(count).standard_normal((batch, count), dtype=np.float32)
    return np.float32(0.1) * (noise + np.float32(0.5))


def assert_agree(file: Path, model: torch.nn.Module) -> None:
    exported = Exported.load(file)
    for batch, count in ((1, RECEPTIVE_FIELD), (1, 719), (1, 720), (3, 7_001), (2, 40_000)):
        x = samples(count, batch)
        mask = torch.ones(batch, count, dtype=torch.bool)
        with torch.inference_mode():
            expected = model(torch.from_numpy(x), mask).numpy()
        np.testing.assert_allclose(exported.outputs(x)["logits"], expected, rtol=1e-4, atol=1e-4)


def test_the_file_says_what_the_model_said_with_its_updates_at_every_batch_and_length(made):
    _, model, file = made
    assert any("parametrizations" in name for name, _ in model.named_parameters())
    assert_agree(file, model)
    assert not any("parametrizations" in each.name for each in onnx.load(file).graph.initializer)


@pytest.mark.slow
def test_mixers_may_stand_behind_an_encoder_that_normalises_each_clip(models, tmp_path):
    path, model = written(tmp_path, models, "wav2vec2", **MIXED)
    export(path, tmp_path / "model.onnx", Order(), models=models)
    assert_agree(tmp_path / "model.onnx", model)


def test_the_card_says_what_is_heard_and_how_long_it_may_be(made):
    exported = Exported.load(made[2])
    (given,) = exported.session.get_inputs()
    assert (given.name, [type(size) for size in given.shape]) == ("samples", [str, str])
    assert exported.card.label == "distilhubert, pooled"
    clip = exported.card.clip
    assert clip == CLIP
    assert frames_of(clip.longest) == WINDOW_FRAMES == frames_of(clip.longest + 1) - 1
    exported.hear(samples(clip.shortest)[0])
    for count in (clip.shortest - 1, clip.longest + 1):
        with pytest.raises(AudioError, match=r"s long, and this model hears 0\.025 to 30 s at once"):
            exported.hear(samples(count)[0])


def recorded(folder: Path, seconds: float, rate: int = 16_000) -> Path:
    path = folder / f"{seconds:g}.wav"
    soundfile.write(path, samples(round(seconds * rate))[0], rate)
    return path


def predicted(text: str) -> np.ndarray:
    return pd.read_csv(io.StringIO(text)).drop(columns="file").to_numpy(float)


def test_prediction_needs_neither_torch_nor_the_encoders_files(made, models, tmp_path, capsys):
    path, _, file = made
    files = [recorded(tmp_path, 0.03), recorded(tmp_path, 1.2), recorded(tmp_path, 2.1, 44_100)]
    names = [str(each) for each in files]
    line = [sys.executable, "-c", BLOCKED, "predict", *names, "--model", str(file)]
    run = subprocess.run(line, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run_command(["predict", *names, "--checkpoint", str(path), "--models", str(models)]) == 0
    np.testing.assert_allclose(predicted(run.stdout), predicted(capsys.readouterr().out), atol=1.01e-4)


def test_recordings_too_short_or_too_long_for_it_are_listed_with_their_length(made, tmp_path, capsys):
    files = [recorded(tmp_path, seconds) for seconds in (0.02, 0.5, 30.1)]
    assert run_command(["predict", *map(str, files), "--model", str(made[2])]) == 2
    lines = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    assert lines[0].endswith("2 of 3 files cannot be used")
    reason = "s long, and this model hears 0.025 to 30 s at once"
    assert lines[1:3] == [f"{files[0]} 0.02 {reason}", f"{files[2]} 30.1 {reason}"]


@pytest.fixture(scope="module")
def small(made, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("small") / "int8.onnx"
    compress.quantise_dynamic(made[2], file)
    return file


def test_in_int8_every_matrix_and_kernel_is_stored_in_a_byte_a_number(made, small):
    """So that at the published size the file is 23.75 MB; the test below makes one."""
    whole_file, small_file = (
        {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(file).graph.initializer}
        for file in (made[2], small)
    )
    large = sum(each.size for each in whole_file.values() if each.ndim > 1 and each.dtype == np.float32)
    bytes_of = [each.size for each in small_file.values() if each.dtype in (np.int8, np.uint8)]
    assert sum(bytes_of) >= large
    left = [each for each in small_file.values() if each.dtype == np.float32 and each.ndim > 1]
    assert all(min(each.shape) == 1 or each.size == max(each.shape) for each in left)
    x = samples(9_000)
    found, expected = (Exported.load(file).outputs(x)["logits"] for file in (small, made[2]))
    assert 0 < np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)


@pytest.mark.slow
def test_distilhubert_of_published_size_is_25_megabytes_in_int8_at_most(tmp_path):
    """arXiv 2512.23435: 23.49 million parameters, 23 MB."""
    make(tmp_path / "models" / "distilhubert", "distilhubert", "large")
    path, _ = written(tmp_path, tmp_path / "models", tuned="transformer")
    export(path, tmp_path / "int8.onnx", Order("int8-dynamic"), models=tmp_path / "models")
    assert 23.4e6 < (tmp_path / "int8.onnx").stat().st_size < 25e6


@pytest.mark.parametrize(
    ("kind", "order", "sentence"),
    [
        ("whisper", Order(), "Whisper reads a spectrum that is computed outside of it"),
        ("distilhubert", Order(streaming=True), "hears whole utterances; leave --streaming out"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_sentence(kind, order, sentence, models, tmp_path):
    path, _ = written(tmp_path, models, kind)
    with pytest.raises(SuiteError, match=sentence):
        export(path, tmp_path / "x.onnx", order, models=models)
    assert not (tmp_path / "x.onnx").exists()


def test_a_model_of_a_frozen_encoder_is_refused(models, tmp_path):
    from bench.export.modules import Whole

    path, _ = written(tmp_path, models)
    trained = checkpoint.load(path, models)
    frozen = dataclasses.replace(trained, model=trained.model.reader)
    with pytest.raises(SuiteError, match="a model of frozen encoders cannot run without them"):
        Whole(frozen)
