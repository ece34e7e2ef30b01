"""The op benchmark: its arithmetic, its frame loops, its record, its table and its figure."""

from __future__ import annotations

import io
import json
import math
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
import torch
from rich.console import Console

from bench.cli import run_command
from bench.config import OpName, OpShape
from bench.errors import SuiteError
from bench.evidence import growth
from bench.evidence.records import Environment, OpComparison, OpMemory, OpRecord, OpSetting, OpTiming
from bench.evidence.store import Store
from bench.measuring import loops, op_targets
from bench.measuring.latency import sample_in_turns
from bench.measuring.ops import comparisons, growth_lengths, lengths_weighed
from bench.report import figures, op_readings, op_table, write_report

OPS = get_args(OpName)
LENGTHS = (128, 512, 2048, 8192)
TINY = OpShape(
    ops=("scalar_gate", "fox"),
    frames=24,
    crossover=(8, 24),
    growth=(16, 32),
    num_heads=2,
    head_dim=4,
    threads=1,
)
HERE = Environment(
    device="AMD EPYC 7R13",
    device_kind="cpu",
    cores=2,
    threads=2,
    memory_bytes=16 * 10**9,
    operating_system="Linux 6.1",
    python="3.11.9",
    packages={"torch": "2.13"},
)

# Growth: curves whose exponents and crossings are known


@pytest.mark.parametrize("power", [0.0, 1.0, 1.05, 2.0])
def test_the_exponent_of_a_power_law_is_its_power(power: float) -> None:
    curve = {n: 3.7 * n**power for n in LENGTHS}
    assert growth.exponent(curve) == pytest.approx(power, abs=1e-12)
    assert growth.slope(curve) == pytest.approx(power, abs=1e-12)


def test_the_exponent_reads_the_ends_and_the_slope_all_points() -> None:
    curve = {1: 1.0, 10: 1000.0, 100: 100.0}
    assert growth.exponent(curve) == pytest.approx(1.0)
    assert growth.slope({1: 1.0, 10: 10.0, 100: 10.0}) == pytest.approx(0.5)


@pytest.mark.parametrize("crossing", [200.0, 512.0, 1234.5, 8000.0])
def test_power_laws_cross_where_algebra_says(crossing: float) -> None:
    linear = {n: float(n) for n in LENGTHS}
    quadratic = {n: n**2 / crossing for n in LENGTHS}
    assert growth.crossover(linear, quadratic) == pytest.approx(crossing)


def test_a_curve_that_is_never_faster_has_no_crossover() -> None:
    assert growth.crossover({n: 2.0 for n in LENGTHS}, {n: 1.0 for n in LENGTHS}) is None


def test_a_curve_that_is_always_faster_crosses_at_the_shortest_length_or_below() -> None:
    assert growth.crossover({n: 1.0 for n in LENGTHS}, {n: 2.0 for n in LENGTHS}) == 128


def test_a_lead_that_is_lost_again_does_not_count() -> None:
    ours, theirs = {1: 1.0, 10: 2.0, 100: 1.0}, {1: 2.0, 10: 1.0, 100: 2.0}
    assert growth.crossover(ours, theirs) == pytest.approx(math.sqrt(1000))


# Timing in turns


class Stage:
    """Callables that take the time on a list, and the order in which they were called."""

    def __init__(self) -> None:
        self.now, self.order = 0.0, ""

    def actor(self, name: str, seconds: float):
        def run() -> None:
            self.now += seconds * (1 + self.now)  # the machine gets slower and slower
            self.order += name

        return run


def test_samples_of_a_comparison_are_taken_in_turns_back_and_forth() -> None:
    stage = Stage()
    runs = [stage.actor("a", 1e-6), stage.actor("b", 2e-6)]
    sample_in_turns(runs, min_samples=6, max_samples=6, clock=lambda: stage.now, watch=None)
    assert stage.order.endswith("abbaabbaabba")


