"""The latency meter, on callables whose times are known because the clock is ours."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from torch.utils.benchmark import Timer

from bench.measuring.latency import MAX_SAMPLES, Latency, Watch, sample_in_turns, sample_latency


class Clock:
    """A clock that moves only when the timed callable says how long it took."""

    def __init__(self, durations_s: Iterable[float]) -> None:
        self.now = 100.0
        self.calls = 0
        self.durations: Iterator[float] = iter(durations_s)

    def __call__(self) -> float:
        return self.now

    def run(self) -> None:
        self.now += next(self.durations)
        self.calls += 1


def forever(draw: Callable[[], float]) -> Iterator[float]:
    while True:
        yield draw()


def measured(
    durations_s: Iterable[float], watch: Watch | None = None, **settings: float
) -> tuple[Latency, Clock]:
    clock = Clock(durations_s)
    return sample_latency(clock.run, clock=clock, watch=watch, **settings), clock  # type: ignore[arg-type]


def test_known_time_is_measured_to_the_nanosecond() -> None:
    latency, _ = measured(forever(lambda: 0.25))
    assert latency.median == pytest.approx(250.0, abs=1e-6)
    assert (latency.low, latency.high) == (latency.median, latency.median)


def test_sleep_of_known_length_is_seen_on_the_real_clock() -> None:
    latency = sample_latency(lambda: time.sleep(0.005), min_samples=6, time_limit_s=0.1)
    assert min(latency.samples_ms) >= 5.0


def test_steady_callable_converges_within_a_few_samples_of_the_least_number() -> None:
    latency, _ = measured(forever(lambda: 0.001), min_samples=20)
    assert latency.converged
    assert 20 <= len(latency.samples_ms) <= 25


def test_median_agrees_with_numpy() -> None:
    noise = np.random.default_rng(0)
    latency, _ = measured(forever(lambda: noise.lognormal(-7, 0.3)), time_limit_s=0.3)
    assert latency.median == pytest.approx(np.median(latency.samples_ms), rel=1e-12)


def test_slow_first_calls_are_warm_up_and_no_samples() -> None:
    latency, clock = measured([0.5, 0.02, 0.004, *[0.001] * 500], time_limit_s=10.0)
    assert max(latency.samples_ms) == pytest.approx(1.0)
    assert clock.calls > len(latency.samples_ms)


def test_warm_up_that_never_ends_stops_at_its_share_of_the_limit() -> None:
    ever_faster = (0.9**n for n in range(10_000))
    latency, _ = measured(ever_faster, time_limit_s=4.0)
    assert latency.samples_ms[0] > 100.0  # 0.9²² s: warm-up ended while the times still fell


def test_callable_that_slows_down_is_never_called_warm_nor_its_median_known() -> None:
    ever_slower = (0.001 * 1.02**n for n in range(10_000))
    latency, _ = measured(ever_slower, time_limit_s=4.0)
    assert not latency.warm
    assert not latency.converged
    assert latency.drift > 0.03


def test_callable_that_slows_down_after_the_warm_up_is_warm_but_its_median_not_known() -> None:
    later = [0.001] * 6 + [0.001 * 1.01**n for n in range(500)]
    latency, _ = measured(later, time_limit_s=0.5)
    assert latency.warm
    assert not latency.converged
    assert latency.drift > 0.03


def test_steady_callable_is_warm_after_six_calls() -> None:
    latency, clock = measured(forever(lambda: 0.001))
    assert latency.warm
    assert latency.drift == 0.0
    assert clock.calls == len(latency.samples_ms) + 6


def test_time_limit_ends_sampling_without_convergence() -> None:
    noise = np.random.default_rng(1)
    latency, clock = measured(forever(lambda: noise.uniform(0.05, 0.15)), time_limit_s=2.0)
    assert not latency.converged
    assert sum(latency.samples_ms) == pytest.approx(2_000, abs=160)
    assert clock.now - 100 < 2.0 * 1.25 + 0.3


def test_limit_waits_for_an_interval_where_calls_are_shorter_than_it() -> None:
    latency, _ = measured(forever(lambda: 1.9), time_limit_s=2.0)
    assert len(latency.samples_ms) == 6
    assert (latency.low, latency.high) == (pytest.approx(1_900.0), pytest.approx(1_900.0))
    assert not latency.converged


def test_single_call_far_beyond_the_limit_is_kept_without_an_interval() -> None:
    latency, clock = measured(forever(lambda: 13.0), time_limit_s=2.0)
    assert len(latency.samples_ms) == 1
    assert latency.median == pytest.approx(13_000.0)
    assert (latency.low, latency.high, latency.converged) == (None, None, False)
    assert clock.calls == 2


def test_two_equally_likely_times_never_count_as_converged() -> None:
    coin = np.random.default_rng(2)
    latency, _ = measured(forever(lambda: coin.choice([0.001, 0.002])), time_limit_s=0.5)
    assert not latency.converged
    assert latency.low == pytest.approx(1.0)
    assert latency.high == pytest.approx(2.0)


def test_rare_slow_mode_leaves_the_median_in_the_fast_one() -> None:
    coin = np.random.default_rng(3)
    latency, _ = measured(forever(lambda: coin.choice([0.001, 0.005], p=[0.8, 0.2])))
    assert latency.converged
    assert latency.median == pytest.approx(1.0)


def test_slow_drift_is_not_mistaken_for_a_known_median() -> None:
    drifting = (0.001 * (1 + 0.005 * n) for n in range(100_000))
    latency, _ = measured(drifting, time_limit_s=1.0, relative_interval=0.03)
    assert not latency.converged


def test_quantiles_agree_with_numpy() -> None:
    noise = np.random.default_rng(8)
    latency, _ = measured(forever(lambda: noise.lognormal(-7, 0.3)), time_limit_s=0.3)
    expected = np.quantile(latency.samples_ms, [0.2, 0.8, 0.95])
    assert (latency.p20, latency.p80, latency.p95) == pytest.approx(tuple(expected), rel=1e-12)


def test_samples_never_exceed_what_a_record_keeps() -> None:
    noise = np.random.default_rng(4)
    latency, _ = measured(forever(lambda: noise.uniform(1e-6, 1e-3)), time_limit_s=60.0)
    assert len(latency.samples_ms) == MAX_SAMPLES
    assert not latency.converged


def test_garbage_collector_is_off_while_sampling_and_back_on_after() -> None:
    seen = []
    sample_latency(lambda: seen.append(gc.isenabled()), time_limit_s=0.01)
    assert not any(seen)
    assert gc.isenabled()


def test_garbage_collector_is_back_on_after_a_failing_callable() -> None:
    with pytest.raises(ZeroDivisionError):
        sample_latency(lambda: 1 / 0)
    assert gc.isenabled()


# Disturbed samples


class Stretches:
    """A watch that finds what it is told to, stretch by stretch, and nothing after that."""

    def __init__(self, *found: tuple[str, ...]) -> None:
        self.found = iter([(), *found])
        self.asked = 0

    def __call__(self) -> tuple[str, ...]:
        self.asked += 1
        return next(self.found, ())


def test_disturbed_samples_are_kept_marked_and_left_out_of_the_median() -> None:
    clock = Clock([0.001] * 106 + [0.002] * 50 + [0.001] * 800)  # 6 of warm-up
    calls_seen = 0

    def watch() -> tuple[str, ...]:
        nonlocal calls_seen
        slow = calls_seen < 156 and clock.calls > 106
        calls_seen = clock.calls
        return ("other load",) if slow else ()

    latency = sample_latency(clock.run, clock=clock, watch=watch, min_samples=400)
    marked = [sample for sample, mark in zip(latency.samples_ms, latency.disturbed, strict=True) if mark]
    assert len(latency.samples_ms) >= 400
    assert latency.samples_ms.count(2.0) == marked.count(2.0) == 50
    assert len(marked) < 250
    assert latency.disturbances == ("other load",)
    assert (latency.median, latency.p95, latency.median_over) == (1.0, 1.0, "undisturbed")
    assert latency.converged


def test_median_is_over_all_samples_where_too_few_are_undisturbed() -> None:
    watch = Stretches(*[("stolen",)] * 1_000)
    latency, _ = measured([0.001] * 7 + [0.002] * 2_000, watch, time_limit_s=0.5)
    assert all(latency.disturbed)
    assert latency.trusted == latency.samples_ms
    assert (latency.median, latency.median_over) == (2.0, "all")


def test_undisturbed_samples_speak_alone_from_a_quarter_of_all_on() -> None:
    samples = (1.0,) * 10 + (2.0,) * 30
    marks = (False,) * 10 + (True,) * 30
    quarter = Latency(samples, 1.0, 1.0, 1.0, True, disturbed=marks)
    fewer = Latency((*samples, 2.0), 1.0, 1.0, 1.0, True, disturbed=(*marks, True))
    assert (set(quarter.trusted), quarter.median_over) == ({1.0}, "undisturbed")
    assert (set(fewer.trusted), fewer.median_over) == ({1.0, 2.0}, "all")


def test_samples_that_nobody_watched_are_not_called_undisturbed() -> None:
    latency, _ = measured(forever(lambda: 0.001))
    assert (latency.disturbed, latency.disturbances, latency.median_over) == ((), (), "all")


def test_every_sample_is_marked_or_not_also_those_after_the_last_full_stretch() -> None:
    noise = np.random.default_rng(9)
    latency, _ = measured(
        forever(lambda: noise.uniform(0.001, 0.003)), Stretches(("a",), (), ("b",)), time_limit_s=0.33
    )
    assert len(latency.disturbed) == len(latency.samples_ms)
    assert latency.disturbed[0]
    assert not latency.disturbed[-1]
    assert latency.disturbances == ("a", "b")


def test_median_is_called_known_only_after_the_machine_was_asked() -> None:
    watch = Stretches(("other load",))
    latency, _ = measured(forever(lambda: 0.001), watch)
    assert watch.asked >= 2
    assert any(latency.disturbed)


def test_watch_that_is_slow_to_answer_is_asked_seldom() -> None:
    noise = np.random.default_rng(10)
    clock = Clock(forever(lambda: noise.uniform(0.001, 0.003)))
    watch = Stretches()

    def slow() -> tuple[str, ...]:
        clock.now += 0.01
        return watch()

    sample_latency(clock.run, clock=clock, watch=slow, time_limit_s=4.0)
    assert watch.asked <= 2 + 4.0 / (0.01 / 0.005)


def test_disturbance_in_a_round_falls_on_all_that_are_compared() -> None:
    clock = Clock(forever(lambda: 0.001))
    ours, theirs = sample_in_turns(
        [clock.run, clock.run], clock=clock, watch=Stretches(("other load",)), min_samples=100
    )
    assert any(ours.disturbed)
    assert ours.disturbed == theirs.disturbed


def test_what_comes_before_a_call_is_not_timed() -> None:
    clock = Clock(forever(lambda: 0.001))
    calls: list[float] = []

    def before() -> None:
        clock.now += 0.5
        calls.append(clock.now)

    latency = sample_latency(clock.run, clock=clock, watch=None, before=before, time_limit_s=100.0)
    assert set(latency.samples_ms) == {1.0}
    assert len(calls) == clock.calls


# Beside another meter


def test_median_agrees_with_torch_utils_benchmark_within_three_percent() -> None:
    """Both read the thread's processor time, which other load on the machine does not lengthen."""

    def busy() -> None:
        end = time.thread_time() + 0.002
        while time.thread_time() < end:
            pass

    ours = sample_latency(busy, clock=time.thread_time, time_limit_s=0.3)
    theirs = Timer("busy()", timer=time.thread_time, globals={"busy": busy}).blocked_autorange(
        min_run_time=0.3
    )
    assert ours.median == pytest.approx(1e3 * theirs.median, rel=0.03)


def test_meter_imports_no_torch() -> None:
    script = "import sys, bench.measuring.latency, bench.measuring.energy; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
