"""What is timed under each kind of features and encoder: sizes, frames and inputs; nothing is timed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from bench.config import (
    AnyEncoder,
    AnyFeatures,
    Bare,
    Cepstra,
    Encoder,
    Extractor,
    Pretrained,
    Profiling,
    Recurrent,
    System,
)
from bench.errors import SuiteError
from bench.evidence.records import Shape
from bench.evidence.store import Store
from bench.measuring.profile import Summary, curves, profile
from bench.measuring.targets import build, encoder_frames
from bench.model.model import build as build_model
from mixers import stock

SPEECH = Pretrained(speech=Extractor(name="speech", width=64, num_layers=3))
WITH_TEXT = SPEECH.model_copy(update={"text": Extractor(name="text", width=64, num_layers=2)})
ENCODER = Encoder(d_model=32, num_layers=2, subsampling=4)
BARE = Bare(d_model=64, head_width=16)


def shape(target: str, features: AnyFeatures, encoder: AnyEncoder, layout: str = "retnet", **more) -> Shape:
    fields = {"seconds": 2.0, "device": "x", "threads": 1} | more
    return Shape(target=target, features=features, encoder=encoder, system=System(layout=layout), **fields)


@pytest.mark.parametrize(
    ("features", "encoder", "frames"),
    [(SPEECH, ENCODER, 25), (WITH_TEXT, ENCODER, 31), (SPEECH, BARE, 100), (WITH_TEXT, BARE, 106)],
)
def test_mixer_and_encoder_are_built_over_the_frames_that_reach_them(features, encoder, frames):
    for target in ("mixer", "encoder"):
        timed = shape(target, features, encoder)
        assert encoder_frames(timed) == frames
        built = build(timed)
        built.run()
        whole = build_model(features, encoder, timed.system, 8).parameter_counts()
        layers = 1 if encoder is BARE else encoder.num_layers
        assert built.parameters == (whole.total if target == "encoder" else whole.mixers // layers)


def test_a_bare_encoder_times_the_published_size_and_a_matched_one_its_own():
    sizes = [build(shape("mixer", SPEECH, encoder)).parameters for encoder in (BARE, Encoder(d_model=64))]
    assert sizes[0] == 8 * 64**2 + 32  # keys of width d, values of 2·d, and a norm a head
    assert sizes[1] == pytest.approx(4 * 64**2, rel=0.02)


def test_a_stock_encoder_times_the_mixers_that_it_holds():
    stock = Encoder(d_model=64, match="stock")
    assert build(shape("mixer", SPEECH, stock)).parameters == 8 * 64**2 + 32


def test_a_mixer_alone_says_its_flops_and_its_state():
    built = build(shape("mixer", WITH_TEXT, BARE))
    whole = build(shape("encoder", WITH_TEXT, BARE))
    assert built.flops
    assert built.state_bytes == whole.state_bytes


def test_a_recurrent_encoder_has_no_mixer_to_time():
    forward = Profiling(seconds=(1.0,), directions=("causal",))
    planned = curves(forward, Cepstra(), Recurrent(), ("reslstm_sa",), "x")
    assert {curve[0].target for curve in planned} == {"encoder"}


def test_hidden_states_and_the_bare_model_are_profiled_and_read_back(tmp_path: Path):
    quick = Profiling(seconds=(0.5,), time_limit_s=0.02)
    assert profile(quick, WITH_TEXT, BARE, ("fox",), Store(tmp_path)) == Summary(done=2)
    records = Store(tmp_path).profiles()
    assert {record.status for record in records} == {"ok"}
    assert all(record.shape.features == WITH_TEXT and record.shape.encoder == BARE for record in records)
    assert all(record.id == record.shape.id for record in records)
    assert profile(quick, WITH_TEXT, BARE, ("fox",), Store(tmp_path)) == Summary(skipped=2)


def test_the_layer_of_fla_says_that_it_needs_a_gpu_and_equal_lengths():
    layer = shape("fla_layer", SPEECH, BARE, backend="fla")
    with pytest.raises(SuiteError, match="target fla_layer runs fla's kernels, which need device cuda"):
        build(layer)
    ragged = {"device_kind": "cuda", "utterances_s": (1.0, 2.0), "batch": 2}
    with pytest.raises(SuiteError, match="target fla_layer takes no ragged batch"):
        build(layer.model_copy(update=ragged))


@pytest.mark.skipif(find_spec("mamba_ssm") is not None, reason="mamba_ssm is installed")
def test_flas_mamba2_without_mamba_ssm_is_not_timed_as_mamba2():
    layer = shape("fla_layer", SPEECH, BARE, "mamba2", backend="fla", device_kind="cuda")
    with pytest.raises(SuiteError, match="without mamba_ssm is a slow stand-in for it; install mamba-ssm"):
        build(layer)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("layout", [name for name in stock.LAYERS if name != "mamba2"])
def test_the_layer_of_fla_has_as_many_parameters_as_our_mixer_of_published_size(layout):
    more = {"backend": "fla", "device_kind": "cuda"}
    bare = Bare(d_model=1024)
    layer, ours = (build(shape(target, SPEECH, bare, layout, **more)) for target in ("fla_layer", "mixer"))
    layer.run()
    assert layer.parameters == ours.parameters


def test_ids_of_committed_profiles_stand():
    records = Store(Path(__file__).parents[2] / "results").profiles()
    assert records
    assert all(record.id == record.shape.id for record in records)
