"""The committed tables and figures are those that the committed records make, and the records hold."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from bench.evidence.store import KINDS, Store
from bench.evidence.verification import faults
from bench.report import figure_entries, write_tables
from bench.report.figures import FORMATS

RESULTS = Path(__file__).parents[2] / "results"
RECORDS = (*KINDS, "predictions")
TABLES = (
    *(f"leaderboard.{kind}" for kind in ("md", "csv", "tex", "json")),
    "MODEL_CARD.md",
    "costs.md",
    "costs.csv",
    "index.html",
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Path:
    """Every table made anew from copies of the records alone."""
    folder = tmp_path_factory.mktemp("results")
    for name in RECORDS:
        if (RESULTS / name).is_dir():
            shutil.copytree(RESULTS / name, folder / name)
    shutil.copy(RESULTS / "reported.csv", folder)
    write_tables(folder)
    return folder


@pytest.mark.parametrize("name", TABLES)
def test_the_committed_file_is_that_of_a_fresh_report(fresh, name):
    assert (RESULTS / name).read_bytes() == (fresh / name).read_bytes()


def test_committed_figures_are_all_that_the_records_allow_drawn_from_these(fresh):
    entries = figure_entries(fresh)
    folder = RESULTS / "figures"
    assert {path.name for path in folder.iterdir()} == {
        f"{entry.name}.{f}" for entry in entries for f in FORMATS
    }
    for entry in entries:
        with Image.open(folder / f"{entry.name}.png") as image:
            assert image.text["Data"] == f"sha256:{entry.data}"


def test_committed_records_and_predictions_agree():
    assert faults(Store(RESULTS)) == []
