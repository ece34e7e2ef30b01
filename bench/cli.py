"""The command line: `serbench COMMAND …`. Each command imports what it needs, when it runs.

    serbench run demo
    serbench run open --seeds 0 1 2 --recipe.epochs 60
    serbench report

Bad input ends with one sentence on standard error and exit code 2; Ctrl-C with 130, SIGTERM with 143; output
that nobody reads any more with 141 and no words, as of other Unix tools.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from bench.errors import SuiteError

if TYPE_CHECKING:
    from bench.config import Plan
    from bench.flags import ExportFlags, RunFlags
    from bench.folders import Folders

HELP = """\
usage: serbench COMMAND [options]

Which token mixer should a speech emotion recogniser use? Train every mixer alike, measure it, compare.

  run PRESET           train what has no record yet, profile, and write the report
  run PRESET --launcher slurm  submit what has no record yet as an array of Slurm jobs
  status PRESET        the grid of the latest run: done, running, failed with reason, waiting
  plan PRESET          cost and time on this machine and on many, from a few measured steps
  train                train one system (a mixer layout on one fold)
  profile [NAME]       time and weigh every mixer and encoder on this machine; NAME: quick, full, paper, gpu
  profile ops          time the recurrences alone: frame loops, fla, fused softmax, growth
  profile kernels      compare fla's kernels with the torch ops on this GPU: forward and gradients
  report               leaderboard, model card and figures from the records in results/
  figures [NAME…]      draw figures again, for a page or a paper's column (--venue); --list names them
  results merge DIR    copy the records of another results folder that are not there yet
  results verify       recompute every metric from the stored predictions, check every id
  results scrub        take names of hosts and users and paths out of the records; --check only looks
  mixers               list the registered token mixers
  corpora list         corpora this version reads, and where they come from
  corpora check NAME…  open every file: counts, folds, bad files, duplicates
  corpora prepare NAME…  read the audio and cache its features now
  corpora fetch NAME…  download open corpora from their official addresses into the data folder
  corpora make msp_podcast  write a synthetic MSP-Podcast in the delivered layout, of any size
  models make NAME --kind KIND  write a random encoder in the layout of a pretrained one
  models check NAME…   kind, width, layers, parameters and digest of pretrained encoders
  export CHECKPOINT…   write checkpoints as ONNX files: whole or streaming, float32, float16 or int8
  predict FILE…        emotions (and attributes) of recordings from a checkpoint or an exported file

presets:
  demo                 every mixer on a small synthetic MSP-Podcast; minutes on two cores, needs no data
  open                 every mixer from scratch on RAVDESS and EMO-DB; needs SER_DATA_ROOT
  sizes                every mixer at 50k, 500k and 5M parameters on RAVDESS; needs SER_DATA_ROOT
  recurrent            the LSTM baseline ResLSTM-SA on RAVDESS; needs SER_DATA_ROOT
  paper                the published protocol on MSP-Podcast: frozen encoders, one bare layer, six mixers
  controlled           MSP-Podcast, residual blocks of equal size, both directions, three seeds
  gpu                  no preset: all that is measured on a GPU, ten minutes at a time (--dry-run lists it)
  scheduling           five samplers (which utterances make a batch, which tasks come when) on RAVDESS

examples:
  serbench run demo
  SER_DATA_ROOT=/data serbench run open --tasks ravdess/luna --seeds 0 1 2
  serbench train --layout "mamba2*3 softmax" --task ravdess/luna --fold 0
  serbench run open --tasks ravdess-to-emodb/cross    train on one corpus, test on another
  serbench run open --layouts retnet --recipe.teacher TEACHER.pt…    learn from trained systems, one a fold
  serbench predict clip.wav

`serbench COMMAND --help` shows every setting with its default. Results go to results/ under the
working directory (--results), cached features to ~/.cache/serbench (--cache or SER_CACHE).
"""
UNREAD = 141  # how a shell names a process that wrote to nobody (128 + SIGPIPE)


class Terminated(KeyboardInterrupt):
    """The system asks us to end (SIGTERM): whatever minds a Ctrl-C minds this too."""


def main() -> None:
    """Entry point of the `serbench` script."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        try:
            code = run_command(sys.argv[1:])
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _unread():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        code = UNREAD
    sys.exit(code)


