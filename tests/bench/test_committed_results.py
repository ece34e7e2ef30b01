"""The committed tables are those that a fresh report makes of the committed records, and the records hold."""

import shutil
from pathlib import Path

import pytest

from bench.evidence.store import KINDS, Store
from bench.evidence.verification import faults
from bench.report import write_tables

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
        shutil.copytree(RESULTS / name, folder / name)
    shutil.copy(RESULTS / "reported.csv", folder)
    write_tables(folder)
    return folder


@pytest.mark.parametrize("name", TABLES)
def test_the_committed_file_is_that_of_a_fresh_report(fresh, name):
    assert (RESULTS / name).read_bytes() == (fresh / name).read_bytes()


def test_committed_records_and_predictions_agree():
    assert faults(Store(RESULTS)) == []
