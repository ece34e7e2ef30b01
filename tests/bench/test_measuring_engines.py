"""What is run in each way: the numbers are those of the plain forward pass."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from bench.config import Encoder, Features, System
from bench.evidence.records import Shape
from bench.features.logmel import LogMel
from bench.measuring import engines, subjects
from bench.measuring.subjects import FromWaveform, real_frames
from bench.measuring.targets import Effort, Job, Target, measure
from bench.model.model import build as build_model

FEATURES = Features(num_mels=16)
ENCODER = Encoder(d_model=16, num_layers=1, num_heads=2)


def shape(target="mixer", layout="softmax", direction="bidirectional", **fields) -> Shape:
    given = {"seconds": 2.0, "features": FEATURES, "encoder": ENCODER, "device": "x", "threads": 1} | fields
    return Shape(target=target, system=System(layout=layout, direction=direction), **given)


@pytest.mark.parametrize("target", ["mixer", "encoder"])
def test_onnx_runtime_gives_the_numbers_of_torch_at_a_length_that_was_not_traced(target, tmp_path: Path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    timed = shape(target, seconds=5.0, engine="onnx")
    subject = subjects.build(timed)
    (found,) = engines.runner(subject, timed, tmp_path)()
    with torch.inference_mode():
        expected = subject.module(*subject.inputs)
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)


def test_one_export_serves_all_lengths_and_int8_is_made_from_it(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    for seconds, engine in ((3.0, "onnx"), (5.0, "onnx"), (5.0, "onnx-int8")):
        timed = shape(seconds=seconds, engine=engine)
        subject = subjects.build(timed)
        (found,) = engines.runner(subject, timed, tmp_path)()
    assert len(list(tmp_path.glob("*.onnx"))) == 2
    with torch.inference_mode():
        expected = subject.module(*subject.inputs)
    error = (torch.from_numpy(found) - expected).norm() / expected.norm()
    assert 0 < error < 0.1  # int8, not float32, and not broken


def test_training_gives_the_gradients_of_every_parameter_and_of_a_mixers_input():
    timed = shape(work="training", layout="retnet")
    subject = subjects.build(timed)
    found = engines.runner(subject, timed, None)()
    assert [tuple(g.shape) for g in found] == [tuple(p.shape) for p in subject.module.parameters()] + [
        tuple(subject.inputs[0].shape)
    ]
    assert all(g.abs().sum() > 0 for g in found)


def test_training_an_encoder_is_with_dropout_and_without_gradients_of_the_features():
    timed = shape("encoder", work="training")
    subject = subjects.build(timed)
    assert subject.module.training
    assert len(engines.runner(subject, timed, None)()) == len(list(subject.module.parameters()))


def test_a_model_from_waveforms_is_the_log_mel_then_the_encoder():
    logits = {}
    for lengths in ((), (1.0, 2.0)):
        timed = shape("model", batch=len(lengths) or 1, utterances_s=lengths)
        subject = subjects.build(timed)
        module = subject.module
        assert isinstance(module, FromWaveform)
        frames = [LogMel(FEATURES)(x) for x in subject.inputs]
        with torch.inference_mode():
            alone = torch.cat([module.model(each[None]) for each in frames])
            logits = module(*subject.inputs)
        torch.testing.assert_close(logits, alone, rtol=1e-4, atol=1e-4)


def test_a_ragged_batch_is_padded_and_masked():
    subject = subjects.build(shape("encoder", batch=2, utterances_s=(1.0, 2.0)))
    frames, mask = subject.inputs
    assert frames.shape == (2, 100, 16)
    assert mask.sum(1).tolist() == [50, 100]
    x, mask = subjects.build(shape(batch=2, utterances_s=(1.0, 2.0))).inputs
    assert x.shape == (2, 25, 16)
    assert mask.sum(1).tolist() == [13, 25]


def test_flops_are_those_of_the_whole_batch_and_only_of_a_forward_pass():
    one = subjects.build(shape()).flops
    assert subjects.build(shape(batch=4)).flops == 4 * one
    assert subjects.build(shape(work="training")).flops is None


def test_half_precision_reaches_weights_and_frames_but_not_the_log_mel():
    subject = subjects.build(shape("model", dtype="bfloat16"))
    assert {p.dtype for p in subject.module.parameters()} == {torch.bfloat16}
    assert subject.module.logmel.window.dtype == torch.float64
    with torch.inference_mode():
        exact = build_and_copy(subject)(*subject.inputs)
        assert (subject.module(*subject.inputs).float() - exact).abs().max() < 0.05


def build_and_copy(subject):
    """The same model in float32."""
    model = build_model(FEATURES, ENCODER, System(layout="softmax"), subjects.NUM_EMOTIONS)
    model.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in subject.module.model.state_dict().items()}
    )
    return FromWaveform(FEATURES, model).eval()


def test_real_frames_marks_the_first_of_each():
    assert real_frames([1, 3]).tolist() == [[True, False, False], [True, True, True]]


def out_of_memory_beyond_four(timed: Shape) -> Target:
    assert isinstance(timed.batch, int)
    if timed.batch > 4:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
    return Target(run=lambda: time.sleep(0.005), state_bytes=None, flops=None, parameters=timed.batch)


def test_the_throughput_batch_is_the_largest_that_fits_and_is_recorded():
    job = Job(shape(batch="throughput"), Effort(0.1, 0.1), out_of_memory_beyond_four)
    found = measure(job)
    assert found.batch == found.parameters == 4