def _unread() -> bool:
    """Whether whoever read standard output has gone, as in `serbench --help | head -1`."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise Terminated


def run_command(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    try:
        name, rest = arguments[0], arguments[1:]
        if name not in COMMANDS:
            raise SuiteError(f"no command {name!r}; there is {', '.join(COMMANDS)} (serbench --help)")
        return COMMANDS[name](rest)
    except SuiteError as error:
        print(f"serbench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        ended = isinstance(stopped, Terminated)
        said = "asked to end" if ended else "interrupted"
        print(f"serbench: {said}; the same command continues where this one stopped", file=sys.stderr)
        return 128 + (signal.SIGTERM if ended else signal.SIGINT)


def _run(arguments: list[str]) -> int:
    from bench import presets
    from bench.flags import RunFlags, parse

    if not arguments or arguments[0].startswith("-"):
        print(f"usage: serbench run PRESET [options]\n\npresets: {', '.join(presets.PRESETS)}; or gpu")
        print("`serbench run PRESET --help` shows every setting of that preset.")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    if arguments[0] == "gpu":
        return _run_gpu(arguments[1:])
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
            _profile_plan(one, flags.places.results)
    _write_report(flags.places.results)
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


def _run_gpu(arguments: list[str]) -> int:
    from bench.flags import GpuFlags, parse

    flags = parse(GpuFlags, "serbench run gpu", arguments)
    if flags.kernel_cache is not None:  # before torch is there, and for every child
        os.environ["TRITON_CACHE_DIR"] = str(flags.kernel_cache.resolve())
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(flags.kernel_cache.resolve() / "inductor")
    from bench.console import show
    from bench.gpu.parts import Places, hardware
    from bench.gpu.run import chosen, forecast, run
    from bench.gpu.slices import slices
    from bench.listing import slices_table

    parts = chosen(slices(), flags.slices)
    places = Places(flags.places.folders(), hardware(), flags.again)
    if flags.dry_run:
        show(slices_table(forecast(parts, places), places.hardware))
        return 0
    if not places.hardware:
        raise SuiteError("run gpu: torch finds no CUDA device here; --dry-run lists what there is to measure")
    outcome = run(parts, places, flags.minutes)
    print("\n".join([*outcome.lines, *outcome.refused]))
    if outcome.left:
        print(f"left for the next time: {', '.join(outcome.left)}")
    return 1 if outcome.refused else 0


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


def _profile(arguments: list[str]) -> int:
    from bench import presets
    from bench.flags import ProfileFlags, parse

    named = bool(arguments) and not arguments[0].startswith("-")
    if named and arguments[0] == "ops":
        return _profile_ops(arguments[1:])
    if named and arguments[0] == "kernels":
        return _profile_kernels(arguments[1:])
    name, rest = (f" {arguments[0]}", arguments[1:]) if named else ("", arguments)
    default = ProfileFlags.of(presets.profile(arguments[0])) if named else ProfileFlags()
    flags = parse(ProfileFlags, f"serbench profile{name}", rest, default)
    if flags.dry_run:
        _forecast(flags.plan())
    else:
        _profile_plan(flags.plan(), flags.results)
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

    from bench import presets
    from bench.evidence.store import Store
    from bench.flags import KernelFlags, parse
    from bench.measuring.kernels import check_kernels
    from bench.report.kernel_table import failures, verdict

    scope = presets.kernel_scope("cuda" if torch.cuda.is_available() else "cpu")
    flags = parse(KernelFlags, "serbench profile kernels", arguments, KernelFlags(scope=scope))
    seconds = None if flags.minutes is None else 60 * flags.minutes
    store = Store(flags.results)
    summary = check_kernels(flags.scope, store, again=flags.again, seconds=seconds)
    record = summary.record
    print(f"kernels: {summary.text()}; {record.compared}, against {record.reference}")
    print("\n".join([verdict(record), *failures(record)]))
    print(store.record_path(record))
    return 0


def _profile_plan(plan: Plan, results: Path) -> None:
    from bench.evidence.store import Store
    from bench.measuring.profile import profile
    from bench.model import layout
    from bench.report.sweeps import sentences

    layouts = plan.layouts or layout.fitting(plan.encoder)
    summary = profile(plan.profiling, plan.features, plan.encoder, layouts, Store(results))
    print(f"profile: {summary.text()}")
    for sentence in [] if summary.sweep is None else sentences(summary.sweep):
        print(f"  {sentence}")


def _report(arguments: list[str]) -> int:
    from bench.flags import ReportFlags, parse

    flags = parse(ReportFlags, "serbench report", arguments)
    _write_report(flags.results, flags.baseline)
    return 0


def _write_report(results: Path, baseline: str = "softmax") -> None:
    from bench.report import write_report

    for path in write_report(results, baseline):
        print(path)


def _figures(arguments: list[str]) -> int:
    from bench.flags import FiguresFlags, parse

    flags = parse(FiguresFlags, "serbench figures", arguments)
    from bench.report import figure_entries, figures
    from bench.report.sheets import venue

    sheet = venue(flags.venue)
    found = figure_entries(flags.results, flags.baseline)
    if flags.list:
        print(figures.overview(found))
        return 0
    folder = flags.out or flags.results / "figures" / flags.venue
    for entry in figures.chosen(found, flags.names):
        for path in figures.write(entry, folder, sheet, flags.format):
            print(path)
    return 0


def _results(arguments: list[str]) -> int:
    verbs: dict[str, Callable[[list[str]], int]] = {
        "merge": _results_merge,
        "verify": _results_verify,
        "scrub": _results_scrub,
    }
    if not arguments or arguments[0] not in verbs:
        print("usage: serbench results merge DIR | verify | scrub")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    return verbs[arguments[0]](arguments[1:])


def _results_merge(arguments: list[str]) -> int:
    from bench.errors import UnusableFiles
    from bench.evidence.merging import merge
    from bench.evidence.store import Store
    from bench.flags import MergeFlags, parse

    flags = parse(MergeFlags, "serbench results merge", arguments)
    merged = merge(Store(flags.source), Store(flags.results))
    print(f"{flags.results}: {merged.copied} records copied, {merged.same} there already")
    if merged.conflicts:
        what = f"results merge: {len(merged.conflicts)} files differ from those in {flags.results}"
        raise UnusableFiles(what, merged.conflicts, "None of these was copied; keep one of each by hand.")
    return 0


def _results_verify(arguments: list[str]) -> int:
    from bench.errors import UnusableFiles
    from bench.evidence.store import KINDS, Store
    from bench.evidence.verification import faults
    from bench.flags import VerifyFlags, parse

    store = Store(parse(VerifyFlags, "serbench results verify", arguments).results)
    count, found = sum(len(store.paths(kind)) for kind in KINDS), faults(store)
    if found:
        what = f"results verify: {len(found)} faults in {store.root}"
        raise UnusableFiles(what, found, "Restore these files, or delete the records to redo them.")
    if not count:
        raise SuiteError(f"{store.root}: no records to verify; name a results folder with --results")
    print(f"{store.root}: {count} records hold: ids, metrics and predictions agree")
    return 0


def _results_scrub(arguments: list[str]) -> int:
    from bench.errors import Problem, UnusableFiles
    from bench.evidence.scrubbing import scrub
    from bench.evidence.store import Store
    from bench.flags import ScrubFlags, parse

    flags = parse(ScrubFlags, "serbench results scrub", arguments)
    scrubbed = scrub(Store(flags.results), write=not flags.check)
    left = [Problem(path, "names a machine or a path") for path in scrubbed.changed if flags.check]
    if left or scrubbed.faults:
        what = f"results scrub: {len(left) + len(scrubbed.faults)} files of {flags.results} are not private"
        mend = "Scrub them; a path that is part of an id goes only with its record: train under another name."
        raise UnusableFiles(what, [*left, *scrubbed.faults], mend)
    done = "files written anew" if scrubbed.changed else "files name no machine and no path outside a corpus"
    print(f"{flags.results}: {len(scrubbed.changed) or 'all'} {done}")
    return 0


def _mixers(arguments: list[str]) -> int:
    from bench.console import show
    from bench.flags import MixersFlags, parse
    from bench.listing import mixers_table

    flags = parse(MixersFlags, "serbench mixers", arguments)
    show(mixers_table(flags.d_model, flags.num_heads))
    return 0


def _corpora(arguments: list[str]) -> int:
    verbs: dict[str, Callable[[list[str]], int]] = {
        "list": _corpora_list,
        "check": _corpora_check,
        "prepare": _corpora_prepare,
        "fetch": _corpora_fetch,
        "make": _corpora_make,
    }
    if not arguments or arguments[0] not in verbs:
        print("usage: serbench corpora list | check NAME… | prepare NAME… | fetch NAME… | make msp_podcast")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    return verbs[arguments[0]](arguments[1:])


def _corpora_list(arguments: list[str]) -> int:
    from bench.console import show
    from bench.listing import corpora_table

    show(corpora_table())
    return 0


def _corpora_check(arguments: list[str]) -> int:
    from bench import corpora
    from bench.features.inspection import inspect, report_lines
    from bench.flags import CorporaFlags, parse

    flags = parse(CorporaFlags, "serbench corpora check", arguments)
    folders, bad = flags.places.folders(), False
    for name in flags.names or corpora.installed(folders.data_root):
        manifest = corpora.load(name, folders.data_root, cache=folders.cache)
        inspection = inspect(manifest)
        print("\n".join(report_lines(manifest, inspection)))
        bad = bad or bool(inspection.problems or manifest.problems)
    return 2 if bad else 0


def _corpora_prepare(arguments: list[str]) -> int:
    from bench import corpora
    from bench.features import cache
    from bench.flags import CorporaFlags, parse

    flags = parse(CorporaFlags, "serbench corpora prepare", arguments)
    folders = flags.places.folders()
    for name in flags.names or corpora.installed(folders.data_root):
        manifest = corpora.load(name, folders.data_root, cache=folders.cache)
        store = cache.prepare(manifest, flags.features, folders.cache, skip_bad=folders.skip_bad)
        print(f"{name}: features of {len(store):,} utterances ready, {len(store.skipped)} files left out")
    return 0


def _corpora_fetch(arguments: list[str]) -> int:
    from bench import corpora
    from bench.corpora.fetch import fetch
    from bench.flags import FetchFlags, parse

    flags = parse(FetchFlags, "serbench corpora fetch", arguments)
    if not flags.names:
        raise SuiteError(f"corpora fetch: name what to download, of {', '.join(corpora.downloadable())}")
    sources = {name: corpora.source(name) for name in flags.names}
    for name, source in sources.items():
        receipt = fetch(name, source, flags.folder())
        print(f"{name}: {receipt.sentence}")
        manifest = corpora.load(name, flags.folder())
        print(
            f"{name}: {len(manifest):,} utterances in {manifest.root}; licence: {corpora.find(name).LICENCE}"
        )
    return 0


def _corpora_make(arguments: list[str]) -> int:
    from bench.corpora.msp_made import make
    from bench.flags import MakeFlags, parse

    flags = parse(MakeFlags, "serbench corpora make", arguments)
    make(flags.out, flags.release, flags.turns, flags.seed, flags.audio)
    print(f"{flags.name}: {flags.turns:,} synthetic turns like release {flags.release} in {flags.out}")
    return 0


def _models(arguments: list[str]) -> int:
    verbs: dict[str, Callable[[list[str]], int]] = {"make": _models_make, "check": _models_check}
    if not arguments or arguments[0] not in verbs:
        print("usage: serbench models make NAME --kind KIND | check NAME…")
        return 0 if arguments in (["-h"], ["--help"]) else 2
    return verbs[arguments[0]](arguments[1:])


def _models_make(arguments: list[str]) -> int:
    from bench.features.made_models import make
    from bench.flags import ModelMakeFlags, parse

    flags = parse(ModelMakeFlags, "serbench models make", arguments)
    make(flags.folder(), flags.kind, flags.size, flags.width, flags.layers, flags.seed)
    print(f"{flags.name}: a {flags.kind} model with random weights in {flags.folder()}")
    return 0


def _models_check(arguments: list[str]) -> int:
    from bench.console import show
    from bench.flags import ModelCheckFlags, parse
    from bench.listing import models_table

    flags = parse(ModelCheckFlags, "serbench models check", arguments)
    if not flags.names:
        raise SuiteError("models check: name folders of the models folder, or models on the hub")
    show(models_table(flags.names, flags.models))
    return 0


def _export(arguments: list[str]) -> int:
    from bench.errors import Problem, UnusableFiles
    from bench.export.exporting import checkpoints
    from bench.flags import ExportFlags, parse

    flags = parse(ExportFlags, "serbench export", arguments)
    flags.weights()  # refuses what goes ill together, before any work
    paths, problems = checkpoints(flags.checkpoints), []
    if len(paths) == 1:
        _export_one(paths[0], flags)
        return 0
    if flags.out is not None:
        raise SuiteError(
            f"export: --out names one file, and there are {len(paths)} checkpoints; leave it out"
        )
    for path in paths:
        try:
            _export_one(path, flags, again=False)
        except SuiteError as error:
            problems.append(Problem(path, str(error)))
    if problems:
        what = f"export: {len(problems)} of {len(paths)} checkpoints were not exported"
        raise UnusableFiles(what, problems, "The others are done.")
    return 0


def _export_one(path: Path, flags: ExportFlags, again: bool = True) -> None:
    """Export one checkpoint, and check the file where asked; with `again`, whatever is there already."""
    from bench.export.checking import recorded
    from bench.export.exporting import Order, current, export
    from bench.export.material import calibration
    from bench.report import units

    file, folders = flags.file(path), flags.places.folders()
    order, clips = Order(flags.weights(), flags.streaming), None
    if again or flags.calibrate or not current(file, path, order):
        if order.weights == "int8-static":
            named, clips = calibration(flags.calibrate, path, folders)
            order = replace(order, calibrated_on=named)
        export(path, file, order, clips or (), folders.models)
        print(f"{file}: {units.memory(file.stat().st_size)}")
    if flags.check and (again or not recorded(file, flags.check, folders)):
        _check_export(file, path, flags.check, folders)


def _check_export(file: Path, checkpoint: Path, task: str, folders: Folders) -> None:
    """Hold an exported file against its checkpoint, and say what it loses and gains."""
    from bench.evidence.store import Store
    from bench.export.checking import check
    from bench.report.exports import exports, note, sentence

    record = check(file, checkpoint, task, folders)
    table = exports(Store(folders.results))
    row = table[table["id"] == record.id].iloc[0]
    print(f"{sentence(row)}\n{Store(folders.results).record_path(record)}")
    if note(row):
        print(f"serbench: {file}: {note(row)}", file=sys.stderr)


def _predict(arguments: list[str]) -> int:
    from bench import spreadsheet
    from bench.evidence.store import Store
    from bench.flags import PredictFlags, parse
    from bench.prediction import best_checkpoint, predict

    flags = parse(PredictFlags, "serbench predict", arguments)
    path = flags.named() or best_checkpoint(Store(flags.results))
    table = predict(flags.files, path, flags.models, flags.transcripts)
    print(f"{'model' if flags.model else 'checkpoint'}: {path}", file=sys.stderr)
    print(spreadsheet.text(table, float_format="%.4f"), end="")
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": _run,
    "status": _status,
    "plan": _plan,
    "train": _train,
    "profile": _profile,
    "report": _report,
    "figures": _figures,
    "results": _results,
    "mixers": _mixers,
    "corpora": _corpora,
    "models": _models,
    "export": _export,
    "predict": _predict,
}


if __name__ == "__main__":
    main()
