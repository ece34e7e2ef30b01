"""`serbench run gpu`: every cell stands in one slice, a call keeps to its minutes, the next one goes on."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from kernel_fixtures import TINY

from bench import presets
from bench.cli import run_command
from bench.config import Encoder, KernelScope, Plan, Profiling, content_id
from bench.errors import SuiteError
from bench.folders import Folders
from bench.gpu import parts
from bench.gpu.parts import CELL_LIMIT_S, Kernels, Places, Shapes, Steps, Training
from bench.gpu.run import chosen, forecast, run
from bench.gpu.slices import TASKS, Slice, slices
from bench.measuring import environment
from bench.measuring.kernel_cases import cases, kernels_of_layout
from bench.model import layout
from mixers import stock

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(Folders(tmp_path / "results", tmp_path / "cache"), environment.cpu_name())


@pytest.fixture(scope="module")
def planned() -> list[Slice]:
    return slices()


def named(planned: list[Slice], kind: type) -> dict[str, Slice]:
    return {part.name: part for part in planned if isinstance(part.part, kind)}


# Which slices there are


def test_no_cell_stands_in_two_slices(planned: list[Slice], places: Places) -> None:
    measured = [part for part in planned if not isinstance(part.part, Training)]
    counts = Counter(cell for part in measured for cell in part.part.cells(places))
    assert max(counts.values()) == 1
    assert len({part.name for part in planned}) == len(planned)


def test_the_kernel_slices_are_the_whole_check(planned: list[Slice], places: Places) -> None:
    held = [cell for part in named(planned, Kernels).values() for cell in part.part.cells(places)]
    assert sorted(held) == sorted(content_id(case) for case in cases(KernelScope()))


def test_the_published_figure_is_measured_in_both_precisions_on_torch_and_on_fla_to_an_hour(
    planned: list[Slice],
) -> None:
    for dtype in ("float32", "bfloat16"):
        found = set()
        for backend in ("torch", "fla"):
            part = named(planned, Shapes)[f"paper-{dtype}-{backend}"].part
            for curve in part._curves(Places(Folders(Path(), Path()))):  # type: ignore[attr-defined]
                first = curve[0]
                assert {shape.dtype for shape in curve} == {dtype}
                assert [curve[0].seconds, curve[-1].seconds] == [10.0, 3600.0]
                assert first.encoder.d_model == 1024
                found.add((first.target, first.system.layout, first.system.direction, first.backend))
        mixers = [name for name in layout.standard() if " " not in name]
        for direction in ("causal", "bidirectional"):
            for name in (*mixers, "softmax_unfused"):
                assert ("mixer", name, direction, "torch") in found
                runs = bool(kernels_of_layout(name, direction, Encoder()))
                assert (("mixer", name, direction, "fla") in found) == runs
        layers = [system for system in found if system[0] == "fla_layer"]
        assert {(name, direction) for _, name, direction, _ in layers} == {
            (name, "causal") for name in stock.LAYERS
        }


def test_speech_is_measured_eagerly_compiled_as_a_graph_and_in_batches(planned: list[Slice]) -> None:
    found = [part.part.plan for name, part in named(planned, Shapes).items() if name.startswith("speech-")]
    ways = {
        (plan.profiling.engines, plan.profiling.batches, plan.profiling.backends)
        for plan in found
        if isinstance(plan, Plan)
    }
    for backend in ("torch", "fla"):
        for engine, batch in (("eager", 1), ("graph", 1), ("compile", 1), ("eager", "throughput")):
            assert ((engine,), (batch,), (backend,)) in ways
    assert {1000 / plan.features.hop_ms / plan.encoder.subsampling for plan in found} == {
        50.0
    }  # frames a second
    assert {plan.profiling.seconds for plan in found} == {(1.0, 3.0, 10.0, 30.0)}


def test_training_is_measured_at_the_batches_of_both_msp_presets_and_as_whole_steps(
    planned: list[Slice],
) -> None:
    for name in ("controlled", "paper"):
        recipe = presets.build(name).recipe
        for dtype in ("bfloat16", "float32"):
            plan = named(planned, Shapes)[f"training-{name}-{dtype}-torch"].part.plan  # type: ignore[attr-defined]
            assert plan.profiling.batches == (recipe.batch_size,)
            assert plan.profiling.seconds == (recipe.max_train_s,)
            assert plan.profiling.works == ("training",)
    (steps,) = named(planned, Steps).values()
    assert steps.part.shape.batch_size == presets.build("controlled").recipe.batch_size  # type: ignore[attr-defined]


@pytest.mark.corpus
def test_accuracy_is_of_three_seeds_in_both_directions_on_every_fold(
    planned: list[Slice], tmp_path: Path, data_root: Path
) -> None:
    there = Places(Folders(tmp_path, tmp_path, data_root))
    counts = {
        part.part.plan.tasks[0]: len(part.part.cells(there)) for part in named(planned, Training).values()
    }  # type: ignore[attr-defined]
    systems = 2 * len(layout.standard())
    assert counts == {
        "ravdess/luna": 5 * 3 * systems,
        "emodb-as-four/loso": 10 * 3 * systems,
        "ravdess-to-emodb/cross": 3 * systems,
    }
    assert set(counts) == set(TASKS)


def test_the_command_of_an_accuracy_slice_makes_the_plan_whose_cells_it_counts(
    planned: list[Slice], places: Places
) -> None:
    from bench.flags import RunFlags, parse

    for part in named(planned, Training).values():
        words = part.part.command(places)  # type: ignore[attr-defined]
        preset, given = words[4], words[5:]
        flags = parse(RunFlags, "run", given, RunFlags(plan=presets.build(preset)))
        assert flags.plan == part.part.plan  # type: ignore[attr-defined]
        assert not flags.profile
        assert flags.places.results == places.folders.results


# What a call does


@dataclass
class Made:
    """A part of so many cells, each of which takes so long on a clock that is no machine's."""

    cells_left: int
    cell_s: float
    clock: list[float]
    ran: list[float] = field(default_factory=list)
    refuses: str = ""

    def cells(self, places: Places) -> list[str]:
        return self.left(places)

    def left(self, places: Places) -> list[str]:
        if self.refuses:
            raise SuiteError(self.refuses)
        return [str(number) for number in range(self.cells_left)]

    def least_s(self, places: Places) -> float | None:
        return None

    def run(self, places: Places, seconds: float) -> str:
        self.ran.append(seconds)
        started = self.clock[0]
        while self.cells_left and self.clock[0] - started < seconds - CELL_LIMIT_S:
            self.clock[0] += self.cell_s
            self.cells_left -= 1
        return f"{self.cells_left} left"


