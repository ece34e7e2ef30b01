"""`gpu.md` and what kernels change in the tables: every comparison counted, no failure hidden."""

from __future__ import annotations

from pathlib import Path

from kernel_fixtures import TINY, made_record, right
from report_fixtures import CPU, label_of, profile_record

from bench.config import CohortShape
from bench.evidence.cohorts import CohortRecord, CohortRun, CohortSetting
from bench.evidence.store import Store
from bench.measuring.kernel_cases import cases
from bench.report import write_tables
from bench.report.curve_table import curves
from bench.report.kernel_table import failures, verdict
from bench.report.tables import every_profile, plain

SCOPE = TINY.model_copy(update={"device": "cuda"})


def kernel_record():
    findings = [right(case) for case in cases(SCOPE)]
    wrong = {
        "status": "failed",
        "errors": {"gate": 0.4},
        "bounds": {"gate": 0.02},
        "reason": "gate 0.4 > 0.02",
    }
    findings[0] = findings[0].model_copy(update=wrong)
    findings[1] = findings[1].model_copy(
        update={"status": "unsupported", "reason": "no | here", "errors": {}}
    )
    return made_record(SCOPE, findings)


def cohort_record() -> CohortRecord:
    shape = CohortShape(layouts=("softmax", "kda"))
    setting = CohortSetting(**shape.model_dump(), hardware="NVIDIA Example")
    runs = (
        CohortRun(name="cohort", status="ok", samples_ms=(30.0, 31.0, 29.0), peak_bytes=9 * 10**9),
        CohortRun(name="softmax", status="ok", samples_ms=(20.0,), peak_bytes=5 * 10**9),
        CohortRun(name="kda", status="ok", samples_ms=(30.0,), peak_bytes=5 * 10**9),
    )
    return CohortRecord(id=setting.id, setting=setting, runs=runs, environment=CPU)


def test_the_verdict_counts_every_comparison_and_names_gpu_and_packages() -> None:
    record = kernel_record()
    total = len(cases(SCOPE))
    said = verdict(record)
    assert said.startswith("NVIDIA Example (torch 2.11.0, triton 3.7.1, fla-core 0.6.0)")
    assert said.endswith(f"{total - 2} of {total} comparisons right, 1 failed, 1 unsupported")
    assert [line.split(": ")[1] for line in failures(record)] == ["failed", "unsupported"]
    assert failures(record)[0].startswith(
        "op head_gate, float32, 1 frame, heads 16/16: failed: gate 0.4 > 0.02"
    )


def test_the_page_shows_kernels_and_training_steps(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(kernel_record())
    store.write(cohort_record())
    assert [path.name for path in write_tables(tmp_path)] == ["gpu.md"]
    text = (tmp_path / "gpu.md").read_text()
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "gate, 1 frame | 0.4 | 0.02" in lines["op head_gate"]
    assert "0.6 of all 2 one after the other" in lines["all side by side"]
    assert "| 30 ms | 9 GB |" in lines["all side by side"]
    counted = [line.split("|")[5:7] for line in text.splitlines() if line.startswith(("| op ", "| mixer "))]
    assert sum(int(made) for made, _ in counted) == len(cases(SCOPE))
    assert sum(int(held) for _, held in counted) == len(cases(SCOPE)) - 2


def test_a_report_without_a_gpu_has_no_such_page(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(profile_record())
    assert "gpu.md" not in {path.name for path in write_tables(tmp_path)}


def test_systems_on_kernels_are_compared_with_softmax_which_runs_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seconds in (1.0, 10.0, 60.0, 600.0):
        store.write(profile_record("softmax", "mixer", seconds))
        slow = profile_record("retnet", "mixer", seconds)
        shape = slow.shape.model_copy(update={"backend": "fla"})
        store.write(slow)
        store.write(slow.model_copy(update={"id": shape.id, "shape": shape, "label": label_of("retnet")}))
    profiles = every_profile(store)
    kernels = profiles[profiles["regime"] == "fla's kernels"]
    assert set(kernels["layout"]) == {"softmax", "retnet"}
    assert len(plain(profiles)) == 8
    assert len(profiles) == 16
    table = curves(profiles).set_index(["regime", "layout"])
    on_torch, on_kernels = (
        table.loc[(regime, "retnet"), "faster_than_softmax_s"] for regime in ("", "fla's kernels")
    )
    assert on_torch == on_kernels > 0
