"""What is timed under each kind of features and encoder: sizes, frames and inputs; nothing is timed."""

from __future__ import annotations

from pathlib import Path

import pytest

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
from bench.evidence.records import Shape
from bench.evidence.store import Store
from bench.measuring.profile import Summary, curves, profile
from bench.measuring.targets import build, encoder_frames
from bench.model.model import build as build_model

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


def test_ids_of_committed_profiles_stand():
    records = Store(Path(__file__).parents[2] / "results").profiles()
    assert records
    assert all(record.id == record.shape.id for record in records)
