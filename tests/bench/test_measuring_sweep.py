"""The sweep around its cells: the A/A control, the ceilings, the minutes, and two sweeps on one folder."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from measuring_fixtures import crashes_on_retnet, idle, no_ceilings, sleeper

from bench.config import Encoder, Features, Profiling
from bench.corpora.manifest import COLUMNS, Manifest
from bench.errors import SuiteError
from bench.evidence.controls import stated
from bench.evidence.records import Ceilings, Control, SweepRecord
from bench.evidence.store import Store
from bench.measuring import profile as sweep
from bench.measuring.ceilings import Machine, ceilings
from bench.measuring.claim import sole
from bench.measuring.profile import Summary, curves, forecast, profile
from bench.measuring.utterances import COUNT, lognormal, of_corpus

FEATURES = Features(num_mels=16)
ENCODER = Encoder(d_model=16, num_layers=2, num_heads=2)
QUICK = Profiling(seconds=(0.5, 1.0, 2.0), targets=("encoder",), time_limit_s=0.02)
unix = pytest.mark.skipif(sys.platform == "win32", reason="the lock is Unix's")


@pytest.fixture
def no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "ceilings", no_ceilings)


def swept(folder: Path, layouts=("softmax", "retnet"), profiling=QUICK, build_target=idle, **more) -> Summary:
    return profile(profiling, FEATURES, ENCODER, layouts, Store(folder), build_target=build_target, **more)


@pytest.mark.usefixtures("no_machine")
def test_every_sweep_measures_one_shape_twice_and_records_the_ratio(tmp_path: Path) -> None:
    summary = swept(tmp_path, build_target=sleeper)
    (record,) = Store(tmp_path).sweeps()
    assert record == summary.sweep
    control = record.control
    assert isinstance(control, Control)
    assert control.shape.seconds == 1.0
    first, second = (np.median(samples) for samples in control.samples_ms)
    assert control.ratio == pytest.approx(second / first, rel=1e-12)
    assert control.error >= QUICK.relative_interval
    assert all(profiled.sweep == record.id for profiled in Store(tmp_path).profiles())
    assert record.ceilings == no_ceilings(Machine("cpu", 1, ("float32",)))
    assert record.id == record.setting.id


def test_the_stated_error_is_that_of_both_medians_or_what_sampling_aims_at() -> None:
    assert stated([(10.0, 9.9, 10.2), (20.0, 19.0, 20.2)], 0.03) == pytest.approx(0.02 + 0.05)
    assert stated([(10.0, 9.99, 10.0), (20.0, None, None)], 0.03) == 0.03


@pytest.mark.parametrize(("ratio", "within"), [(1.02, True), (0.98, True), (1.04, False), (0.9, False)])
def test_a_control_is_within_its_error_or_not(ratio: float, within: bool, tmp_path: Path) -> None:
    shape = curves(QUICK, FEATURES, ENCODER, ("softmax",), "x")[0][0]
    label = {"text": "Softmax", "mixers": ("softmax",)}
    control = Control(shape=shape, label=label, status="ok", ratio=ratio, error=0.03)  # type: ignore[arg-type]
    assert control.within is within


@pytest.mark.usefixtures("no_machine")
def test_a_control_that_fails_says_why_and_the_sweep_goes_on(tmp_path: Path) -> None:
    summary = swept(tmp_path, layouts=("retnet", "softmax"), build_target=crashes_on_retnet)
    assert summary == Summary(done=4, failed=1, untried=1)
    assert summary.sweep is not None
    assert summary.sweep.control is not None
    assert (summary.sweep.control.status, summary.sweep.control.ratio) == ("failed", None)
    assert "SIGSEGV" in summary.sweep.control.reason


@pytest.mark.usefixtures("no_machine")
def test_nothing_to_do_is_no_sweep(tmp_path: Path) -> None:
    swept(tmp_path)
    assert swept(tmp_path).sweep is None
    assert len(Store(tmp_path).sweeps()) == 1


@pytest.mark.usefixtures("no_machine")
def test_no_cell_is_begun_after_the_minutes_and_the_next_sweep_goes_on(tmp_path: Path) -> None:
    ticks = iter(range(0, 10_000, 20))  # each look at the clock is 20 s later
    minute = QUICK.model_copy(update={"minutes": 1.0})
    first = swept(tmp_path, profiling=minute, clock=lambda: float(next(ticks)))
    assert 0 < first.done < 6
    assert first.left == 6 - first.done
    assert first.sweep is not None
    assert first.sweep.control is not None  # every sweep has its control, however short
    assert swept(tmp_path) == Summary(done=first.left, skipped=first.done)


def test_ceilings_are_of_this_machine_and_hold_in_every_precision() -> None:
    found = ceilings(Machine("cpu", 1, ("float32", "bfloat16")))
    assert isinstance(found, Ceilings)
    assert set(found.flops_per_s) == {"float32", "bfloat16"}
    assert 1e8 < found.flops_per_s["float32"] < 1e14
    assert 1e8 < found.copy_bytes_per_s < 1e13


def refuse(machine: Machine) -> Ceilings:
    raise RuntimeError("no product here")


def test_ceilings_that_cannot_be_measured_are_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "ceilings", refuse)
    summary = swept(tmp_path, layouts=("softmax",))
    assert summary.done == 3
    assert summary.sweep is not None
    assert summary.sweep.ceilings is None
    assert summary.sweep.notes == ("ceilings: RuntimeError: no product here",)


def hold(folder: str, said: str) -> None:
    with sole(Path(folder), lambda: None):
        Path(said).touch()
        time.sleep(60)


def other_sweep(folder: str) -> None:
    sweep.ceilings = no_ceilings  # type: ignore[assignment]
    swept(Path(folder))


@unix
def test_a_second_sweep_waits_for_the_first_and_goes_on_with_what_it_left(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    with sole(tmp_path / "profiles", lambda: None):
        second = spawn.Process(target=_wait_and_sweep, args=(str(tmp_path), str(tmp_path / "waits")))
        second.start()
        _until((tmp_path / "waits").exists)
        assert not list((tmp_path / "profiles").glob("*.json"))
    second.join(60)
    assert second.exitcode == 0
    assert (tmp_path / "swept").exists()


def _wait_and_sweep(folder: str, said: str) -> None:
    with sole(Path(folder) / "profiles", Path(said).touch):
        (Path(folder) / "swept").touch()


@pytest.mark.usefixtures("no_machine")
def test_two_sweeps_at_once_measure_each_shape_once_and_lose_none(tmp_path: Path) -> None:
    script = tmp_path / "sweeps.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nimport test_measuring_sweep as t\n"
        "if __name__ == '__main__':\n    t.other_sweep(sys.argv[1])\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    folder = tmp_path / "results"
    both = [
        subprocess.Popen([sys.executable, str(script), str(folder)], env=os.environ | {"PYTHONPATH": path})
        for _ in range(2)
    ]
    assert [each.wait(120) for each in both] == [0, 0]
    store = Store(folder)
    assert len(store.profiles()) == 6
    assert len({record.sweep for record in store.profiles()}) == len(store.sweeps()) == 1


@unix
def test_a_killed_sweep_holds_nobody_up_and_leaves_no_file(tmp_path: Path) -> None:
    folder, said = tmp_path / "profiles", tmp_path / "held"
    holder = multiprocessing.get_context("fork").Process(target=hold, args=(str(folder), str(said)))
    holder.start()
    _until(said.exists)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    waited: list[bool] = []
    with sole(folder, lambda: waited.append(True)):
        assert not waited
    assert not list(folder.iterdir())


def _until(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited half a minute in vain")


def test_a_results_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(SuiteError, match=r"cannot write .*choose another folder"):
        swept(tmp_path / "results")


def test_a_forecast_covers_every_curve(tmp_path: Path) -> None:
    planned = curves(QUICK, FEATURES, ENCODER, ("softmax", "retnet"), "x")
    found = list(forecast(planned, QUICK))
    assert [curve for curve, _ in found] == planned
    assert all(seconds > len(curve) * QUICK.time_limit_s for curve, seconds in found)


def test_the_stated_log_normal_has_the_mean_of_msp_podcast() -> None:
    many = lognormal(10_000)
    assert np.mean(many) == pytest.approx(409 * 3600 / 267_905, rel=0.02)
    assert np.median(many) == pytest.approx(5.0, rel=0.01)
    assert lognormal() == tuple(sorted(lognormal()))
    assert len(lognormal()) == COUNT


def test_lengths_of_a_corpus_are_those_of_its_recordings(make_corpus) -> None:
    root = make_corpus("made", [f"{n}.wav" for n in range(5)], seconds=1.5)
    (root / "2.wav").write_bytes(b"broken")
    manifest = _manifest(root, 5)
    assert of_corpus(manifest, count=4) == (1.5,) * 4
    with pytest.raises(SuiteError, match="needs 5 recordings, 4 can be read"):
        of_corpus(manifest, count=5)


def _manifest(root: Path, count: int) -> Manifest:
    import pandas as pd

    rows = [
        {name: np.nan if kind == "float64" else "" for name, kind in COLUMNS.items()}
        | {"utterance": str(n), "path": f"{n}.wav", "emotion": "happy"}
        for n in range(count)
    ]
    return Manifest("made", "Made", root, ("happy",), pd.DataFrame(rows, columns=list(COLUMNS)), {})


def test_a_sweep_record_survives_the_disk(tmp_path: Path) -> None:
    setting = {
        "profiling": QUICK,
        "features": FEATURES,
        "encoder": ENCODER,
        "layouts": ("softmax",),
        "device": "x",
        "started": "2025-01-01T00:00:00+00:00",
    }
    from bench.evidence.records import SweepSetting
    from bench.measuring.environment import describe

    known = SweepSetting(**setting)  # type: ignore[arg-type]
    record = SweepRecord(id=known.id, setting=known, environment=describe(1))
    Store(tmp_path).write(record)
    assert Store(tmp_path).sweeps() == [record]
