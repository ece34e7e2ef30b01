"""The check of fla's kernels: on a CPU it holds the torch ops against float64 loops, by the same code."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from kernel_fixtures import TINY, counted, crashes_on_slots, made_record, right

import mixers
from bench.config import KernelScope
from bench.errors import SuiteError
from bench.evidence.kernels import KernelCase
from bench.evidence.store import Store
from bench.evidence.verification import faults
from bench.measuring import kernel_checks, kernels
from bench.measuring.kernel_cases import cases, kernels_of
from bench.measuring.kernel_checks import OPS, check, padded
from bench.measuring.kernels import check_kernels, trusted
from mixers import contract
from mixers.ops.backend import KERNELS

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


def op_case(kernel: str, frames: int = 33, dtype: str = "float32") -> KernelCase:
    return KernelCase(
        of="op", name=kernel, kernels=(kernel,), dtype=dtype, frames=frames, key_dim=13, value_dim=19
    )


def mixer_case(name: str, **more: object) -> KernelCase:
    given = {"direction": "bidirectional", "dtype": "float32", "frames": 21, "width": 16} | more
    return KernelCase(of="mixer", name=name, kernels=(), **given)


# What is compared


def test_every_kernel_and_every_mixer_that_runs_one_is_compared_in_both_precisions_and_directions() -> None:
    planned = cases(KernelScope())
    assert {case.name for case in planned if case.of == "op"} == set(KERNELS)
    found = {(case.name, case.direction, case.dtype) for case in planned if case.of == "mixer"}
    for name in mixers.available():
        for direction in ("causal", "bidirectional"):
            expected = bool(kernels_of(name, direction))
            for dtype in ("float32", "bfloat16"):
                assert ((name, direction, dtype) in found) == expected, name
    assert {1, 20_000} <= {case.frames for case in planned if case.of == "op"}
    assert {case.padding for case in planned if case.of == "mixer"} == {"none", "right", "left", "scattered"}
    assert len(set(planned)) == len(planned)


def test_the_kernels_of_a_mixer_are_found_by_running_it() -> None:
    assert kernels_of("retnet", "causal") == {"head_gate"}
    assert kernels_of("kda", "bidirectional") == {"delta_rule"}
    assert kernels_of("fox", "causal") == {"fox"}
    assert kernels_of("fox", "bidirectional") == {"fox_both_ways"}
    assert not kernels_of("softmax", "causal")


def test_on_a_cpu_mixers_without_a_kernel_are_compared_too() -> None:
    assert "softmax" in {case.name for case in cases(TINY.model_copy(update={"mixers": ("softmax",)}))}


def test_an_unknown_mixer_is_refused_by_name() -> None:
    with pytest.raises(SuiteError, match="profile kernels: no mixer 'rettnet'; there is softmax"):
        cases(TINY.model_copy(update={"mixers": ("rettnet",)}))


# One comparison


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_torch_op_agrees_with_its_frame_loop_forward_and_backward(kernel: str) -> None:
    finding = check(op_case(kernel), "cpu")
    assert finding.status == "ok"
    assert len(finding.errors) == 1 + len(OPS[kernel].arguments)  # type: ignore[index]
    assert max(finding.errors.values()) < 1e-5


def test_rounding_to_bfloat16_stays_within_the_bounds_of_flas_tests() -> None:
    finding = check(op_case("channel_gate", dtype="bfloat16"), "cpu")
    assert finding.status == "ok"
    assert finding.errors["output"] > 1e-4


@pytest.mark.parametrize("padding", ["none", "right", "left", "scattered"])
def test_a_mixer_in_a_padded_batch_agrees_with_each_utterance_alone(padding: str) -> None:
    finding = check(mixer_case("kda", padding=padding), "cpu")
    assert finding.status == "ok", finding.reason
    assert {"output", "x", "A_log"} <= finding.errors.keys()


def test_padding_stands_where_it_is_said_to(rng: torch.Generator) -> None:
    right_side = torch.arange(6) < torch.tensor([6, 2])[:, None]
    assert padded(right_side, "left", rng)[1].tolist() == [False] * 4 + [True] * 2
    assert padded(right_side, "scattered", rng).sum(1).tolist() == [6, 2]


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_kernel_that_is_wrong_is_caught_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    op = OPS["delta_rule"]

    def late(*tensors: torch.Tensor, **options: object) -> torch.Tensor:
        return op.run(*tensors, **options).roll(1, 1)

    monkeypatch.setitem(OPS, "delta_rule", replace(op, run=late))
    finding = check(op_case("delta_rule"), "cpu")
    assert finding.status == "failed"
    assert finding.case.name == "delta_rule"
    assert "output" in finding.reason
    assert finding.final


def test_a_gradient_that_is_wrong_is_caught_where_the_output_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    op = OPS["head_gate"]

    def run(q, k, v, g):
        return op.run(q, k, v, g.detach() + 1.1 * (g - g.detach()))

    monkeypatch.setitem(OPS, "head_gate", replace(op, run=run))
    finding = check(op_case("head_gate"), "cpu")
    assert finding.errors["output"] < 1e-5
    assert finding.reason.startswith("gate 0.1")


def test_a_mixer_that_lets_padding_in_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from mixers import retnet

    for module in (retnet, contract):
        monkeypatch.setattr(module, "silence", lambda x, mask: x)
    finding = check(mixer_case("retnet", padding="left"), "cpu")
    assert finding.status == "failed"
    assert "output" in finding.reason


def test_what_is_no_number_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    op = OPS["slots"]
    broken = replace(op, run=lambda *tensors: op.run(*tensors) * torch.nan)
    monkeypatch.setitem(OPS, "slots", broken)
    finding = check(op_case("slots"), "cpu")
    assert finding.status == "failed"
    json.dumps(finding.model_dump(), allow_nan=False)


def test_what_a_kernel_refuses_is_unsupported_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*tensors: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("wrong gradients on Hopper")

    monkeypatch.setitem(OPS, "fox", replace(OPS["fox"], run=refuse))
    finding = check(op_case("fox"), "cpu")
    assert (finding.status, finding.reason) == (
        "unsupported",
        "NotImplementedError: wrong gradients on Hopper",
    )


def test_a_mixer_is_not_taken_for_right_where_its_kernels_are_not_installed(monkeypatch) -> None:
    monkeypatch.setattr(kernel_checks.backend, "installed", lambda: False)
    finding = check(mixer_case("retnet"), "cuda")
    assert finding.status == "unsupported"
    assert "install serbench[gpu]" in finding.reason


# The record


def test_the_whole_of_a_small_scope_is_right_and_its_record_holds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    small = TINY.model_copy(update={"mixers": ("retnet",), "lengths": (7,), "mixer_lengths": (5,)})
    only = [case for case in cases(small) if case.name in ("head_gate", "retnet")]
    summary = check_kernels(small, store, only=only)
    (record,) = store.kernels()
    assert (summary.made, summary.right, summary.left) == (len(only), len(only), 0)
    assert {finding.case for finding in record.findings} == set(only)
    assert "no kernel runs on a CPU" in record.compared
    assert not faults(store)


def test_a_second_call_goes_on_and_compares_nothing_twice(tmp_path: Path) -> None:
    count = tmp_path / "count"
    task = partial(counted, path=count)
    store, only = Store(tmp_path / "results"), [case for case in cases(TINY) if case.of == "op"][:6]
    first = check_kernels(TINY, store, only=only, task=task, seconds=0.0)
    assert (first.made, first.left) == (1, 5)
    count.unlink()
    second = check_kernels(TINY, store, only=only, task=task)
    assert (second.made, second.left) == (5, 0)
    assert check_kernels(TINY, store, only=only, task=task).made == 0
    asked = [KernelCase.model_validate_json(line) for line in count.read_text().splitlines()]
    assert sorted(asked, key=str) == sorted(only[1:], key=str)
    assert {finding.case for finding in store.kernels()[0].findings} == set(only)


def test_a_kernel_that_crashes_costs_one_comparison_and_may_be_tried_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    only = [case for case in cases(TINY) if case.name in ("slots", "fox") and case.of == "op"]
    summary = check_kernels(TINY, store, only=only, task=crashes_on_slots)
    (broken,) = (finding for finding in summary.record.findings if finding.status == "failed")
    assert (broken.case.name, broken.case.frames, broken.final) == ("slots", 19, False)
    assert "SIGSEGV" in broken.reason
    assert summary.right == len(only) - 1
    assert check_kernels(TINY, store, only=only, task=right).made == 0
    assert check_kernels(TINY, store, only=only, task=right, again=True).made == 1
    assert all(finding.status == "ok" for finding in store.kernels()[0].findings)


def test_a_kernel_is_trusted_where_all_that_runs_it_was_compared_and_right() -> None:
    scope = TINY.model_copy(update={"device": "cuda"})
    planned = cases(scope)
    findings = [right(case) for case in planned]
    assert made_record(scope, findings).trusted(planned) == set(KERNELS)
    of_kda = next(n for n, case in enumerate(planned) if case.name == "kda")
    findings[of_kda] = findings[of_kda].model_copy(update={"status": "failed"})
    assert made_record(scope, findings).trusted(planned) == set(KERNELS) - {"delta_rule"}
    without = [finding for finding in findings if finding.case != op_like(planned, "fox")]
    assert made_record(scope, without).trusted(planned) == set(KERNELS) - {"delta_rule", "fox"}


def op_like(planned, kernel):
    return next(case for case in planned if case.of == "op" and case.name == kernel)


def test_a_record_of_a_cpu_makes_no_kernel_trusted(tmp_path: Path) -> None:
    planned = cases(TINY)
    assert not made_record(TINY, [right(case) for case in planned]).trusted(planned)


@no_gpu
def test_without_a_gpu_nothing_is_trusted_and_the_check_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path)
    scope = KernelScope()
    store.write(made_record(scope, []))
    assert trusted(store) == frozenset()
    with pytest.raises(SuiteError, match="torch finds no CUDA device here; choose --device cpu"):
        check_kernels(scope, store)


def test_while_comparisons_are_to_be_made_the_verdict_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(kernels.environment, "gpu_name", lambda: "NVIDIA Example")
    with pytest.raises(SuiteError, match="not all compared here; run `serbench profile kernels` first"):
        kernels.decided(Store(tmp_path))
