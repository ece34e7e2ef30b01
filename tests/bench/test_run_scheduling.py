"""Samplers, further tasks and a teacher through the command line, and the preset that compares samplers."""

from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from bench import presets
from bench.cli import run_command
from bench.config import Recipe, SamplerName, content_id
from bench.corpora import ravdess
from bench.corpora.manifest import COLUMNS, Manifest
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.training import grid

SMALL = ["--recipe.epochs", "2", "--encoder.d-model", "16", "--encoder.num-layers", "1"]

EMPTY = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
MANIFEST = Manifest("ravdess", "RAVDESS", Path(), ravdess.EMOTIONS, EMPTY, ravdess.PROTOCOLS)


@pytest.fixture(scope="module")
def planned():
    """The plan of the preset, and its cells on the folds of RAVDESS."""
    plan = presets.build("scheduling")
    return plan, grid.cells(plan, lambda name: MANIFEST)


def test_scheduling_compares_five_samplers_alike_in_all_else(planned, tmp_path):
    plan, cells = planned
    assert len({cell.id for cell in cells}) == len(cells) == 5 * 5 * 3
    assert {cell.recipe.sampler for cell in cells} == set(get_args(SamplerName))
    usual = {name: Recipe.model_fields[name].default for name in ("sampler", "stages", "guide")}
    assert len({content_id(cell.recipe.model_copy(update=usual)) for cell in cells}) == 1
    jobs = grid.jobs(plan, cells, Store(tmp_path))
    assert len({job.name for job in jobs}) == len(jobs) == len(cells)


def test_one_sampler_beside_those_compared_is_refused(planned):
    plan, _ = planned
    both = plan.model_copy(update={"recipe": plan.recipe.model_copy(update={"sampler": "diverse"})})
    with pytest.raises(SuiteError, match=r"--recipe.sampler diverse stands beside .* with --samplers"):
        grid.cells(both, lambda name: MANIFEST)


def run(folder: Path, *arguments: str) -> int:
    places = ["--results", str(folder / "results"), "--cache", str(folder / "cache")]
    return run_command([*arguments, "--corpus-options", "turns", "100", *SMALL, *places])


@pytest.mark.slow
def test_a_student_with_every_task_learns_from_a_teacher_and_predicts(tmp_path, capsys):
    train = ("train", "--task", "msp_made/official", "--layout")
    assert run(tmp_path, *train, "softmax") == 0
    store = Store(tmp_path / "results")
    (teacher,) = store.runs()
    flags = {
        "teacher": str(store.checkpoint_path(teacher.id)),
        "sampler": "curriculum",
        "attribute-weight": "0.5",
        "gender-weight": "0.2",
        "transcript-weight": "0.2",
    }
    recipe = [word for name, value in flags.items() for word in (f"--recipe.{name}", value)]
    assert run(tmp_path, *train, "retnet", *recipe) == 0
    (student,) = (one for one in store.runs() if one.id != teacher.id)
    (digest,) = student.config.recipe.teacher
    assert store.teacher_path(digest).is_file()
    assert str(tmp_path) not in store.run_path(student.id).read_text()
    assert set(student.curve[0].further_losses) == {"gender", "transcript", "logits", "features"}
    assert run_command(["results", "verify", "--results", str(store.root)]) == 0
    clip = next((tmp_path / "cache").rglob("*.wav"))
    capsys.readouterr()
    checkpoint = store.checkpoint_path(student.id)
    assert run_command(["predict", str(clip), "--checkpoint", str(checkpoint)]) == 0
    head = capsys.readouterr().out.splitlines()[0].split(",")
    assert head == ["file", *student.emotions, "arousal", "valence", "dominance"]


def test_bad_samplers_tasks_and_teachers_end_with_one_sentence(tmp_path, capsys):
    train = ("train", "--task", "msp_made/official")
    for wrong, said in {
        ("--recipe.sampler", "class_balanced", "--recipe.batch-size", "3"): "raise it to",
        ("--recipe.sampler", "diverse", "--recipe.guide", "nobody"): "--recipe.guide nobody cannot be",
        ("--recipe.teacher", "nowhere.pt"): "no checkpoint nowhere.pt to learn from",
    }.items():
        capsys.readouterr()
        assert run(tmp_path, *train, *wrong) == 2
        *_, last = capsys.readouterr().err.splitlines()
        assert last.startswith("serbench:")
        assert said in last
    assert Store(tmp_path / "results").runs() == []