def test_a_call_keeps_to_its_minutes_and_the_next_one_goes_on(places: Places) -> None:
    clock = [0.0]
    first, second = Made(3, 60.0, clock), Made(10, 60.0, clock)
    parts = [Slice("a", "first", first), Slice("b", "second", second)]
    outcome = run(parts, places, minutes=10, clock=lambda: clock[0])
    assert clock[0] <= 600.0
    assert (first.cells_left, second.cells_left) == (0, 7)
    assert outcome.left == ["b"]
    assert not outcome.finished
    clock[0] = 0.0
    assert run(parts, places, minutes=20, clock=lambda: clock[0]).finished
    assert len(first.ran) == 1  # nothing was left of it


def test_a_slice_that_cannot_run_is_told_and_passed_over(places: Places) -> None:
    clock = [0.0]
    parts = [
        Slice("a", "first", Made(1, 1.0, clock, refuses="no recordings")),
        Slice("b", "second", Made(1, 1.0, clock)),
    ]
    outcome = run(parts, places, minutes=10, clock=lambda: clock[0])
    assert outcome.refused == ["a: no recordings"]
    assert outcome.lines == ["b: 0 left"]
    assert not outcome.finished


def test_slices_are_chosen_by_name_or_by_how_names_begin(planned: list[Slice]) -> None:
    assert [part.name for part in chosen(planned, ["paper-float32"])] == [
        "paper-float32-fla",
        "paper-float32-torch",
    ]
    assert chosen(planned, []) == planned
    with pytest.raises(SuiteError, match="run gpu: no slice 'papers'; there is kernels-op-head_gate"):
        chosen(planned, ["papers"])


