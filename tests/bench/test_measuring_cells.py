"""The plan of a sweep: which cells there are, which mean nothing, and what a machine is refused."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch

from bench import profiles
from bench.config import Bare, Encoder, Extractor, Features, Pretrained, Profiling
from bench.errors import SuiteError
from bench.measuring import cells
from bench.measuring.cells import check, curves
from bench.measuring.utterances import lognormal

FEATURES, ENCODER = Features(), Encoder()
LAYOUTS = ("softmax", "mamba2*3 softmax")
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


def planned(**settings):
    profiling = Profiling(**{"seconds": (1.0, 10.0), **settings})
    return curves(profiling, FEATURES, ENCODER, LAYOUTS, "x")


def kinds(several):
    return [
        (curve[0].target, curve[0].work, curve[0].batch, curve[0].dtype, curve[0].engine) for curve in several
    ]


def test_each_way_is_varied_alone_and_the_others_stay_at_their_first():
    found = planned(
        targets=("encoder",),
        works=("forward", "training"),
        dtypes=("float32", "bfloat16"),
        engines=("eager", "onnx"),
    )
    assert kinds(found) == [
        each
        for way in (
            ("forward", 1, "float32", "eager"),
            ("training", 1, "float32", "eager"),
            ("forward", 1, "bfloat16", "eager"),
            ("forward", 1, "float32", "onnx"),
        )
        for each in [("encoder", *way)] * len(LAYOUTS)
    ]


def test_every_cell_of_the_full_profile_has_its_own_identity():
    plan = profiles.build("full")
    shapes = [shape for curve in curves(plan.profiling, FEATURES, ENCODER, LAYOUTS, "x") for shape in curve]
    assert len({shape.id for shape in shapes}) == len(shapes) > 300


def test_a_stream_is_of_causal_mixers_after_the_speech_that_was_heard():
    found = planned(works=("forward", "frame"), directions=("bidirectional",), heard_s=(60.0, 3600.0))
    streams = [curve for curve in found if curve[0].work == "frame"]
    assert [curve[0].system.layout for curve in streams] == ["softmax"]
    assert {shape.system.direction for curve in streams for shape in curve} == {"causal"}
    assert [shape.seconds for shape in streams[0]] == [60.0, 3600.0]


def test_a_ragged_batch_is_as_long_as_its_utterances_and_says_whence_they_come():
    ((named,),) = (
        curve
        for curve in planned(
            targets=("encoder",), batches=(1, "ragged"), utterances_s=(2.0, 5.0, 3.0), drawn_from="ravdess"
        )
        if curve[0].utterances_s and curve[0].system.layout == "softmax"
    )
    assert (named.batch, named.seconds, named.drawn_from) == (3, 5.0, "ravdess")
    (stated, *_) = (curve[0] for curve in planned(batches=("ragged",)))
    assert stated.utterances_s == lognormal()
    assert "log-normal" in stated.drawn_from


def test_what_means_nothing_is_left_out():
    found = kinds(planned(targets=("mixer", "model"), works=("forward", "second"), engines=("onnx", "eager")))
    assert ("model", "forward", 1, "float32", "onnx") in found
    assert not [kind for kind in found if kind[1] == "second"]  # the first engine is ONNX Runtime


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"works": ("training",), "engines": ("onnx",)}, "onnx has no backward pass"),
        ({"targets": ("encoder",), "works": ("frame",)}, "a stream is of one mixer"),
        ({"dtypes": ("bfloat16",), "engines": ("onnx-int8",)}, "onnx-int8 runs float32 on the CPU"),
    ],
)
def test_where_nothing_goes_together_one_sentence_says_why(settings, reason):
    with pytest.raises(SuiteError, match=f"nothing to measure, for (engine )?{reason}"):
        planned(**settings)


def test_only_systems_that_run_a_kernel_are_measured_on_fla_and_each_curve_stands_once():
    found = planned(backends=("torch", "fla"), targets=("mixer", "encoder"), directions=("causal",))
    systems = [(curve[0].target, curve[0].system.layout, curve[0].backend) for curve in found]
    assert systems == [
        ("mixer", "softmax", "torch"),
        ("mixer", "softmax_unfused", "torch"),
        ("encoder", "softmax", "torch"),
        ("encoder", "mamba2*3 softmax", "torch"),
        ("encoder", "mamba2*3 softmax", "fla"),
    ]


def test_the_layer_of_fla_stands_beside_the_mixers_that_have_one_and_is_causal():
    profiling = Profiling(seconds=(1.0,), targets=("fla_layer",), backends=("fla",))
    found = curves(profiling, FEATURES, ENCODER, ("softmax", "kda", "retnet"), "x")
    systems = [(shape.system.layout, shape.system.direction) for curve in found for shape in curve]
    assert systems == [("kda", "causal"), ("retnet", "causal")]


def test_the_layer_of_fla_is_refused_on_torch_alone():
    with pytest.raises(SuiteError, match="nothing to measure, for a layer of fla runs on backend fla"):
        planned(targets=("fla_layer",))


def test_a_shape_on_torch_has_the_id_that_it_had_before_there_was_a_choice():
    (first, *_), *_ = planned()
    without = first.model_dump(mode="json", exclude={"backend", "device_kind", "work", "engine"})
    del without["utterances_s"], without["drawn_from"]
    canonical = json.dumps(without, sort_keys=True, separators=(",", ":"))
    assert first.id == hashlib.sha256(canonical.encode()).hexdigest()[:16]


def test_hidden_states_have_no_model_from_a_waveform():
    features = Pretrained(speech=Extractor(name="speech", width=64, num_layers=3))
    with pytest.raises(SuiteError, match="target model needs log-mel"):
        curves(Profiling(targets=("model",)), features, Bare(d_model=64), ("softmax",), "x")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"dtypes": ("tf32",)}, "no tf32 on cpu; choose from float32, bfloat16"),
        ({"dtypes": ("float16",)}, "no float16 on cpu"),
        ({"engines": ("graph",)}, "engine graph is a CUDA graph"),
        ({"backends": ("torch", "fla")}, "backend fla is of CUDA kernels, which need device cuda"),
        pytest.param({"device": "cuda"}, "torch finds no CUDA device here", marks=no_gpu),
    ],
)
def test_what_the_machine_lacks_is_refused_with_a_sentence(settings, sentence):
    with pytest.raises(SuiteError, match=sentence):
        check(Profiling(**settings))


def test_a_missing_exporter_is_refused_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(cells, "find_spec", lambda name: None)
    with pytest.raises(SuiteError, match=r"engine onnx needs onnx; install serbench\[export\]"):
        check(Profiling(engines=("eager", "onnx")))


@pytest.mark.parametrize("name", profiles.PROFILES)
def test_every_named_profile_can_be_planned(name):
    plan = profiles.build(name)
    if plan.profiling.device == "cpu":
        check(plan.profiling)
    assert curves(plan.profiling, plan.features, plan.encoder, ("softmax", "retnet"), "x")


def test_the_quick_profile_reaches_8192_frames_and_the_lengths_of_the_leaderboard():
    plan = profiles.build("quick")
    (curve, *_) = curves(plan.profiling, plan.features, plan.encoder, ("softmax",), "x")
    from bench.measuring.sizes import encoder_frames

    assert encoder_frames(curve[-1]) == 8192
    assert {10.0, 60.0} <= {shape.seconds for shape in curve}


def test_the_paper_profile_is_the_published_layer_at_50_frames_a_second():
    plan = profiles.build("paper")
    planned = curves(plan.profiling, plan.features, plan.encoder, ("softmax", "kda"), "x")
    from bench.measuring.sizes import encoder_frames

    assert {curve[0].system.layout for curve in planned} == {"softmax", "softmax_unfused", "kda"}
    assert encoder_frames(planned[0][-1]) == 20_000
    assert (plan.encoder.d_model, plan.encoder.num_heads, plan.encoder.match) == (1024, 4, "stock")
