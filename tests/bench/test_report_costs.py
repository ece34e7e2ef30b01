"""The cost curves as a table and as figures: derived numbers, regimes apart, the control and the ceilings."""

from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest
import report_fixtures as fixtures

from bench.config import Profiling, System
from bench.evidence.records import Ceilings, Control, SweepRecord, SweepSetting
from bench.evidence.store import Store
from bench.report import curve_table, figures, write_report
from bench.report.sweeps import ceilings_of, note, sentences, summary
from bench.report.tables import every_profile, profile_table

LENGTHS = (1.0, 4.0, 16.0, 64.0)


def profile(law_ms, layout="softmax", seconds=10.0, target="mixer", count=21, **changes):
    """A record whose samples spread by 1 % around a known time; `changes` are of its shape or of itself."""
    record = fixtures.profile_record(layout, target, seconds)
    of_shape = {name: changes.pop(name) for name in list(changes) if name in type(record.shape).model_fields}
    shape = record.shape.model_copy(update=of_shape)
    samples = law_ms(seconds) * (1 + 0.01 * np.linspace(-1, 1, count))
    times = {"samples_ms": tuple(samples.tolist()), "median_ms": law_ms(seconds)}
    times |= {"median_low_ms": samples[5], "median_high_ms": samples[-6]}
    return record.model_copy(update={"id": shape.id, "shape": shape, **times, **changes})


def swept(ratio=1.004, error=0.03, flops=1e10, started="2025-01-01T00:00:00+00:00", **control):
    shape = fixtures.profile_record("softmax", "mixer", 10.0).shape
    setting = SweepSetting(
        profiling=Profiling(),
        features=shape.features,
        encoder=shape.encoder,
        layouts=("softmax",),
        device=fixtures.CPU.device,
        started=started,
    )
    fields = {
        "shape": shape,
        "label": fixtures.label_of("softmax"),
        "status": "ok",
        "ratio": ratio,
        "error": error,
    }
    return SweepRecord(
        id=setting.id,
        setting=setting,
        ceilings=Ceilings(flops_per_s={"float32": flops}, copy_bytes_per_s=8e9),
        control=Control(**(fields | control)),
        environment=fixtures.CPU,
    )


@pytest.fixture
def store(tmp_path):
    """Softmax and its unfused twin quadratic, RetNet linear: 2 n = n²/8 at 16 s, = n²/2 at 4 s."""
    store = Store(tmp_path)
    for seconds in LENGTHS:
        store.write(profile(lambda n: n**2 / 8, "softmax", seconds))
        store.write(profile(lambda n: n**2 / 2, "softmax_unfused", seconds))
        store.write(profile(lambda n: 2.0 * n, "retnet", seconds, flops=10**6, peak_bytes=int(1e6 * seconds)))
    return store


def row(store, layout="retnet"):
    table = curve_table.curves(every_profile(store))
    return table[table["layout"] == layout].iloc[0]


def test_growth_and_crossovers_are_those_of_the_laws(store):
    found = row(store)
    assert found["growth"] == pytest.approx(1.0, abs=1e-6)
    assert found["growth_low"] < 1.0 < found["growth_high"]
    assert found["faster_than_softmax_s"] == pytest.approx(16.0)
    assert found["faster_than_unfused_s"] == pytest.approx(4.0)
    assert found["faster_than_softmax_s_low"] <= 16.0 <= found["faster_than_softmax_s_high"]
    softmax = row(store, "softmax")
    assert np.isnan(softmax["faster_than_softmax_s"])
    assert softmax["faster_than_unfused_s"] == 1.0
    assert math.isinf(row(store, "softmax_unfused")["faster_than_softmax_s"])


