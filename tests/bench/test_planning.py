"""`serbench plan`: what is measured is measured, what is not is said, and the arithmetic holds."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench import planning, presets
from bench.cli import run_command
from bench.evidence.records import Environment
from bench.folders import Folders
from bench.measuring.real_time_factor import Speed, Work
from bench.training.grid import systems

HERE = Environment(
    device="Made GPU", device_kind="cuda", cores=8, threads=4, memory_bytes=1, operating_system="", python="",
    packages={},
)  # fmt: skip


def speed(**changes) -> Speed:
    """A device on which a second of speech takes 1 ms, and 0.25 ms more for each of four systems."""
    made = Speed(
        work="", shared=1e-3, students=dict.fromkeys("abcd", 2.5e-4), batch=32, seconds=5.5,
        precision="bfloat16", random_weights=(), environment=HERE,
    )  # fmt: skip
    return made.model_copy(update=changes)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 3))
def test_the_last_job_ends_when_a_scheduler_that_takes_the_longest_first_would_end_it(jobs, workers):
    """Against the best of all schedules: no better, and (Graham 1969) at most 4/3 − 1/(3m) of it."""
    best = min(
        max(np.bincount(chosen, weights=jobs))
        for chosen in itertools.product(range(workers), repeat=len(jobs))
    )
    found = planning.makespan(jobs, workers)
    assert best <= found <= best * (4 / 3 - 1 / (3 * workers)) + 1e-9


def test_cohorts_share_what_cells_repeat():
    one, cells = planning.rows(speed(), cohorts=[1000.0, 1000.0], devices=[1])
    assert one.device_hours == pytest.approx(2 * 1000 * (1e-3 + 4 * 2.5e-4))
    assert cells.device_hours == pytest.approx(2 * 4 * 1000 * (1e-3 + 2.5e-4))
    assert (one.jobs, cells.jobs) == (2, 8)
    assert (one.hours, cells.hours) == (one.device_hours, pytest.approx(cells.device_hours))


def test_more_devices_than_cohorts_share_them_up_to_the_limit():
    rows = planning.rows(speed(), [100.0] * 3, [2, 4, 32], most_shared=8)
    shared = {row.devices: row for row in rows if row.array == "cohorts"}
    assert {count: row.shared_by for count, row in shared.items()} == {2: 1, 4: 1, 32: 8}
    assert shared[2].hours == pytest.approx(2 * shared[4].hours)
    assert shared[32].hours == pytest.approx(shared[4].hours / 8)
    assert len({row.device_hours for row in shared.values()}) == 1


def test_a_corpus_that_is_not_here_is_taken_in_its_published_shares(tmp_path):
    (found,) = planning.speech(presets.build("controlled"), Folders(tmp_path, tmp_path, tmp_path), 400)
    assert found.assumed
    assert found.train + found.dev + found.test == pytest.approx(400)
    assert found.train / found.dev == pytest.approx(137_168 / 27_205)  # arXiv 2603.15120
    assert found.heard(20) == pytest.approx(20 * (found.train + found.dev) + found.dev + found.test)


def test_a_measurement_of_a_gpu_is_read_anywhere_and_says_what_it_is(tmp_path, capsys):
    plan = presets.build("controlled")
    file = tmp_path / "gpu.json"
    file.write_text(speed(work=Work.of(plan, systems(plan)).id).model_dump_json())
    places = ["--data-root", str(tmp_path), "--cache", str(tmp_path)]
    assert run_command(["plan", "controlled", "--measured", str(file), "--price", "2", *places]) == 0
    shown = capsys.readouterr().out
    assert "a device is one Made GPU" in shown
    assert "No GPU was measured" not in shown
    assert "400 h a corpus assumed" in shown
    hours = 3 * (400 * (20 * (137_168 + 27_205) + 27_205 + 36_768 + 11_667) / 212_808)
    assert f"{hours:,.0f} h of speech" in shown
    assert f" {2 * hours * 2e-3:.0f} " in shown  # the cost of cohorts: 2 ms a second, 2 an hour


def test_a_measurement_of_other_work_is_refused(tmp_path, capsys):
    (tmp_path / "gpu.json").write_text(speed(work="0123").model_dump_json())
    command = ["plan", "controlled", "--measured", str(tmp_path / "gpu.json"), "--data-root", str(tmp_path)]
    assert run_command(command) == 2
    assert "measured with other settings" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="of a processor")
def test_a_plan_on_a_machine_without_a_gpu_gives_no_time_of_one(tmp_path, capsys):
    small = ["--layouts", "softmax", "retnet", "--encoder.d-model", "16", "--encoder.num-layers", "1"]
    corpus = ["--corpus-options.turns", "100", "--cache", str(tmp_path)]
    assert run_command(["plan", "demo", *small, *corpus, "--save", str(tmp_path / "cpu.json")]) == 0
    shown = capsys.readouterr().out
    assert "No GPU was measured" in shown
    assert "a device is one core of" in shown
    found = Speed.model_validate_json((tmp_path / "cpu.json").read_bytes())
    assert set(found.students) == {"Softmax, bidirectional", "RetNet, bidirectional"}
    assert found.cohort > found.shared > 0
