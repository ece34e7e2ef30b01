"""The sweep: which shapes, one record each, and nothing lost when one of them fails."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from measuring_fixtures import crashes_on_retnet, idle, no_ceilings, outgrows_memory, sleeper

import mixers
from bench.config import Encoder, Features, Profiling
from bench.errors import SuiteError
from bench.evidence.records import ProfileRecord
from bench.evidence.store import Store
from bench.measuring import profile as sweep
from bench.measuring.isolation import Guard
from bench.measuring.profile import Summary, curves, profile

FEATURES = Features(num_mels=16, window_ms=25.0, hop_ms=10.0)
ENCODER = Encoder(d_model=16, num_layers=2, num_heads=2)
QUICK = Profiling(seconds=(0.5, 1.0, 2.0), targets=("encoder",), time_limit_s=0.02)
LAYOUTS = ("softmax", "retnet", "kda")
FIVE = (*LAYOUTS, "fox", "gsa")
linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="memory is bounded on Linux alone"
)


@pytest.fixture(autouse=True)
def _quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's ceilings are tested for themselves."""
    monkeypatch.setattr(sweep, "ceilings", no_ceilings)


class Diary(Store):
    """A store that remembers the order in which records came."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.order: list[tuple[str, float]] = []

    def write(self, record: ProfileRecord) -> Path:  # type: ignore[override]
        if record.kind == "profile":
            self.order.append((record.shape.system.layout, record.shape.seconds))
        return super().write(record)


def by_layout(store: Store) -> dict[tuple[str, float], ProfileRecord]:
    return {(record.shape.system.layout, record.shape.seconds): record for record in store.profiles()}


def test_mixer_curves_are_the_layouts_of_one_mixer_and_their_twins() -> None:
    planned = curves(
        Profiling(targets=("mixer",)), FEATURES, ENCODER, ("softmax", "retnet", "mamba2*3 softmax"), "x"
    )
    assert [curve[0].system.layout for curve in planned] == ["softmax", "retnet", "softmax_unfused"]


def test_encoder_curves_are_all_layouts_without_twins() -> None:
    planned = curves(Profiling(targets=("encoder",)), FEATURES, ENCODER, ("softmax", "mamba2*3 softmax"), "x")
    assert [curve[0].system.layout for curve in planned] == ["softmax", "mamba2*3 softmax"]


def test_two_spellings_of_a_layout_are_one_curve() -> None:
    assert len(curves(QUICK, FEATURES, ENCODER, ("softmax", "softmax*4"), "x")) == 1


def test_every_direction_and_length_has_its_own_identity() -> None:
    both = QUICK.model_copy(
        update={"directions": ("causal", "bidirectional"), "targets": ("mixer", "encoder")}
    )
    shapes = [shape for curve in curves(both, FEATURES, ENCODER, ("retnet",), "x") for shape in curve]
    assert len({shape.id for shape in shapes}) == len(shapes) == 2 * 2 * 3


def test_unknown_mixer_is_one_sentence_before_anything_is_timed(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no mixer 'nonesuch'"):
        profile(QUICK, FEATURES, ENCODER, ("softmax", "nonesuch"), Store(tmp_path))
    assert not list(tmp_path.iterdir())


def test_real_mixer_and_encoder_are_measured(tmp_path: Path) -> None:
    profiling = QUICK.model_copy(
        update={"targets": ("mixer", "encoder"), "seconds": (0.51,), "time_limit_s": 1.0}
    )
    assert profile(profiling, FEATURES, ENCODER, ("retnet",), Store(tmp_path)) == Summary(done=2)
    mixer, encoder = sorted(Store(tmp_path).profiles(), key=lambda record: record.shape.target == "encoder")
    built = mixers.build("retnet", ENCODER.d_model, ENCODER.num_heads)
    assert mixer.parameters == sum(parameter.numel() for parameter in built.parameters())
    assert encoder.parameters is not None
    assert encoder.parameters > 2 * mixer.parameters
    assert mixer.frames == encoder.frames == math.ceil(51 / 4)
    assert mixer.state_bytes == built.state_bytes(13, torch.float32)
    assert encoder.state_bytes == ENCODER.num_layers * (mixer.state_bytes or 0)
    for record in (mixer, encoder):
        assert record.status == "ok"
        assert record.median_low_ms is not None
        assert min(record.samples_ms) <= record.median_low_ms <= (record.median_ms or 0)
        assert (record.median_ms or 0) <= (record.median_high_ms or 0) <= max(record.samples_ms)


def test_known_time_reaches_the_record(tmp_path: Path) -> None:
    profiling = QUICK.model_copy(update={"seconds": (1.0,), "time_limit_s": 0.1})
    profile(profiling, FEATURES, ENCODER, ("softmax",), Store(tmp_path), build_target=sleeper)
    (record,) = Store(tmp_path).profiles()
    assert min(record.samples_ms) >= 10.0


def test_threads_are_those_that_the_record_states(tmp_path: Path) -> None:
    profiling = QUICK.model_copy(update={"threads": 2, "seconds": (1.0,)})
    profile(profiling, FEATURES, ENCODER, ("softmax",), Store(tmp_path), build_target=idle)
    (record,) = Store(tmp_path).profiles()
    assert record.parameters == record.shape.threads == record.environment.threads == 2


def test_finished_shapes_are_not_measured_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = profile(QUICK, FEATURES, ENCODER, LAYOUTS[:2], store, build_target=idle)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    second = profile(QUICK, FEATURES, ENCODER, LAYOUTS, store, build_target=idle)
    assert first == Summary(done=6)
    assert second == Summary(done=3, skipped=6)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())


def test_crash_ends_its_curve_with_the_reason_and_the_sweep_goes_on(tmp_path: Path) -> None:
    summary = profile(QUICK, FEATURES, ENCODER, LAYOUTS, Store(tmp_path), build_target=crashes_on_retnet)
    assert summary == Summary(done=7, failed=1, untried=1)
    records = by_layout(Store(tmp_path))
    assert records["retnet", 0.5].status == "ok"
    assert records["retnet", 1.0].status == "failed"
    assert "SIGSEGV" in records["retnet", 1.0].reason
    assert ("retnet", 2.0) not in records
    assert records["softmax", 2.0].status == records["kda", 2.0].status == "ok"


def test_failed_shape_is_tried_again_and_its_curve_completed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    profile(QUICK, FEATURES, ENCODER, LAYOUTS, store, build_target=crashes_on_retnet)
    assert profile(QUICK, FEATURES, ENCODER, LAYOUTS, store, build_target=idle) == Summary(done=2, skipped=7)
    assert {record.status for record in store.profiles()} == {"ok"}


@linux
def test_length_beyond_memory_ends_its_curve_with_an_oom_record(tmp_path: Path) -> None:
    summary = profile(QUICK, FEATURES, ENCODER, ("softmax",), Store(tmp_path), build_target=outgrows_memory)
    assert summary == Summary(done=1, failed=1, untried=1)
    assert by_layout(Store(tmp_path))["softmax", 1.0].status == "oom"


@linux
def test_unfused_softmax_beyond_memory_leaves_the_machine_standing(tmp_path: Path) -> None:
    long = Profiling(seconds=(1.0, 800.0), targets=("mixer",), time_limit_s=0.02)
    guard = Guard(memory_bytes=1 << 30)  # the scores of 20,000 frames alone take 2 heads × 20,000² × 4 bytes
    profile(long, FEATURES, ENCODER, ("softmax_unfused",), Store(tmp_path), guard=guard)
    assert by_layout(Store(tmp_path))["softmax_unfused", 800.0].status == "oom"


@linux
def test_unfused_softmax_holds_scores_and_weights_as_arithmetic_says(tmp_path: Path) -> None:
    minute = Profiling(seconds=(60.0,), targets=("mixer",), time_limit_s=0.02)
    profile(minute, FEATURES, ENCODER, ("softmax",), Store(tmp_path))
    records = by_layout(Store(tmp_path))
    scores = ENCODER.num_heads * 1500**2 * 4
    assert 1.9 * scores < (records["softmax_unfused", 60.0].peak_bytes or 0) < 3.5 * scores
    assert (records["softmax", 60.0].peak_bytes or scores) < 0.5 * scores


def test_lengths_ascend_and_the_order_within_one_is_drawn_from_the_seed(tmp_path: Path) -> None:
    orders = []
    for number, seed in enumerate((1, 1, 2)):
        diary = Diary(tmp_path / str(number))
        profile(QUICK, FEATURES, ENCODER, FIVE, diary, build_target=idle, seed=seed)
        orders.append(diary.order)
    assert orders[0] == orders[1] != orders[2]
    assert [seconds for _, seconds in orders[0]] == [0.5] * 5 + [1.0] * 5 + [2.0] * 5
    assert len({tuple(name for name, _ in orders[0][start : start + 5]) for start in (0, 5, 10)}) > 1


def test_sweep_writes_each_record_before_the_next_shape_is_measured(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    class Fragile(Diary):
        def write(self, record: ProfileRecord) -> Path:  # type: ignore[override]
            path = super().write(record)
            if len(self.order) == 2:
                raise Killed
            return path

    with pytest.raises(Killed):
        profile(QUICK, FEATURES, ENCODER, LAYOUTS, Fragile(tmp_path), build_target=idle)
    assert len(Store(tmp_path).profiles()) == 2
    assert profile(QUICK, FEATURES, ENCODER, LAYOUTS, Store(tmp_path), build_target=idle).skipped == 2


def test_a_curve_that_has_ended_is_tried_again_unless_it_is_to_be_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    profile(QUICK, FEATURES, ENCODER, LAYOUTS, store, build_target=crashes_on_retnet)
    left = profile(QUICK, FEATURES, ENCODER, LAYOUTS, store, build_target=idle, again=False)
    assert (left.done, left.skipped) == (0, 9)
    retried = profile(QUICK, FEATURES, ENCODER, LAYOUTS, store, build_target=idle)
    assert (retried.done, retried.skipped) == (2, 7)


def test_on_fla_only_systems_whose_kernels_were_found_right_are_timed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sweep, "check", lambda profiling: None)
    monkeypatch.setattr(sweep, "decided", lambda store: frozenset({"head_gate"}))
    profiling = QUICK.model_copy(update={"backends": ("fla",), "seconds": (0.5,)})
    profile(profiling, FEATURES, ENCODER, LAYOUTS, Store(tmp_path), build_target=idle)
    records = by_layout(Store(tmp_path))
    found = {layout: (record.status, record.shape.backend) for (layout, _), record in records.items()}
    assert found == {"softmax": ("ok", "torch"), "retnet": ("ok", "fla"), "kda": ("failed", "fla")}
    assert records["kda", 0.5].reason.startswith("fla's delta_rule was not found right on this GPU")
