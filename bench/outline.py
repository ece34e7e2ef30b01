"""What a run set out to train: the cells of its grid, written down so that others can ask how far it is.

    outline.write(folders, "open", cells)          # when a run starts: results/work/grids/open.json
    outline.read(folders, "open").cells            # for `serbench status`: no corpus, model or torch

The latest run of a preset is the one that counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from bench.config import Settings
from bench.errors import SuiteError
from bench.evidence.store import atomic
from bench.folders import Folders


class OutlinedCell(Settings):
    """One cell: its id, and what people call its cohort and its system."""

    id: str
    cohort: str
    system: str


class Outline(Settings):
    """The cells of a run, cohort by cohort."""

    preset: str
    cells: tuple[OutlinedCell, ...]


def write(folders: Folders, preset: str, cells: Sequence[OutlinedCell]) -> Path:
    """Write a run's cells; SuiteError where that cannot be."""
    path = _path(folders, preset)
    with atomic(path) as temporary:
        content = Outline(preset=preset, cells=tuple(cells)).model_dump_json(indent=1)
        temporary.write_text(content + "\n", encoding="utf-8")
    return path


def read(folders: Folders, preset: str) -> Outline:
    """The cells of the latest run of a preset; SuiteError where none was started."""
    path = _path(folders, preset)
    if not path.is_file():
        raise SuiteError(
            f"no run of {preset} was started in {folders.results}; "
            f"start it with `serbench run {preset}` or name another folder with --results"
        )
    try:
        return Outline.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise SuiteError(f"{path}: not a grid; delete it and start the run again") from error


def _path(folders: Folders, preset: str) -> Path:
    return folders.work / "grids" / f"{preset}.json"
