"""The results folder: atomic writes, validated reads.

store = Store(Path("results"))
store.write(record)                  # results/runs/<id>.json, never half a file
store.runs(), store.profiles()       # every record, validated; a bad one stops with its path and field
store.write_predictions(run_id, table)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

import pandas as pd
from pydantic import ValidationError

from bench.attributes import ATTRIBUTES
from bench.errors import SuiteError
from bench.evidence.cohorts import CohortRecord
from bench.evidence.kernels import KernelRecord
from bench.evidence.records import (
    FINISHED,
    ExportRecord,
    OpRecord,
    ProfileRecord,
    RunRecord,
    SweepRecord,
)
from bench.folders import disk_errors
from bench.locks import beside

if TYPE_CHECKING:
    import pyarrow as pa

AnyRecord = RunRecord | ProfileRecord | OpRecord | SweepRecord | KernelRecord | CohortRecord | ExportRecord
Record = TypeVar(
    "Record",
    RunRecord,
    ProfileRecord,
    OpRecord,
    SweepRecord,
    KernelRecord,
    CohortRecord,
    ExportRecord,
    AnyRecord,
)
KINDS: dict[str, type[AnyRecord]] = {  # by the folder that holds them
    "runs": RunRecord,
    "profiles": ProfileRecord,
    "ops": OpRecord,
    "sweeps": SweepRecord,
    "kernels": KernelRecord,
    "cohorts": CohortRecord,
    "exports": ExportRecord,
}


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; on leaving, it is flushed to disk and renamed to `path`.

    Nothing is left behind where the body or the disk fails, and what a killed process has left is removed; a
    full or read-only disk is a SuiteError.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as temporary:
            temporary.touch()
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)


class Store:
    """The records under one results folder."""

    def __init__(self, root: Path) -> None:
        """`root` need not exist yet."""
        self.root = root

    def run_path(self, run_id: str) -> Path:
        return self.root / "runs" / f"{run_id}.json"

    def profile_path(self, profile_id: str) -> Path:
        return self.root / "profiles" / f"{profile_id}.json"

    def op_path(self, op_id: str) -> Path:
        return self.root / "ops" / f"{op_id}.json"

    def sweep_path(self, sweep_id: str) -> Path:
        return self.root / "sweeps" / f"{sweep_id}.json"

    def kernel_path(self, kernel_id: str) -> Path:
        return self.root / "kernels" / f"{kernel_id}.json"

    def cohort_path(self, cohort_id: str) -> Path:
        return self.root / "cohorts" / f"{cohort_id}.json"

    def export_path(self, export_id: str) -> Path:
        return self.root / "exports" / f"{export_id}.json"

    def predictions_path(self, run_id: str) -> Path:
        return self.root / "predictions" / f"{run_id}.parquet"

    def checkpoint_path(self, run_id: str) -> Path:
        return self.root / "checkpoints" / f"{run_id}.pt"

    def teacher_path(self, digest: str) -> Path:
        """The checkpoint that a run of this folder has learnt from."""
        return self.root / "checkpoints" / "teachers" / f"{digest}.pt"

    def record_path(self, record: AnyRecord) -> Path:
        """Where a record lies, or will."""
        paths = {
            "run": self.run_path,
            "profile": self.profile_path,
            "ops": self.op_path,
            "sweep": self.sweep_path,
            "kernels": self.kernel_path,
            "cohort": self.cohort_path,
            "export": self.export_path,
        }
        return paths[record.kind](record.id)

    def write(self, record: AnyRecord) -> Path:
        """Write one record atomically and return its path."""
        path = self.record_path(record)
        with atomic(path) as temporary:
            temporary.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return path

    def write_predictions(self, run_id: str, table: pd.DataFrame) -> Path:
        """Write the per-utterance logits of one run (columns: see `bench.evidence.records`)."""
        path = self.predictions_path(run_id)
        with atomic(path) as temporary:
            table.to_parquet(temporary, index=False)
        return path

    def predictions(self, run_id: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Per-utterance logits of one run, or `columns` of them; SuiteError where missing or damaged."""
        path = self.predictions_path(run_id)
        with _readable(path):
            table = pd.read_parquet(path, columns=None if columns is None else list(columns))
        _check_numbers(path, {str(name): pd.api.types.is_numeric_dtype(table[name]) for name in table})
        return table

    def prediction_columns(self, run_id: str) -> pa.Table:
        """`predictions` as an Arrow table: for many runs, most of whose columns are the same."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.predictions_path(run_id)
        with _readable(path):
            table = pq.ParquetFile(pa.BufferReader(path.read_bytes())).read(use_threads=False)
            table.validate(full=True)
            if len(set(table.column_names)) < table.num_columns:
                raise ValueError("two columns of one name")
        numbers = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)
        _check_numbers(
            path, {column.name: any(holds(column.type) for holds in numbers) for column in table.schema}
        )
        return table

    def runs(self) -> list[RunRecord]:
        """Every run record, sorted by id; the first invalid one raises SuiteError with path and field."""
        return [read(path, RunRecord) for path in self.paths("runs")]

    def finished(self, run_id: str) -> bool:
        """Whether this run has a record that stands: one that failed is tried again."""
        path = self.run_path(run_id)
        return path.is_file() and read(path, RunRecord).status in FINISHED

    def profiles(self) -> list[ProfileRecord]:
        """Every profile record, sorted by id; see `runs`."""
        return [read(path, ProfileRecord) for path in self.paths("profiles")]

    def ops(self) -> list[OpRecord]:
        """Every op benchmark, sorted by id; see `runs`."""
        return [read(path, OpRecord) for path in self.paths("ops")]

    def kernels(self) -> list[KernelRecord]:
        """Every check of fla's kernels, sorted by id; see `runs`."""
        return [read(path, KernelRecord) for path in self.paths("kernels")]

    def cohorts(self) -> list[CohortRecord]:
        """Every timing of training steps, sorted by id; see `runs`."""
        return [read(path, CohortRecord) for path in self.paths("cohorts")]

    def exports(self) -> list[ExportRecord]:
        """Every check of an exported file, sorted by id; see `runs`."""
        return [read(path, ExportRecord) for path in self.paths("exports")]

    def paths(self, kind: str) -> list[Path]:
        """The files of one of `KINDS`, sorted by id."""
        return sorted((self.root / kind).glob("*.json"))

    def sweeps(self) -> list[SweepRecord]:
        """Every sweep of profiles, sorted by id; see `runs`."""
        return [read(path, SweepRecord) for path in self.paths("sweeps")]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Says of a predictions file that cannot be read how to mend it."""
    try:
        yield
    except Exception as error:
        raise SuiteError(
            f"{path}: predictions cannot be read ({error}); delete the run's record to redo it"
        ) from error


def _check_numbers(path: Path, numeric: Mapping[str, bool]) -> None:
    """SuiteError where a column that should hold numbers does not; `numeric` says which columns do."""
    for name, holds in numeric.items():
        named = name in (*ATTRIBUTES, "duration_s") or name.startswith(("logit_", "predicted_"))
        if named and not holds:
            raise SuiteError(f"{path}: column {name!r} holds no numbers; delete the run's record to redo it")


def read(path: Path, kind: type[Record]) -> Record:
    """One record; SuiteError with path and field where it is invalid, of another schema or misnamed."""
    content = path.read_bytes()
    try:
        record = kind.model_validate_json(content)
    except ValidationError as error:
        raise SuiteError(f"{path}: {_fault(content, kind, error)}; restore or delete it") from error
    if "schema_version" not in record.model_fields_set:
        raise SuiteError(f"{path}: not a valid record: it names no schema_version; restore or delete it")
    if record.id != path.stem:
        raise SuiteError(f"{path}: the record inside is {record.id!r}; restore the file's name or delete it")
    return record


def _fault(content: bytes, kind: type[Record], error: ValidationError) -> str:
    """What is wrong with a record: its schema, where that is another one, else its first bad field."""
    known = get_args(kind.model_fields["schema_version"].annotation)
    try:
        version = json.loads(content)["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        version = known[-1]
    if version not in known:
        return f"a record of schema {version}, unknown to this version of serbench, which is at {known[-1]}"
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file as a whole"
    return f"not a valid record: {where}: {first['msg']}"