def test_curves_stand_in_the_order_of_the_systems_wherever_they_begin(tmp_path):
    store = Store(tmp_path)
    for layout, lengths in (("gsa", (16.0, 64.0)), ("retnet", (4.0, 16.0)), ("softmax", (1.0, 16.0))):
        for seconds in lengths:
            store.write(profile(lambda t: t, layout, seconds))
    assert curve_table.curves(every_profile(store))["layout"].tolist() == ["gsa", "retnet", "softmax"]


def test_costs_at_the_longest_length_follow_from_the_record(store):
    store.write(swept(flops=2e9))
    found = row(store)
    assert found["longest_s"] == 64.0
    assert found["rtf"] == pytest.approx(0.128 / 64)
    assert found["bytes_per_minute"] == pytest.approx(6e7)
    assert found["ceiling_share"] == pytest.approx(1e6 / 0.128 / 2e9)


def test_too_few_samples_give_no_interval(store):
    record = profile(lambda n: 2.0 * n, "retnet", 64.0)
    store.write(record.model_copy(update={"samples_ms": (128.0,)}))
    found = row(store)
    assert found["growth"] == pytest.approx(1.0, abs=1e-6)
    assert np.isnan(found["growth_low"])
    assert np.isnan(found["faster_than_softmax_s_high"])


def test_disturbed_samples_take_no_part_in_growth(store):
    record = next(r for r in store.profiles() if r.shape.seconds == LENGTHS[-1])
    calm = record.samples_ms
    marked = {"samples_ms": (*calm, 1e6, 1e6), "disturbed": (*(False,) * len(calm), True, True)}
    before = row(store, record.shape.system.layout)
    store.write(record.model_copy(update={**marked, "median_over": "undisturbed"}))
    assert row(store, record.shape.system.layout)["growth_high"] == before["growth_high"]


def test_an_utterance_of_a_throughput_batch_is_what_is_compared(store):
    store.write(profile(lambda n: 80.0, "retnet", 10.0, batch="throughput"))  # no batch was found
    with_batch = profile(lambda n: 80.0, "softmax", 10.0, batch="throughput").model_copy(update={"batch": 8})
    store.write(with_batch)
    table = every_profile(store).query(
        "regime == 'an utterance at the fastest batch' and layout == 'softmax'"
    )
    (found,) = (each for _, each in table.iterrows())
    assert found["median_ms"] == pytest.approx(10.0)
    assert found["batch"] == 8
    assert found["samples_ms"][10] == pytest.approx(10.0)
    assert found["rtf"] == pytest.approx(0.08 / 80)


def test_regimes_stand_apart_and_the_leaderboard_sees_the_plain_one_alone(store):
    for seconds in LENGTHS:
        store.write(profile(lambda n: 7.0 * n, "retnet", seconds, work="training"))
        store.write(profile(lambda n: 9.0 * n, "retnet", seconds, engine="onnx-int8"))
    store.write(profile(lambda n: 5.0, "retnet", 8.0, utterances_s=(8.0, 4.0), batch=2, drawn_from="ravdess"))
    regimes = {"", "forward and backward", "ONNX Runtime, int8", "ragged batch of 2 (ravdess)"}
    assert set(every_profile(store)["regime"]) == regimes
    assert set(profile_table(store)["regime"]) == {""}
    ragged = every_profile(store).query("batch == 2").iloc[0]
    assert ragged["call_s"] == 12.0
    names = [name for name, _ in figures.draw_regimes(every_profile(store))]
    device = fixtures.CPU.device.lower().replace(" ", "-")
    assert sorted(names) == sorted(
        f"{kind}-{regime}-{device}"
        for regime in ("onnx-runtime-int8", "forward-and-backward")
        for kind in ("latency", "memory")
    )


