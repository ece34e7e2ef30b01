"""Each fault once: nothing is lost, and the result is that of a run that nothing has happened to.

`python tests/faults/suite.py` tries them at every place and at many moments.
"""

import json
import shutil
import signal

import company
import damage
import disks
import kills
import pytest
import stops
import students
from ledger import Ledger, left_behind
from stage import Places, Stage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stage():
    with Stage() as stage:
        yield stage


@pytest.fixture(scope="module")
def whole(stage, tmp_path_factory) -> Places:
    """A run that nobody has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    places = Places(folder / "results", folder / "cache")
    ended = stage.finish(places)
    assert ended.code == 0, ended.said
    return places


@pytest.fixture(scope="module")
def cache(whole):
    return whole.cache


@pytest.fixture(scope="module")
def ledger(whole) -> Ledger:
    return Ledger.of(whole.results)


def assert_held(row):
    if row.skipped:
        pytest.skip(row.skipped)
    assert row.tried
    assert (row.lost, row.changed, row.wrong) == (0, 0, [])


def test_a_ledger_sees_what_is_missing_changed_or_left(whole, ledger, tmp_path):
    """Or no test below could fail."""
    copy = shutil.copytree(whole.results, tmp_path / "results")
    assert ledger.lost(copy) == ledger.changed(copy) == left_behind(copy) == []
    record, other = sorted(copy.glob("runs/*.json"))
    record.unlink()
    other.write_text(json.dumps(json.loads(other.read_text()) | {"best_epoch": 99}))
    damage.flip(next(copy.glob("predictions/*.parquet")))
    (copy / "runs" / f".{record.name}.0123abcd.lock").touch()
    assert ledger.lost(copy) == [record.name]
    assert len(ledger.changed(copy)) == 2
    assert len(left_behind(copy)) == 1


def test_killed_at_any_write_a_run_goes_on_to_the_same_result(stage, ledger, tmp_path):
    assert_held(kills.at_writes(stage, tmp_path, ledger, kills.MOMENTS[1:11:3]))


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGINT, "as the cohort starts"), (signal.SIGTERM, "in training")]
)
def test_a_stopped_run_says_so_in_one_sentence_and_goes_on(stage, ledger, tmp_path, number, moment):
    assert_held(stops.stopped(stage, tmp_path, ledger, number, (moment,)))


def test_a_full_disk_is_one_sentence_and_costs_nothing(stage, ledger, tmp_path):
    places = ("features", "a training checkpoint", "weights", "a record")
    assert_held(disks.full(stage, tmp_path / "disk", ledger, places))


def test_a_read_only_folder_is_one_sentence_and_costs_nothing(stage, cache, ledger, tmp_path):
    assert_held(disks.forbidden(stage, tmp_path / "disk", cache, ledger))


def test_a_clock_set_back_changes_nothing(stage, cache, ledger, tmp_path):
    assert_held(kills.clock_set_back(stage, tmp_path, cache, ledger))


def test_two_runs_on_one_folder_train_each_cell_once(stage, ledger, tmp_path):
    assert_held(company.together(stage, tmp_path, ledger, 2))


def test_a_flipped_bit_in_the_cache_is_found(stage, cache, ledger, tmp_path):
    assert_held(damage.flipped_cache(stage, tmp_path, cache, ledger))


def test_a_damaged_checkpoint_gives_way_to_the_one_before(stage, cache, ledger, tmp_path):
    assert_held(damage.damaged_checkpoint(stage, tmp_path, cache, ledger, (damage.cut,)))


def test_a_student_that_diverges_harms_no_mate(stage, cache, ledger, tmp_path):
    assert_held(students.diverged(stage, tmp_path, cache, ledger, students.DIVERGED[1:]))


def test_a_student_out_of_memory_harms_no_mate(stage, cache, ledger, tmp_path):
    assert_held(students.without_memory(stage, tmp_path, cache, ledger, students.WITHOUT_MEMORY[2:]))


def test_a_killed_worker_is_a_reason_and_its_work_goes_on(stage, cache, ledger, tmp_path):
    assert_held(students.killed_worker(stage, tmp_path, cache, ledger))


def test_a_hung_reader_is_given_up(stage, cache, ledger, tmp_path):
    assert_held(students.hung_reader(stage, tmp_path, cache, ledger))


def test_a_recording_that_vanishes_is_named_and_may_come_back(stage, tmp_path):
    assert_held(damage.vanished_recording(stage, tmp_path / "vanished"))
