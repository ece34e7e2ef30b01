"""Options of generated corpora in a plan: each goes to the corpora that take it, and no option is lost."""

from __future__ import annotations

import pytest

from bench import corpora
from bench.config import Encoder, Features, Plan, Recipe
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.flags import TrainFlags, parse
from bench.folders import Folders
from bench.report import write_report
from bench.training import grid
from bench.training.run import Job, run_cohort

OPTIONS = {"speakers": 6, "per_speaker": 5, "turns": 100, "seed": 1}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Folders:
    made = tmp_path_factory.mktemp("options")
    return Folders(made / "results", made / "cache")


def planned(folders: Folders, *tasks: str, **options: int) -> list:
    plan = Plan(
        name="small",
        tasks=tasks,
        layouts=("softmax",),
        corpus_options=options,
        features=Features(num_mels=8),
        encoder=Encoder(d_model=8, num_layers=1, num_heads=1),
        recipe=Recipe(epochs=1),
    )
    return grid.cells(plan, lambda name: grid.manifest(plan, name, folders))


def test_each_corpus_takes_its_own_options_and_a_real_one_none(folders, make_corpus, tmp_path):
    make_corpus("emodb", ["03a01Wa.wav", "08a01Na.wav"], 0.01)
    real = Folders(tmp_path / "results", folders.cache, tmp_path)
    cells = planned(real, "synthetic/speakers", "msp_made/official", "emodb/loso", **OPTIONS)
    found = {cell.task.corpus: cell.task.corpus_options for cell in cells}
    assert found == {
        "synthetic": {"speakers": 6, "per_speaker": 5, "seed": 1},
        "msp_made": {"turns": 100, "seed": 1},
        "emodb": {},
    }


def test_the_options_decide_what_is_generated(folders):
    manifest = grid.manifest(Plan(name="small", tasks=(), corpus_options=OPTIONS), "msp_made", folders)
    expected = corpora.load("msp_made", None, {"turns": 100, "seed": 1}, folders.cache)
    assert manifest.table["utterance"].tolist() == expected.table["utterance"].tolist()


def test_an_option_that_no_corpus_takes_is_refused_listing_the_known_ones(folders):
    with pytest.raises(
        SuiteError, match=r"no corpus takes option 'turn'; there is classes, per_speaker, seed"
    ):
        planned(folders, "msp_made/official", turn=100)


def test_a_single_training_takes_options_on_its_line():
    line = ["--task", "msp_made/official", "--corpus-options", "turns", "200", "seed", "3"]
    assert parse(TrainFlags, "serbench train", line).plan().corpus_options == {"turns": 200, "seed": 3}


def test_corpora_are_trained_across_and_reported_as_a_comparison_of_their_own(folders):
    cells = planned(folders, "synthetic-to-msp_made/cross", "synthetic/speakers", **OPTIONS)
    across = [cell for cell in cells if cell.task.protocol.startswith("cross-")]
    alone = next(cell for cell in cells if cell.task.corpus == "synthetic")
    assert [cell.task.corpus for cell in across] == ["synthetic-to-msp_made"]
    for cell in (*across, alone):
        run_cohort(Job("small", (cell,)), folders)
    runs = {run.config.task.corpus: run for run in Store(folders.results).runs()}
    run = runs["synthetic-to-msp_made"]
    assert (run.status, run.synthetic) == ("ok", True)
    assert run.corpus_title == "Synthetic speech → MSP-Podcast 2.0, synthetic"
    assert run.emotions == ("neutral", "happy", "sad", "angry", "fearful")
    assert set(run.metrics) == {"dev", "test1", "test2"}
    predicted = Store(folders.results).predictions(run.id)
    assert set(predicted["utterance"][predicted["split"] == "test1"].str.partition("/")[0]) == {"msp_made"}
    assert set(predicted["utterance"][predicted["split"] == "dev"].str.partition("/")[0]) == {"synthetic"}
    write_report(folders.results)
    board = (folders.results / "leaderboard.md").read_text()
    heading = f"{run.corpus_title} (per_speaker 5, seed 1, speakers 6, turns 100), protocol cross-"
    assert board.count(f"### {heading}") == 3
    assert board.count("### Synthetic speech (per_speaker 5") == 1