def test_a_streams_figure_shows_the_state_that_it_keeps(tmp_path):
    store = Store(tmp_path)
    for heard in (60.0, 600.0):
        for layout, kept in (("softmax", 1000), ("retnet", 4000)):
            causal = System(layout=layout, direction="causal")
            fields = {
                "work": "frame",
                "system": causal,
                "state_bytes": int(kept * (heard if kept == 1000 else 1)),
            }
            store.write(profile(lambda n: 0.1, layout, heard, **fields))
    drawn = dict(figures.draw_regimes(every_profile(store)))
    assert len(drawn) == 2
    memory = next(figure for name, figure in drawn.items() if name.startswith("memory"))
    text = " ".join(each.get_text() for each in memory.texts).replace("\n", " ")
    assert "State that a causal stream keeps, one frame of a stream, against speech heard before" in text
    assert "At 10 min of speech RetNet, causal keeps the least; softmax keeps 150× as much." in text


def test_labels_carry_the_exponent_and_the_crossover_and_a_ring_marks_it(store):
    (axes,) = dict(figures.draw(pd.DataFrame(), profile_table(store)))["latency"].axes
    labels = {text.get_text() for text in axes.texts}
    assert labels == {"Softmax  T²·⁰⁰", "Softmax (unfused)  T²·⁰⁰", "RetNet  T¹·⁰⁰  from 16 s"}
    rings = [line for line in axes.lines if line.get_marker() == "o" and line.get_markersize() == 8]
    assert [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in rings] == [
        (pytest.approx(16.0), pytest.approx(32.0))
    ]


def test_a_curve_out_of_memory_is_crossed_where_it_ends(store):
    record = profile(lambda n: n**2, "softmax_unfused", 64.0)
    nothing = {"median_ms": None, "median_low_ms": None, "median_high_ms": None, "samples_ms": ()}
    store.write(record.model_copy(update={"status": "oom", "reason": "x y", "peak_bytes": None, **nothing}))
    (axes,) = dict(figures.draw(pd.DataFrame(), profile_table(store)))["latency"].axes
    crosses = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "x"]
    assert crosses == [16.0]
    assert row(store, "softmax_unfused")["ended"] == "out of memory at 64 s: x y"


def test_the_control_and_the_ceilings_are_said(store):
    store.write(swept())
    store.write(swept(ratio=1.2, started="2025-01-02T00:00:00+00:00", flops=3e10))
    assert sentences(swept()) == [
        "A/A control: Softmax, 10 s, measured twice: ratio 1.004, within the stated error of 3 %",
        "Ceilings: matrix product 10 Gflop/s (float32); copy 8 GB/s",
    ]
    assert "beyond the stated error" in sentences(swept(ratio=1.2))[0]
    (line,) = summary(store.sweeps())
    assert "A/A controls of 2 sweeps: ratios 1.004 to 1.200, 1 within the stated error" in line
    assert "30 Gflop/s" in line
    (highest,) = ceilings_of(store.sweeps()).values()
    assert highest.flops_per_s == {"float32": 3e10}
    write_report(store.root)
    assert line in (store.root / "costs.md").read_text()


def test_a_failed_control_says_why():
    failed = swept(ratio=None, error=None, status="failed", reason="no answer within 60 s")
    assert sentences(failed)[0].endswith("measured twice: failed (no answer within 60 s)")


def test_the_leaderboard_ends_with_how_costs_were_measured(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ["softmax", "retnet"], folds=(0, 1))
    fixtures.write_profiles(store, ["softmax", "retnet"], seconds=(10.0, 60.0))
    write_report(tmp_path)
    before = (tmp_path / "leaderboard.md").read_text()
    store.write(swept())
    write_report(tmp_path)
    assert (tmp_path / "leaderboard.md").read_text() == before + note(store.sweeps())
    assert "ratio 1.004, within the stated error of 3 %" in note(store.sweeps())


def test_the_csv_holds_the_same_rows(store):
    table = curve_table.curves(every_profile(store))
    read = pd.read_csv(io.StringIO(curve_table.csv(table)), keep_default_na=False, na_values=[""])
    assert read["layout"].tolist() == table["layout"].tolist()
    assert read["rtf"].tolist() == pytest.approx(table["rtf"].tolist(), rel=1e-5)