def test_kernels_and_shapes_leave_records_and_nothing_is_left_of_them(places: Places) -> None:
    profiling = Profiling(seconds=(0.5, 1.0), targets=("mixer",), time_limit_s=0.02)
    plan = Plan(name="small", tasks=(), layouts=("retnet",), profiling=profiling, encoder=Encoder(d_model=16))
    every = [
        Slice("kernels", "", Kernels(TINY, "op", "head_gate")),
        Slice("shapes", "", Shapes(plan)),
    ]
    (kernels, shapes) = forecast(every, places)
    assert (kernels.cells, kernels.left, kernels.least_s) == (2, 2, None)
    assert (shapes.cells, shapes.left) == (2, 2)
    outcome = run(every, places, minutes=10)
    assert outcome.finished, outcome
    assert outcome.lines[1].startswith("shapes: 2 shapes measured")
    assert [row.left for row in forecast(every, places)] == [0, 0]
    ids = {record.id for record in places.store.profiles()}
    assert ids == set(every[1].part.cells(places))
    assert run(every, places, minutes=10).lines == []


def test_what_has_failed_is_left_alone_until_it_is_asked_for_again(places: Places) -> None:
    plan = Plan(
        name="small",
        tasks=(),
        layouts=("retnet",),
        profiling=Profiling(seconds=(0.5, 1.0), targets=("mixer",), time_limit_s=0.02),
        encoder=Encoder(d_model=16),
    )
    part = Shapes(plan)
    run([Slice("shapes", "", part)], places, minutes=10)
    short, *_ = part._curves(places)[0]
    record = next(record for record in places.store.profiles() if record.id == short.id)
    places.store.write(record.model_copy(update={"status": "failed", "reason": "no answer"}))
    assert part.left(places) == []
    assert part.left(Places(places.folders, places.hardware, again=True)) == [short.id]


def test_a_training_is_interrupted_when_its_time_is_over_and_says_so(
    places: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(parts, "GRACE_S", 5.0)
    heard = tmp_path / "heard"
    script = (
        "import time, pathlib, sys\n"
        "try: time.sleep(60)\n"
        f"except KeyboardInterrupt: pathlib.Path({str(heard)!r}).touch(); sys.exit(130)"
    )
    monkeypatch.setattr(Training, "command", lambda self, places: [sys.executable, "-c", script])
    said = Training(presets.build("open")).run(places, seconds=parts.GRACE_S + 4.0)
    assert said == "interrupted, the next time goes on"
    assert heard.exists()


def test_a_training_that_refuses_its_input_is_told(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Training, "command", lambda self, places: [sys.executable, "-c", "raise SystemExit(2)"]
    )
    with pytest.raises(SuiteError, match="ended with 2; see above"):
        Training(presets.build("open")).run(places, seconds=60.0)


# The command line


def test_a_dry_run_lists_every_slice_invents_no_time_and_measures_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SER_DATA_ROOT", raising=False)
    assert run_command(["run", "gpu", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    for part in slices():
        assert part.name in lines
    assert "no data folder given" in " ".join(shown.split())
    assert "Nothing of it was measured on a GPU that has no records" in " ".join(shown.split())
    assert lines["kernels-op-slots"].split()[-1] == "–"
    assert not list(tmp_path.iterdir())


@no_gpu
def test_without_a_gpu_the_run_is_refused_with_the_way_to_look_at_it(capsys, tmp_path):
    assert run_command(["run", "gpu", "--results", str(tmp_path)]) == 2
    assert "torch finds no CUDA device here; --dry-run lists" in capsys.readouterr().err


def test_the_kernel_cache_is_where_triton_and_inductor_are_told_to_look(tmp_path: Path) -> None:
    code = (
        "import os, sys; from bench.cli import run_command; gpu = ['run', 'gpu', '--dry-run'];"
        "run_command([*gpu, '--slices', 'paper-float32-torch', '--kernel-cache', sys.argv[1]]);"
        "print(os.environ['TRITON_CACHE_DIR'], os.environ['TORCHINDUCTOR_CACHE_DIR'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"{tmp_path} {tmp_path / 'inductor'}"
