"""`serbench report` and `serbench figures`: tables and pictures from the records, without torch."""

from __future__ import annotations

from pathlib import Path

from bench.commands import Command


def _report(arguments: list[str]) -> int:
    from bench.flags import ReportFlags, parse

    flags = parse(ReportFlags, "serbench report", arguments)
    make_report(flags.results, flags.baseline)
    return 0


def make_report(results: Path, baseline: str = "softmax") -> None:
    """Write the report of a results folder, and say which files it is."""
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


COMMANDS: dict[str, Command] = {"report": _report, "figures": _figures}
