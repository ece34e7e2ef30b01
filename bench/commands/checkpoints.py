"""`serbench export` and `serbench predict`: a trained checkpoint put to use."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands import Command
from bench.errors import SuiteError

if TYPE_CHECKING:
    from bench.flags import ExportFlags
    from bench.folders import Folders


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


COMMANDS: dict[str, Command] = {"export": _export, "predict": _predict}
