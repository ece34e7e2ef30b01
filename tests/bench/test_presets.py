"""The presets: `paper` is the published protocol, `controlled` compares like with like; both run through."""

from __future__ import annotations

import io

import pandas as pd
import pytest
import torch

from bench import presets
from bench.cli import run_command
from bench.config import Plan
from bench.corpora.manifest import Manifest
from bench.corpora.msp_made import make
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.features.made_models import make as make_model
from bench.flags import RunFlags, parse
from bench.model.model import build
from bench.training import grid

PUBLISHED = {  # million parameters of the mixer alone, inferred from the study's released code
    "softmax": 4.20, "retnet": 8.39, "gsa": 5.24, "fox": 2.39, "kda": 2.50, "lightnet": 3.41,
}  # fmt: skip
REST = 1.59  # million
SMALL = ["--recipe.epochs", "1", "--recipe.batch-size", "16", "--no-profile", "--workers", "2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder with a made MSP-Podcast."""
    root = tmp_path_factory.mktemp("data")
    make(root / "msp_podcast", turns=100)
    return root


@pytest.fixture(scope="module")
def extractors(tmp_path_factory):
    """A models folder with a speech and a text encoder of one width, in which all mixers come."""
    root = tmp_path_factory.mktemp("extractors")
    make_model(root / "tiny-wavlm", "wavlm", width=64)
    make_model(root / "tiny-bert", "bert", width=64)
    return root


def cells(plan: Plan, data) -> list:
    from bench import corpora

    manifest = corpora.load("msp_podcast", data)
    return grid.cells(plan, lambda name: manifest)


def large(plan: Plan) -> Plan:
    """The plan with encoders described as the large ones are, without their files."""
    width = {"width": 1024, "num_layers": 24}
    features = plan.features.model_copy(
        update={
            "speech": plan.features.speech.model_copy(update=width),
            "text": plan.features.text.model_copy(update=width) if plan.features.text.name else None,
        }
    )
    return plan.model_copy(update={"features": features})


def counts(cell):
    with torch.device("meta"):
        return build(cell.features, cell.encoder, cell.system, 8).parameter_counts()


def test_paper_builds_every_system_in_its_published_size_and_direction(data):
    found = cells(large(presets.build("paper")), data)
    assert {cell.system.layout for cell in found} == set(PUBLISHED)
    assert len(found) == len(PUBLISHED)
    for cell in found:
        name = cell.system.layout
        sizes = counts(cell)
        assert round(sizes.mixers / 1e6, 2) == PUBLISHED[name]
        assert round((sizes.total - sizes.mixers) / 1e6, 2) == REST
        assert cell.system.direction == ("bidirectional" if name == "softmax" else "causal")


def test_papers_recipe_is_the_published_one(data):
    cell = cells(presets.build("paper"), data)[0]
    recipe = cell.recipe
    assert (recipe.optimiser, recipe.peak_lr, recipe.weight_decay) == ("adamw", 1e-4, 0.01)
    assert (recipe.epochs, recipe.batch_size, recipe.max_train_s) == (20, 32, 5.5)
    assert (recipe.schedule, recipe.select_by, recipe.class_weights) == ("plateau", "macro_f1", True)
    defaults = torch.optim.AdamW([torch.zeros(1)]).defaults["betas"]
    assert recipe.beta2 == defaults[1]
    assert not any(
        value for name, value in recipe.augmentation if name not in ("time_mask_s", "mel_mask_bins")
    )
    assert (cell.encoder.dropout, cell.encoder.head_dropout, cell.encoder.masked) == (0.4, 0.1, False)
    assert (cell.features.layers, cell.task.corpus, cell.seed) == ("free", "msp_podcast", 0)


def test_controlled_compares_like_with_like(data):
    """Every system has softmax's parameters within 1 %, in both directions, from three seeds."""
    found = cells(large(presets.build("controlled")), data)
    groups = {(cell.seed, cell.system.direction) for cell in found}
    assert groups == {(seed, way) for seed in range(3) for way in ("bidirectional", "causal")}
    one_seed = [cell for cell in found if cell.seed == 0]
    totals = {cell.system: counts(cell).total for cell in one_seed}
    for system, total in totals.items():
        softmax = next(
            size
            for other, size in totals.items()
            if other.layout == "softmax" and other.direction == system.direction
        )
        assert total == pytest.approx(softmax, rel=0.01)
    layouts = {system.layout for system in totals}
    assert {"mamba2", "mamba2*3 softmax"} | set(PUBLISHED) <= layouts


def test_published_directions_beside_others_name_no_system_twice(data):
    plan = presets.build("paper").model_copy(update={"directions": ("published", "causal")})
    systems = [cell.system for cell in cells(plan, data)]
    assert len(systems) == len(set(systems)) == len(PUBLISHED) + 1


@pytest.mark.parametrize(("preset", "text"), [("paper", True), ("controlled", False)])
def test_flags_name_the_extractors_and_leave_text_out_or_in(extractors, preset, text, tmp_path):
    from bench.folders import Folders

    named = ["--features.speech.name", "tiny-wavlm", "--features.text.name", "" if text else "tiny-bert"]
    flags = parse(RunFlags, "run", named, RunFlags(plan=presets.build(preset)))
    plan = grid.resolved(flags.plan, Folders(tmp_path, tmp_path, models=extractors))
    assert plan.features.speech.width == 64
    assert (plan.features.text is None) == text


@pytest.mark.slow
def test_paper_runs_through_on_a_made_corpus_with_speech_and_text(data, extractors, tmp_path, capsys):
    arguments = [
        *("run", "paper", "--features.speech.name", "tiny-wavlm", "--features.text.name", "tiny-bert"),
        *("--encoder.d-model", "64", "--layouts", "softmax", "kda", *SMALL, "--feature-plan", "fly"),
        *places(data, extractors, tmp_path),
    ]
    assert run_command(arguments) == 0
    assert "tiny-wavlm and tiny-bert on the fly, once a batch" in capsys.readouterr().err
    board = (tmp_path / "results" / "leaderboard.md").read_text()
    check_board(board)
    runs = Store(tmp_path / "results").runs()
    assert {run.cost.feature_plan for run in runs} == {"fly"}
    assert {run.config.system.direction for run in runs} == {"bidirectional", "causal"}
    checkpoint = Store(tmp_path / "results").checkpoint_path(runs[0].id)
    clip = next((data / "msp_podcast").rglob("*_0001.wav"))
    read = ["predict", str(clip), "--checkpoint", str(checkpoint), "--models", str(extractors)]
    texts = ["--transcripts", str(data / "msp_podcast" / "Transcripts")]
    with_text, without = (rows(capsys, [*read, *more]) for more in (texts, []))
    assert with_text.drop(columns="file").sum(axis=1).item() == pytest.approx(1, abs=2e-3)
    assert not with_text.equals(without)
    assert run_command([*read, "--transcripts", str(tmp_path)]) == 2
    assert f"its transcript {tmp_path}" in capsys.readouterr().err


@pytest.mark.slow
def test_controlled_runs_through_on_a_made_corpus_with_attributes(data, extractors, tmp_path, capsys):
    arguments = [
        *("run", "controlled", "--features.speech.name", "tiny-wavlm", "--encoder.d-model", "32"),
        *("--layouts", "softmax", "retnet", "--seeds", "0", *SMALL),
        *places(data, extractors, tmp_path),
    ]
    assert run_command(arguments) == 0
    assert "hidden states of tiny-wavlm are cached first" in capsys.readouterr().err
    board = (tmp_path / "results" / "leaderboard.md").read_text()
    check_board(board)
    assert "CCC arousal" in board
    runs = Store(tmp_path / "results").runs()
    assert len(runs) == 4
    assert {run.cost.feature_plan for run in runs} == {"cache"}
    checkpoint = Store(tmp_path / "results").checkpoint_path(runs[0].id)
    clip = next((data / "msp_podcast").rglob("*.wav"))
    read = ["predict", str(clip), "--checkpoint", str(checkpoint), "--models", str(extractors)]
    assert list(rows(capsys, read))[-3:] == ["arousal", "valence", "dominance"]
    assert run_command([*read, "--transcripts", str(tmp_path)]) == 2
    assert "reads no text" in capsys.readouterr().err


def places(data, extractors, folder) -> list[str]:
    folders = {
        "data-root": data,
        "models": extractors,
        "cache": folder / "cache",
        "results": folder / "results",
    }
    return [word for name, path in folders.items() for word in (f"--{name}", str(path))]


def check_board(board: str) -> None:
    """All splits are there, and nothing is ranked beside real data."""
    for split in ("Dev", "Test1", "Test2"):
        assert f"{split}, recipe" in board or f", {split}" in board
    assert "smoke test" in board


def rows(capsys, arguments: list[str]) -> pd.DataFrame:
    capsys.readouterr()
    assert run_command(arguments) == 0
    return pd.read_csv(io.StringIO(capsys.readouterr().out))


def test_a_preset_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(SuiteError, match="no preset 'papper'; there is demo, open, sizes, recurrent, paper"):
        presets.build("papper")


def test_demo_is_a_small_made_msp_podcast_with_every_split(tmp_path):
    plan = presets.build("demo")
    assert plan.tasks == ("msp_made/official",)
    small = plan.model_copy(update={"corpus_options": plan.corpus_options | {"turns": 100}})
    from bench.folders import Folders

    manifest = grid.manifest(small, "msp_made", Folders(tmp_path, tmp_path))
    assert isinstance(manifest, Manifest)
    assert manifest.synthetic
    assert manifest.test_splits("official", 0) == ("test1", "test2")
