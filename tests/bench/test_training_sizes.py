"""Sizes compared in one plan: each is what it is called for every mixer, and its cells are those of flags."""

from __future__ import annotations

import pytest
import torch

from bench import corpora, presets
from bench.config import SIZES, Encoder, Plan, Recurrent
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.flags import PlanFlags, RunFlags, parse
from bench.model import layout
from bench.model.layout import HYBRID
from bench.model.model import build
from bench.planning import of_each_size
from bench.training import grid

NUMBERS = {"50k": 50e3, "500k": 500e3, "5M": 5e6}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """A made corpus of few speakers, in the place of every corpus that a plan names."""
    options = {"speakers": 6, "per_speaker": 5, "seed": 0}
    return corpora.load("synthetic", None, options, tmp_path_factory.mktemp("cache"))


def cells(plan: Plan, manifest) -> list:
    plan = plan.model_copy(update={"tasks": tuple("synthetic/speakers" for _ in plan.tasks)})
    return grid.cells(plan, lambda name: manifest)


@pytest.mark.parametrize("size", SIZES)
def test_every_system_of_a_size_has_its_parameters_within_five_per_cent(size):
    (plan,) = grid.sized(presets.build("sizes").model_copy(update={"sizes": (size,)}))
    for system in grid.systems(plan):
        with torch.device("meta"):
            total = build(plan.features, plan.encoder, system, 8).parameter_counts().total
        assert total == pytest.approx(NUMBERS[size], rel=0.05), system
        assert size != "50k" or total < 50e3


def test_every_mixer_comes_in_every_size_and_the_hybrid_where_it_fills_the_layers():
    plans = grid.sized(presets.build("sizes"))
    named = [{system.layout for system in grid.systems(plan)} for plan in plans]
    alone = set(layout.standard()) - {HYBRID}
    assert named == [alone, alone | {HYBRID}, alone | {HYBRID}]


def test_a_cell_of_the_preset_is_the_one_that_flags_of_open_name(manifest):
    line = [
        *("--tasks", "ravdess/luna", "--encoder.d-model", "32", "--encoder.num-layers", "3"),
        *("--recipe.averaging", "0.9", "--recipe.augmentation.speed", "0.15"),
    ]
    named = parse(RunFlags, "serbench run open", line, RunFlags(plan=presets.build("open"))).plan
    small = parse(RunFlags, "sizes", ["--sizes", "50k"], RunFlags(plan=presets.build("sizes"))).plan
    assert [cell.id for cell in cells(small, manifest)] == [cell.id for cell in cells(named, manifest)]


def test_the_cells_of_a_cohort_have_one_encoder(manifest, tmp_path):
    plan = presets.build("sizes").model_copy(update={"layouts": ("kda", "softmax"), "folds": (0, 1)})
    jobs = grid.jobs(plan, cells(plan, manifest), Store(tmp_path))
    assert [len(job.cells) for job in jobs] == [2] * 6
    assert all(len({cell.encoder for cell in job.cells}) == 1 for job in jobs)
    assert [job.name.split()[-1] for job in jobs] == ["50k", "50k", "500k", "500k", "5M", "5M"]
    assert len({job.name for job in jobs}) == 6


def test_a_size_named_twice_is_trained_once_and_an_encoder_without_sizes_has_none():
    plan = presets.build("sizes")
    assert len(grid.sized(plan.model_copy(update={"sizes": ("5M", "50k", "5M")}))) == 2
    with pytest.raises(SuiteError, match=r"--sizes 50k: sizes are those of the encoder that mixers share"):
        grid.sized(plan.model_copy(update={"encoder": Recurrent(), "sizes": ("50k",)}))


def test_a_width_and_depth_that_is_no_declared_size_has_no_name():
    assert Encoder().size == ""
    assert [Encoder().sized(name).size for name in SIZES] == list(SIZES)


def test_a_forecast_is_of_each_size_and_a_file_of_one(tmp_path):
    flags = PlanFlags(plan=presets.build("sizes"))
    assert [one.plan.encoder.size for one in of_each_size(flags)] == list(SIZES)
    with pytest.raises(SuiteError, match="of one size; name it with --sizes"):
        of_each_size(flags.model_copy(update={"save": tmp_path / "speed.json"}))