def test_drift_falls_on_both_sides_of_a_ratio() -> None:
    stage = Stage()
    runs = [stage.actor("a", 0.02), stage.actor("b", 0.06)]
    ours, theirs = sample_in_turns(
        runs, min_samples=40, max_samples=40, time_limit_s=1e9, clock=lambda: stage.now, watch=None
    )
    assert max(ours.samples_ms) > 5 * min(ours.samples_ms)
    assert theirs.median / ours.median == pytest.approx(3.0, rel=0.03)


# The loops: the baseline computes what the op computes


@pytest.mark.parametrize("name", OPS)
def test_the_frame_loop_equals_the_op_in_float64(name: OpName) -> None:
    op = op_targets.OPS[name]
    shape = OpShape(num_heads=3, head_dim=5)
    inputs = op_targets.draw(op, 75, shape, torch.float64)
    expected = op.run(*inputs)
    torch.testing.assert_close(op.loop(*inputs), expected, rtol=1e-10, atol=1e-12)
    if op.linear:
        in_place = partial(op.loop, update=loops.in_place)
        torch.testing.assert_close(in_place(*inputs), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", OPS)
def test_flas_reference_is_timed_on_the_same_numbers(name: OpName) -> None:
    if op_targets.reference_path(name) is None:
        pytest.skip("fla-core is not installed")
    op = op_targets.OPS[name]
    inputs = op_targets.draw(op, 40, OpShape(num_heads=2, head_dim=6))
    theirs = op_targets.reference(name)(*inputs)
    theirs = theirs[0] if isinstance(theirs, tuple) else theirs
    torch.testing.assert_close(op.run(*inputs), theirs, rtol=1e-5, atol=1e-5)


def test_training_is_timed_with_the_gradient_of_every_input() -> None:
    gradients = op_targets.call("kda", "training", 9, TINY)()
    assert isinstance(gradients, tuple)
    assert [tuple(gradient.shape) for gradient in gradients] == [*[(1, 9, 2, 4)] * 4, (1, 9, 2)]
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


# The plan


def test_quadratic_ops_go_no_further_than_beside_softmax() -> None:
    assert growth_lengths("kda", OpShape()) == [2048, 4096, 8192, 16384, 32768]
    assert growth_lengths("fox", OpShape()) == [2048, 4096, 8192]
    assert {job.frames for job in lengths_weighed(OpShape(ops=("fox",)))} == {2048, 8192}


def test_without_fla_there_is_no_reference_to_time_and_the_table_says_so(monkeypatch) -> None:
    monkeypatch.setattr(op_targets.importlib.util, "find_spec", lambda name: None)
    assert "reference" not in {job.against for job in comparisons(TINY)}
    with pytest.raises(ValueError, match="need fla-core"):
        op_targets.reference("kda")
    notes = {row.note for row in op_table.rows(invented(reference=False)) if "fla" in row.question}
    assert notes == {"fla-core is not installed"}


# Invented records: every op costs per_frame · T, fused softmax 0.01 µs · T²

PER_FRAME_US = {"scalar_gate": 4.0, "channel_gate": 7.0, "kda": 20.0, "gsa": 30.0}
QUADRATIC_US = {"softmax": 0.01, "fox": 0.025}


def op_ms(op: str, frames: int) -> float:
    return (QUADRATIC_US[op] * frames**2 if op in QUADRATIC_US else PER_FRAME_US[op] * frames) / 1e3


def timing(run, frames: int, median_ms: float) -> OpTiming:
    return OpTiming(run=run, frames=frames, samples_ms=(median_ms,) * 6, median_ms=median_ms)


def comparison(op, against, frames: int, other_ms: float) -> OpComparison:
    timings = (timing("op", frames, op_ms(op, frames)), timing(against, frames, other_ms))
    return OpComparison(op=op, against=against, frames=frames, status="ok", timings=timings, converged=True)


def invented(reference: bool = True, shape: OpShape | None = None) -> OpRecord:
    """Loops 10 times as slow as their op, training 3 times as dear, memory that doubles."""
    setting = OpSetting(**(shape or OpShape(threads=2)).model_dump(), device=HERE.device)
    found, memory = [], []
    for op in setting.ops:
        slower = {"loop": 10, "reference": 12, "training": 3}
        if not reference:
            del slower["reference"]
        found += [
            comparison(op, run, setting.frames, ratio * op_ms(op, setting.frames))
            for run, ratio in slower.items()
        ]
        found.append(comparison(op, "loop", setting.frames // 8, 10 * op_ms(op, setting.frames // 8)))
        found += [comparison(op, "softmax", n, op_ms("softmax", n)) for n in setting.crossover]
        lengths = growth_lengths(op, setting)
        timings = tuple(timing("op", n, op_ms(op, n)) for n in lengths)
        found.append(
            OpComparison(
                op=op, against="growth", frames=lengths[-1], status="ok", timings=timings, converged=True
            )
        )
        memory += [
            OpMemory(op=op, frames=n, status="ok", peak_bytes=size * 10**6)
            for n, size in ((lengths[0], 3), (lengths[-1], 6))
        ]
    return OpRecord(
        id=setting.id, setting=setting, comparisons=tuple(found), memory=tuple(memory), environment=HERE
    )


def row(record: OpRecord, question: str, op: str) -> op_table.Row:
    (found,) = (row for row in op_table.rows(record) if question in row.question and row.op == op)
    return found


@pytest.mark.parametrize(
    ("question", "op", "measured", "met"),
    [
        ("naive recurrence", "scalar_gate", "12.00×", False),
        ("naive recurrence", "channel_gate", "12.00×", True),
        ("naive recurrence", "gsa", "12.00×", None),
        ("leanest loop", "kda", "10.00×", None),
        ("speed-up over fused softmax", "scalar_gate", "10.24×", True),
        ("speed-up over fused softmax", "channel_gate", "5.85×", False),
        ("overtakes", "scalar_gate", "400", True),
        ("overtakes", "kda", "2,000", True),
        ("overtakes", "fox", "none up to 8,192", None),
        ("exponent", "gsa", "1.000", True),
        ("exponent", "fox", "2.000", None),
        ("peak memory", "kda", "2.00×", True),
        ("backward", "fox", "3.00×", True),
    ],
)
def test_the_table_says_what_arithmetic_says_and_judges_it(question, op, measured, met) -> None:
    found = row(invented(), question, op)
    assert (found.measured, found.met) == (measured, met)


def test_other_sizes_are_measured_without_a_target() -> None:
    record = invented(shape=OpShape(head_dim=32, threads=2))
    assert {(row.target, row.met) for row in op_table.rows(record)} == {("", None)}
    assert op_table.verdict(record) == "no targets at this size"


def test_a_comparison_that_ran_out_of_memory_is_a_row_with_its_reason() -> None:
    record = invented()
    dead = OpComparison(op="kda", against="growth", frames=32768, status="oom", reason="9 GB", timings=())
    others = tuple(c for c in record.comparisons if (c.op, c.against) != ("kda", "growth"))
    record = record.model_copy(update={"comparisons": (*others, dead)})
    found = row(record, "exponent", "kda")
    assert (found.met, found.note) == (None, "out of memory at 32,768: 9 GB")
    assert op_table.verdict(record) == "18 of 21 targets met, 1 not measured"


def test_the_terminal_shows_every_row_and_the_count_of_targets_met() -> None:
    console = Console(width=200, file=io.StringIO())
    record = invented()
    console.print(op_table.table(record))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(found.measured in shown for found in op_table.rows(record))
    assert op_table.verdict(record) in shown
    assert "AMD EPYC 7R13, 2 threads" in shown


# On disk


def test_the_record_survives_the_disk(tmp_path: Path) -> None:
    store, record = Store(tmp_path), invented()
    assert store.write(record) == tmp_path / "ops" / f"{record.id}.json"
    assert store.ops() == [record]


def test_a_cut_record_stops_the_report_with_its_path(tmp_path: Path) -> None:
    path = Store(tmp_path).write(invented())
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(SuiteError, match=path.name):
        write_report(tmp_path)


def test_a_bad_field_is_named(tmp_path: Path) -> None:
    path = Store(tmp_path).write(invented())
    content = json.loads(path.read_text())
    content["comparisons"][2]["timings"][1]["median_ms"] = 0
    path.write_text(json.dumps(content))
    with pytest.raises(SuiteError, match=r"comparisons\.2\.timings\.1\.median_ms"):
        Store(tmp_path).ops()


def test_an_ok_comparison_without_its_timings_is_refused(tmp_path: Path) -> None:
    path = Store(tmp_path).write(invented())
    content = json.loads(path.read_text())
    content["comparisons"][0]["timings"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(SuiteError, match=r"comparisons\.0: .*at least two timings"):
        Store(tmp_path).ops()


# The figure


def test_the_report_draws_the_record_and_a_second_time_the_same_bytes(tmp_path: Path) -> None:
    Store(tmp_path).write(invented())
    written = write_report(tmp_path)
    assert [path.name for path in written] == ["ops.png", "ops.pdf", "ops.svg"]
    first = [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in write_report(tmp_path)] == first


def test_the_figure_labels_each_line_with_its_exponent_and_crossover() -> None:
    ((_, figure),) = figures.draw_ops([invented()])
    (axes,) = figure.axes
    shown = {text.get_text() for text in axes.texts}
    assert shown == {
        "Scalar gate, exponent 1.00, faster from 400",
        "Channel gate, exponent 1.00, faster from 700",
        "KDA, exponent 1.00, faster from 2,000",
        "GSA, exponent 1.00, faster from 3,000",
        "FoX, exponent 2.00",
        "Fused softmax",
    }
    assert figure.texts[0].get_text().replace("\n", " ") == (
        "At 4,096 frames 4 of 5 ops are faster than fused softmax, from GSA 1.4× to Scalar gate 10×."
    )


def test_a_line_shows_the_times_that_were_taken_beside_softmax() -> None:
    record = invented()
    others = tuple(c for c in record.comparisons if c.against != "growth")
    disturbed = [timing("op", n, 99.0) for n in (4096, 32768)]
    growing = OpComparison(
        op="kda", against="growth", frames=32768, status="ok", timings=tuple(disturbed), converged=True
    )
    times = op_readings.curve(record.model_copy(update={"comparisons": (growing, *others)}), "kda", "op")
    assert (times[4096], times[32768]) == (pytest.approx(op_ms("kda", 4096)), 99.0)


def test_labels_of_the_figure_do_not_overlap_and_stay_on_the_page() -> None:
    ((_, figure),) = figures.draw_ops([invented()])
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    for index, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert not any(box.overlaps(other) for other in boxes[:index])


def test_another_machine_gets_a_figure_of_its_own() -> None:
    there = invented()
    setting = there.setting.model_copy(update={"device": "Intel Xeon"})
    names = [
        name
        for name, _ in figures.draw_ops([there, there.model_copy(update={"setting": setting, "id": "zz"})])
    ]
    assert names[0] == "ops"
    assert names[1].startswith("ops-")


# The whole thing, very small


def test_profile_ops_measures_writes_and_draws(tmp_path: Path, capsys) -> None:
    sizes = "--frames 24 --crossover 24 8 --growth 16 32 --num-heads 2 --head-dim 4 --threads 1"
    sizes += " --ops scalar_gate fox"
    arguments = ["profile", "ops", *sizes.split(), "--time-limit-s", "0.01", "--results", str(tmp_path)]
    assert run_command(arguments) == 0
    (record,) = Store(tmp_path).ops()
    assert (record.setting.crossover, record.environment.threads) == ((8, 24), 1)
    assert {found.status for found in (*record.comparisons, *record.memory)} == {"ok"}
    assert len(record.comparisons) == len(comparisons(TINY))
    assert op_readings.curve(record, "scalar_gate", "op").keys() == {3, 8, 16, 24, 32}
    shown = capsys.readouterr().out
    assert "Scalar gate" in shown
    assert f"{record.id}.json" in shown
    assert (tmp_path / "figures" / "ops.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "named"),
    [("opps", "opps"), ("ops --growth 64 64", "growth"), ("ops --time-limit-s 0", "time_limit_s")],
)
def test_bad_input_ends_with_code_two_and_names_the_fault(capsys, arguments: str, named: str) -> None:
    try:
        code = run_command(["profile", *arguments.split()])
    except SystemExit as ended:
        code = ended.code  # type: ignore[assignment]
    assert code == 2
    assert named in capsys.readouterr().err
