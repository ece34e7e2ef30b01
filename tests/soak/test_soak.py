"""The long run's own promises: a leak is called one, what is flat is not, and a cut run keeps what it saw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import soak_run
import soak_samples
from soak_verdict import QUANTITIES, verdict
from soak_watch import Sample, samples

MB = 1e6


def table(rounds: int = 40, **grown: np.ndarray) -> pd.DataFrame:
    """Ten samples a round, flat but for the quantities that are given round by round."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"seconds": np.arange(10 * rounds), "round": np.repeat(np.arange(rounds), 10)})
    busy = np.tile(np.r_[0, rng.uniform(0, 1, 9)], rounds)  # while something is under way
    rows["own_bytes"] = rows["resident_bytes"] = 500 * MB + 50 * MB * busy
    rows["children_bytes"] = 200 * MB + 400 * MB * busy
    for name, floor in {"handles": 16, "threads": 6, "children": 1, "files": 200, "shared": 0}.items():
        rows[name] = floor + np.round(5 * busy).astype(int)
    for name, values in grown.items():
        rows[name] += values[rows["round"]]
    return rows


def watched(work: object, folder: Path, rounds: int = 18) -> pd.DataFrame:
    """Samples of so many rounds of real work, of whatever time they need."""
    with closing(samples(work, folder, seconds=300, every_s=0.05)) as seen:
        return pd.DataFrame([asdict(each) for each in takewhile(lambda one: one.round < rounds, seen)])


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return watched(soak_samples.leaks, tmp_path_factory.mktemp("leaks"))


@pytest.mark.parametrize("field", [quantity.field for quantity in QUANTITIES])
def test_work_that_leaks_is_caught(leaking, field):
    assert field in {reading.quantity.field for reading in verdict(leaking).leaks}


def test_what_leaked_ends_with_the_watch(leaking):
    left = [
        each for each in psutil.process_iter(["cmdline"]) if "time.sleep(300)" in str(each.info["cmdline"])
    ]
    assert left == []


def test_work_that_holds_nothing_is_flat(tmp_path):
    found = verdict(watched(soak_samples.holds_nothing, tmp_path))
    assert not found.leaks
    assert {reading.quantity.field for reading in found.readings if not reading.flat} <= {"own_bytes"}


def test_growth_at_rest_is_a_leak_and_says_of_what():
    found = verdict(table(handles=np.arange(40) // 4))  # a handle every four rounds
    assert found.finding() == "Growing with every round: file handles."


def test_noise_at_rest_is_flat():
    found = verdict(table(own_bytes=np.random.default_rng(1).normal(0, 0.2 * MB, 40)))
    assert not found.leaks
    assert not found.undecided


def test_growth_while_caches_fill_is_flat():
    found = verdict(table(own_bytes=50 * MB * (1 - np.exp(-np.arange(40) / 2))))
    assert not found.leaks


def test_one_step_is_no_leak():
    found = verdict(table(files=(np.arange(40) > 20).astype(int)))
    assert not found.leaks


def test_chance_rarely_looks_like_a_leak():
    rng = np.random.default_rng(2)
    runs = [verdict(table(own_bytes=rng.normal(0, 2 * MB, 40))) for _ in range(100)]
    assert sum(bool(found.leaks) for found in runs) <= 3  # half of 1 % expected


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (table(), soak_run.FLAT),
        (table(own_bytes=0.1 * MB * np.arange(40)), soak_run.LEAK),
        (table(rounds=6), soak_run.UNDECIDED),
    ],
    ids=["flat", "leak", "too short"],
)
def test_samples_that_are_there_can_be_judged_again(tmp_path, rows, code):
    rows.to_csv(tmp_path / soak_run.TABLE, index=False)
    assert soak_run.judged(tmp_path) == code
    assert (tmp_path / "soak.png").is_file()


def test_a_run_that_is_cut_gives_the_verdict_on_what_it_saw(tmp_path, monkeypatch):
    def cut(*watch: object) -> Iterator[Sample]:
        for row in table().to_dict("records"):
            yield Sample(**row)
        raise KeyboardInterrupt

    monkeypatch.setattr(soak_run, "samples", cut)
    assert soak_run.watch(soak_samples.holds_nothing, tmp_path, 3600) == soak_run.FLAT
    assert "flat over 39 rounds" in (tmp_path / soak_run.TEXT).read_text()


def test_work_that_fails_is_no_clean_run(tmp_path):
    assert soak_run.watch(soak_samples.fails, tmp_path, 300, every_s=0.05) == soak_run.LEAK
    assert "as a cell may" in (tmp_path / "work" / "log.txt").read_text()


@pytest.mark.slow
def test_a_round_leaves_nothing_but_its_cache(tmp_path):
    from soak_work import Round

    Round(tmp_path)(0)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
