"""A synthetic MSP-Podcast through the whole suite, with both losses and with attributes alone."""

import io

import pandas as pd
import pytest

from bench.cli import run_command
from bench.config import Cell, Encoder, Features, Recipe, System, Task
from bench.evidence.store import Store
from bench.folders import Folders
from bench.training.run import Job, run_cohort

TURNS = 120
RECIPES = {
    "both": Recipe(epochs=2, batch_size=16, attribute_weight=1.0, select_by="ccc"),
    "alone": Recipe(epochs=2, batch_size=16, emotion_weight=0.0, attribute_weight=1.0, select_by="ccc"),
}
NAMES = ("arousal", "valence", "dominance")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Folders:
    root = tmp_path_factory.mktemp("whole")
    return Folders(root / "results", root / "cache")


@pytest.fixture(scope="module")
def records(folders):
    """A record of a cohort of one system for each recipe."""
    return {kind: run_cohort(Job("toy", (cell(kind, folders),)), folders)[0] for kind in RECIPES}


def cell(kind: str, folders: Folders) -> Cell:
    from bench import corpora

    manifest = corpora.load("msp_made", None, {"turns": TURNS}, folders.cache)
    return Cell(
        task=Task(corpus="msp_made", protocol=manifest.protocol("official"), corpus_options={"turns": TURNS}),
        seed=0,
        system=System(layout="softmax"),
        features=Features(num_mels=16),
        encoder=Encoder(d_model=16, num_layers=1, num_heads=2),
        recipe=RECIPES[kind],
    )


@pytest.mark.parametrize("kind", RECIPES)
def test_a_record_carries_the_ccc_of_every_split(records, folders, kind):
    record = records[kind]
    assert record.status == "ok"
    assert record.attributes == NAMES
    for split in ("dev", "test1", "test2"):
        scores = record.metrics[split]
        assert {"ccc", *(f"ccc_{name}" for name in NAMES)} <= set(scores)
        assert ("uar" in scores) == (kind == "both")
    dev = [epoch.dev_ccc for epoch in record.curve]
    assert dev[record.best_epoch] == max(dev)
    assert record.metrics["dev"]["ccc"] == pytest.approx(max(dev), abs=1e-5)
    assert Store(folders.results).runs()  # every one validates


def test_predictions_hold_truth_and_prediction_on_the_corpus_scale(records, folders):
    table = Store(folders.results).predictions(records["alone"].id)
    assert table[list(NAMES)].apply(lambda column: column.between(1, 7)).all(axis=None)
    assert table[[f"predicted_{name}" for name in NAMES]].notna().all(axis=None)
    assert not [name for name in table if name.startswith("logit_")]


def test_the_leaderboard_and_predict_follow(records, folders, capsys):
    assert run_command(["report", "--results", str(folders.results)]) == 0
    heads = [
        line for line in (folders.results / "leaderboard.md").read_text().splitlines() if "| # |" in line
    ]
    assert len(heads) == 6
    assert all("CCC arousal" in head for head in heads)
    assert sum("UAR %" in head for head in heads) == 3
    clip = next(folders.cache.rglob("*.wav"))
    path = Store(folders.results).checkpoint_path(records["both"].id)
    capsys.readouterr()
    assert run_command(["predict", str(clip), "--checkpoint", str(path)]) == 0
    shown = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(shown) == ["file", *records["both"].emotions, *NAMES]
    assert shown[list(records["both"].emotions)].sum(axis=1).item() == pytest.approx(1, abs=2e-3)
    assert run_command(["predict", str(clip), "--results", str(folders.results)]) == 0
    assert f"checkpoint: {path}" in capsys.readouterr().err  # emotions go before attributes alone
