"""`serbench export`: files that say what their checkpoint says, smaller ones nearly, and need no torch."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from export_fixtures import EMOTIONS, cell_of, noise, write_checkpoint

from bench.cli import run_command
from bench.errors import SuiteError
from bench.export import compress, exporting
from bench.prediction import predict
from bench.training import checkpoint

onnx = pytest.importorskip("onnx", reason="the export extra is not installed")
pytest.importorskip("onnxruntime", reason="the export extra is not installed")
pytest.importorskip("onnxscript", reason="the export extra is not installed")

from bench.export.exporting import Order, export  # noqa: E402
from bench.export.modules import Whole  # noqa: E402
from bench.export.runtime import Exported, Stream  # noqa: E402

SMALLER = ("float16", "int8-dynamic", "int8-static")
MADE = {
    "softmax": {"layout": "softmax", "direction": "bidirectional"},
    "stream": {"layout": "softmax"},
    "lstm": {"layout": "reslstm_sa", "attributes": ("valence", "arousal")},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`made(name)` → checkpoint and float32 file of one of `MADE`, exported once."""
    files: dict[str, tuple[Path, Path]] = {}

    def get(name: str) -> tuple[Path, Path]:
        if name not in files:
            folder = tmp_path_factory.mktemp(name)
            path = write_checkpoint(folder, **MADE[name])
            export(path, folder / "model.onnx", Order(streaming=name == "stream"))
            files[name] = path, folder / "model.onnx"
        return files[name]

    return get


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> list[Path]:
    """Noise of several lengths and sampling rates, mono and stereo."""
    folder, files = tmp_path_factory.mktemp("recordings"), []
    rng = np.random.default_rng(0)
    for number, (seconds, rate, channels) in enumerate(
        [(0.03, 16_000, 1), (1.2, 16_000, 1), (2.1, 44_100, 2)]
    ):
        files.append(folder / f"{number}.wav")
        soundfile.write(files[-1], 0.1 * rng.standard_normal((round(seconds * rate), channels)), rate)
    return files


@torch.inference_mode()
def in_torch(path: Path, frames: np.ndarray) -> dict[str, np.ndarray]:
    module = Whole(checkpoint.load(path)).eval()
    return dict(zip(module.names, (each.numpy() for each in module(torch.from_numpy(frames))), strict=True))


def assert_agree(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["softmax", "lstm"])
def test_a_file_gives_the_numbers_of_torch_at_every_batch_and_length(made, name):
    path, file = made(name)
    exported = Exported.load(file)
    for batch, frames in ((1, 1), (1, 5), (3, 77), (2, 300)):
        x = noise(frames, exported.cell.features.width, batch)
        assert_agree(exported.outputs(x), in_torch(path, x))


@pytest.mark.parametrize("cuts", [[], [1, 2, 3], [4, 8, 12], [50, 101, 150]])
def test_a_stream_fed_in_any_pieces_ends_with_the_numbers_of_the_whole_utterance(made, cuts):
    path, file = made("stream")
    stream, frames = Stream(Exported.load(file)), noise(203)
    for piece in np.split(frames[0], cuts):
        stream.push(piece)
    assert_agree(stream.end(), in_torch(path, frames))


def test_a_stream_says_on_the_way_what_is_true_of_the_frames_so_far(made):
    path, file = made("stream")
    stream, frames = Stream(Exported.load(file)), noise(30)
    assert stream.push(frames[0, :3]) is None  # four features become one frame
    said = stream.push(frames[0, 3:18])
    assert said is not None
    assert_agree(said, in_torch(path, frames[:, :16]))


def test_several_streams_run_side_by_side_in_one_call(made):
    path, file = made("stream")
    exported, frames = Exported.load(file), noise(16, batch=3)
    state = {
        each.name: np.full(
            [3 if axis == each.batch_axis else size for axis, size in enumerate(each.shape)],
            each.fill,
            each.dtype,
        )
        for each in exported.card.stream.state
    }
    logits = exported.session.run(["logits"], {"frames": frames, **state})[0]
    np.testing.assert_allclose(logits, in_torch(path, frames)["logits"], rtol=1e-4, atol=1e-4)


def test_a_recording_is_recognised_as_by_the_checkpoint(made, recordings):
    for name in ("softmax", "lstm", "stream"):
        path, file = made(name)
        expected, found = predict(recordings, path), predict(recordings, file)
        assert list(found.columns) == list(expected.columns)
        assert set(EMOTIONS) <= set(found.columns)
        np.testing.assert_allclose(
            found.drop(columns="file").to_numpy(float),
            expected.drop(columns="file").to_numpy(float),
            atol=1e-4,
        )


BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "lightning", "torchmetrics", "onnx", "onnxscript"):
            raise ImportError(f"{name} is not installed")
sys.meta_path.insert(0, Blocked())
from bench.cli import run_command
code = run_command(sys.argv[1:])
assert "torch" not in sys.modules and "mixers" not in sys.modules
sys.exit(code)
"""


@pytest.mark.parametrize("name", ["lstm", "stream"])
def test_prediction_runs_where_torch_cannot_be_imported(made, recordings, name):
    path, file = made(name)
    arguments = [*map(str, recordings), "--model", str(file)]
    run = subprocess.run(
        [sys.executable, "-c", BLOCKED, "predict", *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    expected = predict(recordings, path)
    assert run.stdout == expected.to_csv(index=False, float_format="%.4f")


def test_a_checkpoint_asks_for_torch_where_there_is_none(made, recordings):
    path, _ = made("lstm")
    arguments = ["predict", str(recordings[0]), "--checkpoint", str(path)]
    run = subprocess.run(
        [sys.executable, "-c", BLOCKED, *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "a checkpoint needs torch (torch is not installed)" in run.stderr


def test_the_card_says_what_the_file_is(made):
    path, file = made("stream")
    card, cell = Exported.load(file).card, cell_of("softmax")
    assert card.cell == cell
    assert card.checkpoint == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert (card.label, card.emotions, card.attributes, card.weights) == ("Softmax", EMOTIONS, (), "float32")
    assert "CC BY-NC-SA" in card.licence
    assert card.stream is not None
    assert (card.stream.rate, card.stream.look_ahead_ms) == (4, 20.0)
    properties = {each.key: each.value for each in onnx.load(file).metadata_props}
    assert properties["classes"] == "angry, happy, sad"
    assert properties["licence"] == card.licence


def test_inputs_and_outputs_have_names_and_open_axes(made):
    session = Exported.load(made("softmax")[1]).session
    (frames,) = session.get_inputs()
    assert frames.name == "frames"
    assert [type(size) for size in frames.shape] == [str, str, int]
    assert [output.name for output in session.get_outputs()] == ["logits", "probabilities"]
    stream = Exported.load(made("stream")[1])
    states = [each.name for each in stream.card.stream.state]
    assert [each.name for each in stream.session.get_inputs()] == ["frames", *states]
    assert [each.name for each in stream.session.get_outputs()][2:] == [f"{name}_next" for name in states]


def test_no_file_names_a_folder_of_this_machine(made):
    for name in MADE:
        content = made(name)[1].read_bytes()
        for folder in (Path.home(), Path(sys.prefix), Path(torch.__file__).parent, Path(__file__).parents[2]):
            assert str(folder).encode() not in content


@pytest.fixture(scope="module")
def smaller(made, tmp_path_factory):
    """`smaller(name, weights)` → the file of `made(name)` with other weights."""

    def get(name: str, weights: str) -> Path:
        _, file = made(name)
        target = tmp_path_factory.mktemp("smaller") / f"{weights}.onnx"
        exported = Exported.load(file)
        clips = [noise(40 + 9 * seed, exported.cell.features.width, seed=seed)[0] for seed in range(4)]
        exporting._shrink(file, target, weights, clips)
        return target

    return get


@pytest.mark.parametrize("name", ["softmax", "lstm", "stream"])
@pytest.mark.parametrize("weights", SMALLER)
def test_smaller_weights_change_the_outputs_a_little(made, smaller, name, weights):
    exported = Exported.load(smaller(name, weights))
    frames = noise(77, exported.cell.features.width, seed=9)
    found, expected = exported.outputs(frames)["logits"], in_torch(made(name)[0], frames)["logits"]
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert 0 < error < (2e-3 if weights == "float16" else 0.1)


def constants(file: Path) -> dict[str, np.ndarray]:
    return {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(file).graph.initializer}


@pytest.mark.parametrize("name", ["softmax", "lstm"])
@pytest.mark.parametrize(("weights", "itemsize"), [("float16", 2), ("int8-dynamic", 1), ("int8-static", 1)])
def test_every_weight_matrix_and_kernel_is_stored_small(made, smaller, name, weights, itemsize):
    large = [
        each.size for each in constants(made(name)[1]).values() if each.ndim > 1 and each.dtype == np.float32
    ]
    small = [each for each in constants(smaller(name, weights)).values() if each.itemsize == itemsize]
    assert sum(each.size for each in small if each.ndim > 1) >= sum(large)
    stays = [each for each in constants(smaller(name, weights)).values() if each.dtype == np.float32]
    assert not [each.shape for each in stays if each.ndim > 1 and min(each.shape) > 1]


@pytest.mark.parametrize(
    ("name", "weights", "operators"),
    [
        ("softmax", "int8-dynamic", {"MatMulInteger", "DynamicQuantizeLinear", "DequantizeLinear"}),
        ("softmax", "int8-static", {"QuantizeLinear", "DequantizeLinear"}),
        ("lstm", "int8-dynamic", {"DynamicQuantizeLSTM", "MatMulInteger"}),
        ("lstm", "int8-static", {"DynamicQuantizeLSTM", "QuantizeLinear"}),
    ],
)
def test_int8_files_hold_the_operators_that_compute_in_int8(smaller, name, weights, operators):
    nodes = {node.op_type for node in onnx.load(smaller(name, weights)).graph.node}
    assert operators <= nodes
    assert "LSTM" not in nodes


def test_kernels_have_a_scale_an_output_channel_and_are_off_by_half_a_step_at_most(made, smaller):
    whole, small = constants(made("softmax")[1]), constants(smaller("softmax", "int8-dynamic"))
    kernels = [name for name in whole if f"{name}_int8" in small]
    assert len(kernels) == 3  # two of the front, one of the positions
    for name in kernels:
        scale = small[f"{name}_scale"].reshape(-1, *[1] * (whole[name].ndim - 1))
        assert scale.size == len(whole[name])
        assert np.abs(whole[name] - scale * small[f"{name}_int8"]).max() <= 0.5001 * scale.max()


def test_static_int8_without_a_clip_is_refused(made, tmp_path):
    with pytest.raises(SuiteError, match="nothing to calibrate on"):
        compress.quantise_static(made("softmax")[1], tmp_path / "x.onnx", [])


def test_a_graph_that_says_other_numbers_is_not_written(made, tmp_path, monkeypatch):
    path, file = made("softmax")
    monkeypatch.setattr(
        exporting, "_write", lambda module, cell, target: target.write_bytes(file.read_bytes())
    )
    monkeypatch.setattr(exporting, "AGREEMENT", 0.0)
    with pytest.raises(SuiteError, match="from the model's; this is a fault of the exporter"):
        export(path, tmp_path / "x.onnx", Order())
    assert not list(tmp_path.iterdir())


def told(capsys, *arguments: object) -> str:
    """What a command that is refused says on standard error."""
    assert run_command([str(argument) for argument in arguments]) == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text


def test_flags_that_exclude_each_other_are_refused(capsys, tmp_path):
    assert "exclude each other" in told(capsys, "export", "x.pt", "--int8", "static", "--fp16")
    assert "--calibrate is for --int8 static" in told(capsys, "export", "x.pt", "--calibrate", "ravdess/luna")
    assert "exclude each other" in told(
        capsys, "predict", "a.wav", "--model", "x.onnx", "--checkpoint", "x.pt"
    )
    assert "no .onnx file" in told(capsys, "predict", "a.wav", "--model", "x.pt")


def test_files_that_are_no_export_are_named(capsys, tmp_path, made):
    missing, garbage, foreign = (tmp_path / f"{name}.onnx" for name in ("missing", "garbage", "foreign"))
    garbage.write_bytes(b"not a graph")
    model = onnx.load(made("softmax")[1])
    del model.metadata_props[:]
    onnx.save(model, foreign)
    assert f"no exported file {missing}" in told(capsys, "predict", "a.wav", "--model", missing)
    assert f"{garbage}: ONNX Runtime cannot read it" in told(capsys, "predict", "a.wav", "--model", garbage)
    assert f"{foreign}: not a file of `serbench export`" in told(
        capsys, "predict", "a.wav", "--model", foreign
    )
    onnx.helper.set_model_props(model, {"serbench": '{"schema_version": 7}'})
    onnx.save(model, foreign)
    assert f"{foreign}: exported by another version" in told(capsys, "predict", "a.wav", "--model", foreign)


def test_a_bidirectional_model_is_not_exported_as_a_stream(capsys, made):
    assert "--directions causal" in told(capsys, "export", made("softmax")[0], "--streaming")


def test_a_file_of_whole_utterances_is_no_stream_and_a_stream_hears_one_at_a_time(made):
    with pytest.raises(SuiteError, match="export it with --streaming"):
        Stream(Exported.load(made("softmax")[1]))
    with pytest.raises(SuiteError, match="one utterance at a time"):
        Exported.load(made("stream")[1]).outputs(noise(8, batch=2))
    with pytest.raises(SuiteError, match="ended before its first frame"):
        Stream(Exported.load(made("stream")[1])).end()
