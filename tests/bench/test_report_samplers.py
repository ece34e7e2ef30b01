"""Samplers compared: one table a system, paired with uniform, apart from the leaderboard's own tables."""

import pytest
from report_fixtures import fold_part, manifest, ravdess_cell, write_run, write_runs, write_synthetic

from bench.config import Cell, Recipe, Stage, System, Task
from bench.evidence.differences import difference
from bench.evidence.store import Store
from bench.report import samplers, scoring, write_tables
from bench.report.predictions import Predictions
from bench.report.samplers import HEAD, sections

SKILLS = {"uniform": 1.3, "class_balanced": 1.5, "diverse": 1.9}


def write_sampled(store: Store, skills=SKILLS, seeds=(0,), layout="kda", **recipe) -> None:
    table = manifest()
    for sampler, skill in skills.items():
        for seed in seeds:
            for fold in range(5):
                cell = ravdess_cell(layout, fold, seed, recipe=Recipe(sampler=sampler, **recipe))
                write_run(store, cell, fold_part(table, fold), skill=skill)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    found = Store(tmp_path_factory.mktemp("results"))
    write_sampled(found, seeds=(0, 1))
    return found


def cells_of(store: Store) -> dict[str, dict[str, str]]:
    (section,) = sections(store, store.runs())
    return {row.cells[HEAD]: row.cells for row in section.rows}


def test_the_differences_to_uniform_are_paired_over_speakers(store):
    runs = {name: [run for run in store.runs() if run.config.recipe.sampler == name] for name in SKILLS}
    predictions = Predictions(store)
    scores = {
        name: scoring.estimates(scoring.score(predictions, some, set(range(5)), "test"))["uar"]
        for name, some in runs.items()
    }
    found = cells_of(store)
    for name, label in (("class_balanced", "Class-balanced"), ("diverse", "Diverse")):
        one = difference(scores[name], scores["uniform"])
        numbers = [100 * value for value in (one.value, one.interval().low, one.interval().high)]
        expected = "{:+.1f} [{:+.1f}, {:+.1f}]".format(*numbers).replace("-", "−")
        assert found[label]["Δ to Uniform"] == expected
    assert found["Diverse"]["Folds × seeds"] == "5 × 2"


def test_the_finding_says_which_sampler_is_best_and_for_what_system(store):
    (section,) = sections(store, store.runs())
    assert section.title.startswith("KDA: RAVDESS, protocol luna, recipe ")
    assert section.finding.startswith("Diverse scores highest, ")
    assert "beats Uniform by" in section.finding


def test_in_the_leaderboard_every_sampler_is_a_recipe_of_its_own(store):
    write_tables(store.root)
    board = (store.root / "leaderboard.md").read_text()
    own, _, compared = board.partition(f"## {samplers.HEADING}")
    assert own.count("## RAVDESS") == 3
    assert own.count("class-balanced sampling") == own.count("diverse sampling") == 1
    assert compared.count("| Diverse |") == 1
    assert "sampling" not in compared


def test_systems_have_a_table_each_and_one_sampler_alone_has_none(store, tmp_path):
    several = Store(tmp_path)
    write_sampled(several)
    write_sampled(several, layout="retnet", skills={"uniform": 1.5, "diverse": 1.4})
    write_sampled(several, layout="gsa", skills={"diverse": 1.4})
    write_sampled(several, layout="fox", skills={"uniform": 1.4})
    assert [section.title.split(":")[0] for section in sections(several, several.runs())] == ["KDA", "RetNet"]


def test_two_curricula_are_two_samplers(tmp_path):
    store = Store(tmp_path)
    write_sampled(store, skills={"uniform": 1.3, "curriculum": 1.4})
    write_sampled(store, skills={"curriculum": 1.6}, stages=(Stage(share=1.0, emotion=0.5),))
    names = set(cells_of(store))
    assert len(names) == 3
    assert sum(name.startswith("Curriculum ") for name in names) == 2


def test_other_recipes_are_never_in_one_table_with_uniform(tmp_path):
    store = Store(tmp_path)
    write_sampled(store, skills={"uniform": 1.3})
    write_sampled(store, skills={"diverse": 1.3}, epochs=80)
    assert sections(store, store.runs()) == []


def test_without_samplers_the_report_says_nothing_of_them(tmp_path):
    store = Store(tmp_path)
    write_runs(store, layouts=("softmax", "retnet"))
    write_tables(tmp_path)
    assert samplers.HEADING not in (tmp_path / "leaderboard.md").read_text()


def test_made_speech_is_compared_under_its_warning_alone(tmp_path):
    store, emotions = Store(tmp_path), ("angry", "calm", "happy")
    table = manifest(emotions, speakers=12, per_speaker=20)
    for sampler in ("uniform", "diverse"):
        task = Task(corpus="synthetic", protocol="speakers")
        cell = Cell(task=task, seed=0, system=System(layout="kda"), recipe=Recipe(sampler=sampler))
        write_run(store, cell, table, emotions)
    write_synthetic(store)
    write_tables(tmp_path)
    board = (tmp_path / "leaderboard.md").read_text()
    assert f"## {samplers.HEADING}" not in board
    assert board.index("smoke test") < board.index("### KDA: Synthetic speech")
