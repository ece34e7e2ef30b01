"""`serbench results verify`: whether records and predictions still say the same.

    faults(Store(Path("results")))        # every fault at once, each with its file; empty where all holds

Of every record: it can be read, its id is the hash of its settings, and (runs, exports) each metric is what
its stored predictions give. Of the runs of a comparison: the predictions of a fold and split are of the same
utterances, by the same speakers, with the same labels. And every predictions file has a record.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from bench.config import content_id
from bench.errors import Problem, SuiteError
from bench.evidence import summary
from bench.evidence.comparison import comparison
from bench.evidence.exports import reference
from bench.evidence.records import ExportRecord, RunRecord
from bench.evidence.store import KINDS, AnyRecord, Store, read

TOLERANCE = 1e-9  # of a metric: what another machine's order of summation may change
Truth = tuple[str, str]  # run id, digest of utterances, speakers and labels


def faults(store: Store) -> list[Problem]:
    """Every fault of the records and predictions of a results folder, by path."""
    found = []
    runs: list[RunRecord] = []
    exports: list[ExportRecord] = []
    for kind, record_type in KINDS.items():
        for path in store.paths(kind):
            try:
                record = read(path, record_type)
            except SuiteError as error:
                found.append(Problem(path, str(error).removeprefix(f"{path}: ")))
                continue
            found += [Problem(path, reason) for reason in _misnamed(record)]
            if isinstance(record, RunRecord):
                runs.append(record)
            if isinstance(record, ExportRecord):
                exports.append(record)
    found += [fault for record in exports for fault in _export_faults(store, record)]
    return sorted([*found, *_orphans(store), *_run_faults(store, runs)])


def _misnamed(record: AnyRecord) -> Iterator[str]:
    settings = {"run": "config", "profile": "shape"}.get(record.kind, "setting")
    expected = getattr(record, settings).id
    if record.id != expected:
        yield f"its id is {record.id}, that of its settings ({settings}) is {expected}"


def _orphans(store: Store) -> Iterator[Problem]:
    """Predictions without a record."""
    recorded = {path.stem for kind in ("runs", "exports") for path in store.paths(kind)}
    for path in sorted((store.root / "predictions").glob("*.parquet")):
        if path.stem not in recorded:
            yield Problem(path, f"there is no record {store.run_path(path.stem)}")


def _run_faults(store: Store, runs: Sequence[RunRecord]) -> Iterator[Problem]:
    """Faults of the predictions of every finished run, comparison by comparison."""
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        if run.status == "ok":
            groups[content_id(comparison(run))].append(run)
    for some in groups.values():
        truths: dict[tuple[int, str], list[Truth]] = defaultdict(list)
        for run in some:
            path = store.predictions_path(run.id)
            try:
                table = store.predictions(run.id)
                yield from (Problem(path, reason) for reason in mismatches(run, table))
                for split, rows in table.groupby("split"):
                    truths[run.config.task.fold, str(split)].append((run.id, _digest(rows)))
            except (SuiteError, KeyError) as error:
                yield Problem(path, _reason(error, path))
        yield from _inconsistent(store, truths)


def _export_faults(store: Store, record: ExportRecord) -> Iterator[Problem]:
    """What a checked export's record says that its predictions do not."""
    path = store.predictions_path(record.id)
    try:
        table = store.predictions(record.id)
        if len(table) != record.utterances:
            yield Problem(path, f"holds {len(table):,} utterances, its record says {record.utterances:,}")
        for system, rows in (("exported", table), ("torch", reference(table))):
            scores = summary.of(rows, record.emotions, record.attributes).get("test", {})
            for reason in _differing(system, record.metrics[system], scores):  # type: ignore[index]
                yield Problem(path, reason)
    except (SuiteError, KeyError) as error:
        yield Problem(path, _reason(error, path))


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, KeyError):
        return f"lacks the column {error}"
    return str(error).removeprefix(f"{path}: ")


def mismatches(run: RunRecord, table: pd.DataFrame) -> Iterator[str]:
    """What a run's record says that its predictions do not: splits, sizes, metrics.

    SuiteError or KeyError where the table lacks what a metric needs.
    """
    sizes = table.groupby("split").size().to_dict()
    for split, count in run.utterances.items():
        if split != "train" and sizes.get(split, 0) != count:
            yield f"holds {sizes.get(split, 0):,} utterances of {split}, its record says {count:,}"
    twice = table[table.duplicated(["split", "utterance"])]
    if len(twice):
        yield f"holds {twice['utterance'].iloc[0]} more than once in {twice['split'].iloc[0]}"
    found = summary.of(table, run.emotions, run.attributes)
    for split in sorted(found.keys() | run.metrics.keys()):
        yield from _differing(split, run.metrics.get(split, {}), found.get(split, {}))


def _differing(split: str, recorded: Mapping[str, float], found: Mapping[str, float]) -> Iterator[str]:
    for name in sorted(recorded.keys() | found.keys()):
        if name not in found:
            yield f"{split} {name}: the record says {recorded[name]:.6f}, the predictions give none"
        elif name not in recorded:
            yield f"{split} {name}: the predictions give {found[name]:.6f}, the record has none"
        elif abs(found[name] - recorded[name]) > TOLERANCE:
            said, given = recorded[name], found[name]
            yield f"{split} {name}: the record says {said:.6f}, the predictions give {given:.6f}"


def _digest(rows: pd.DataFrame) -> str:
    """The same for the same utterances, speakers and labels in any order."""
    named = rows[["utterance", "speaker", "label"]].astype("object")
    return str(pd.util.hash_pandas_object(named, index=False).sum())


def _inconsistent(store: Store, truths: Mapping[tuple[int, str], Sequence[Truth]]) -> Iterator[Problem]:
    """Runs whose utterances, speakers or labels of a fold and split are not those of most others."""
    for (fold, split), seen in truths.items():
        votes = Counter(digest for _, digest in seen)
        usual = max(votes, key=lambda digest: (votes[digest], digest))
        model = next(run_id for run_id, digest in seen if digest == usual)
        for run_id, digest in seen:
            if digest != usual:
                reason = _difference(store, run_id, model, split)
                yield Problem(store.predictions_path(run_id), f"fold {fold}, {split}: {reason}")


def _difference(store: Store, run_id: str, model: str, split: str) -> str:
    """How the predictions of a run differ from those of another of its comparison."""
    ours, theirs = (_truth(store, name, split) for name in (run_id, model))
    only = {"lacks": theirs.index.difference(ours.index), "adds": ours.index.difference(theirs.index)}
    parts = [f"{verb} {len(names)} (such as {names[0]})" for verb, names in only.items() if len(names)]
    shared = ours.index.intersection(theirs.index)
    for column in ("speaker", "label"):
        other = shared[(ours.loc[shared, column] != theirs.loc[shared, column]).to_numpy()]
        if len(other):
            parts.append(f"gives {len(other)} another {column} (such as {other[0]})")
    what = ", ".join(parts) or "holds an utterance more than once"
    return f"of the utterances of {model}, most others' too, it {what}"


def _truth(store: Store, run_id: str, split: str) -> pd.DataFrame:
    table = store.predictions(run_id)
    rows = table[table["split"] == split].drop_duplicates("utterance")
    return rows.set_index("utterance")[["speaker", "label"]]
