"""`serbench run`, `status`, `plan` and `train`: the cells of a preset, or one alone, become records."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bench.commands import Command, gpu, profiles, reports

if TYPE_CHECKING:
    from bench.config import Plan
    from bench.flags import RunFlags
    from bench.folders import Folders


def _run(arguments: list[str]) -> int:
    from bench import presets
    from bench.flags import RunFlags, parse

    if not arguments or arguments[0].startswith("-"):
        print(f"usage: serbench run PRESET [options]\n\npresets: {', '.join(presets.PRESETS)}; or gpu")
        print("`serbench run PRESET --help` shows every setting of that preset.")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    if arguments[0] == "gpu":
        return gpu.run_gpu(arguments[1:])
    default = RunFlags(plan=presets.build(arguments[0]))
    flags = parse(RunFlags, f"serbench run {arguments[0]}", arguments[1:], default)
    from bench.training import grid, ranks

    plan = grid.resolved(flags.plan, flags.folders())
    if flags.launcher == "slurm":
        return _submit(plan, flags)
    failed = _train_plan(plan, flags.folders(), flags.workers)
    if not ranks.first():  # of processes that share the work
        return 0
    if flags.profile and plan.profiling.targets:
        for one in grid.sized(plan):
            profiles.profile_plan(one, flags.places.results)
    reports.make_report(flags.places.results)
    return 1 if failed else 0


def _submit(plan: Plan, flags: RunFlags) -> int:
    from bench.cluster.submission import submit

    print(f"{plan.name}: {submit(plan, flags.folders(), flags.slurm).sentence}")
    print(f"`serbench status {plan.name}` shows them; `serbench run {plan.name}` ends with the report")
    return 0


def _status(arguments: list[str]) -> int:
    from bench import status
    from bench.console import show
    from bench.flags import StatusFlags, parse

    if not arguments:
        arguments = ["--help"]
    flags = parse(StatusFlags, "serbench status", arguments)
    progress = status.look(flags.folders(), flags.preset)
    show(status.table(progress))
    for line in progress.failures():
        print(f"failed  {line}")
    return 0


def _plan(arguments: list[str]) -> int:
    from bench import presets
    from bench.console import show
    from bench.flags import PlanFlags, parse
    from bench.planning import forecast, of_each_size

    if not arguments or arguments[0].startswith("-"):
        print(f"usage: serbench plan PRESET [options]\n\npresets: {', '.join(presets.PRESETS)}")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    default = PlanFlags(plan=presets.build(arguments[0]))
    flags = parse(PlanFlags, f"serbench plan {arguments[0]}", arguments[1:], default)
    for one in of_each_size(flags):
        table, notes = forecast(one)
        show(table)
        print("\n".join(notes))
    return 0


def _train(arguments: list[str]) -> int:
    from bench.flags import TrainFlags, parse

    flags = parse(TrainFlags, "serbench train", arguments)
    return 1 if _train_plan(flags.plan(), flags.folders(), 1) else 0


def _train_plan(plan: Plan, folders: Folders, workers: int | None) -> bool:
    """Train a plan's missing cells and say what was done; True where some cell failed."""
    from bench.config import Pretrained
    from bench.training import grid, ranks

    cores = os.cpu_count() or 1
    hidden = isinstance(plan.features, Pretrained)  # one frozen encoder fills the machine
    workers = workers or (1 if hidden else cores)
    summary = grid.run(plan, folders, workers, max(1, cores // workers) if hidden else 1)
    if not ranks.first():
        return bool(summary.failed)
    counts = f"{summary.trained} trained, {summary.already_done} already done, {len(summary.failed)} failed"
    print(f"{plan.name}: {counts}")
    for name, reason in summary.failed:
        print(f"  {name}: {reason}")
    return bool(summary.failed)


COMMANDS: dict[str, Command] = {
    "run": _run,
    "status": _status,
    "plan": _plan,
    "train": _train,
}
