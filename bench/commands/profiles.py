"""`serbench profile`: mixers and encoders, the recurrences alone, and fla's kernels on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands import Command

if TYPE_CHECKING:
    from bench.config import Plan


def _profile(arguments: list[str]) -> int:
    from bench import profiles
    from bench.flags import ProfileFlags, parse

    named = bool(arguments) and not arguments[0].startswith("-")
    if named and arguments[0] == "ops":
        return _profile_ops(arguments[1:])
    if named and arguments[0] == "kernels":
        return _profile_kernels(arguments[1:])
    name, rest = (f" {arguments[0]}", arguments[1:]) if named else ("", arguments)
    default = ProfileFlags.of(profiles.build(arguments[0])) if named else ProfileFlags()
    flags = parse(ProfileFlags, f"serbench profile{name}", rest, default)
    if flags.dry_run:
        _forecast(flags.plan())
    else:
        profile_plan(flags.plan(), flags.results)
    return 0


def _forecast(plan: Plan) -> None:
    from bench.console import show
    from bench.listing import forecast_table
    from bench.measuring.cells import curves
    from bench.measuring.profile import forecast
    from bench.model import layout

    planned = curves(plan.profiling, plan.features, plan.encoder, plan.layouts or layout.standard(), "")
    show(forecast_table(list(forecast(planned, plan.profiling)), plan.profiling))


def _profile_ops(arguments: list[str]) -> int:
    from bench.console import show
    from bench.evidence.store import Store
    from bench.flags import OpsFlags, parse
    from bench.measuring.ops import benchmark
    from bench.measuring.targets import Effort
    from bench.report import write_op_figures
    from bench.report.op_table import table

    flags = parse(OpsFlags, "serbench profile ops", arguments)
    effort = Effort(flags.relative_interval, flags.time_limit_s)
    store = Store(flags.results)
    record = benchmark(flags.shape, effort, store)
    show(table(record))
    for path in (store.op_path(record.id), *write_op_figures(flags.results)):
        print(path)
    return 0


def _profile_kernels(arguments: list[str]) -> int:
    import torch

    from bench import profiles
    from bench.evidence.store import Store
    from bench.flags import KernelFlags, parse
    from bench.measuring.kernels import check_kernels
    from bench.report.kernel_table import failures, verdict

    scope = profiles.kernel_scope("cuda" if torch.cuda.is_available() else "cpu")
    flags = parse(KernelFlags, "serbench profile kernels", arguments, KernelFlags(scope=scope))
    seconds = None if flags.minutes is None else 60 * flags.minutes
    store = Store(flags.results)
    summary = check_kernels(flags.scope, store, again=flags.again, seconds=seconds)
    record = summary.record
    print(f"kernels: {summary.text()}; {record.compared}, against {record.reference}")
    print("\n".join([verdict(record), *failures(record)]))
    print(store.record_path(record))
    return 0


def profile_plan(plan: Plan, results: Path) -> None:
    """Measure what a plan profiles and has no record yet, and say what was done."""
    from bench.evidence.store import Store
    from bench.measuring.profile import profile
    from bench.model import layout
    from bench.report.sweeps import sentences

    layouts = plan.layouts or layout.fitting(plan.encoder)
    summary = profile(plan.profiling, plan.features, plan.encoder, layouts, Store(results))
    print(f"profile: {summary.text()}")
    for sentence in [] if summary.sweep is None else sentences(summary.sweep):
        print(f"  {sentence}")


COMMANDS: dict[str, Command] = {"profile": _profile}
