"""What the drill-down shows of every run: learning curve, confusion counts, scores, cost, machine, settings.

    drilldown(runs, accuracy)       # {"of": {base: [run, …]}, "settings": {base: {…}}, "machines": [{…}, …]}

`base` is the id that the runs of one training conditions share over splits (`data.base_of`). Settings are
written once a base, machines once each. Curves are cut to four digits: a thousand runs of 40 epochs are about
1.3 MB.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.config import content_id
from bench.evidence.comparison import comparison
from bench.evidence.records import Epoch, RunRecord

_CURVES = {"loss": "train_loss", "uar": "dev_uar", "f1": "dev_macro_f1", "ccc": "dev_ccc"}


def drilldown(runs: Sequence[RunRecord], accuracy: pd.DataFrame) -> dict[str, Any]:
    """Every run under the base of its comparison, by system, seed and fold; see the module's text."""
    if accuracy.empty:
        return {"of": {}, "settings": {}, "machines": []}
    confusions = _confusions(accuracy)
    machines: dict[str, int] = {}
    of: dict[str, list[dict[str, Any]]] = defaultdict(list)
    settings: dict[str, dict[str, Any]] = {}
    for record in sorted(runs, key=_order):
        base = content_id(comparison(record))
        settings.setdefault(base, _settings(record))
        found = _run(record, confusions[record.id])
        of[base].append(found | {"machine": machines.setdefault(_machine(record), len(machines))})
    return {"of": of, "settings": settings, "machines": [json.loads(text) for text in machines]}


def _order(run: RunRecord) -> tuple[Any, ...]:
    system = run.config.system
    return system.layout, system.direction, run.config.seed, run.config.task.fold, run.id


def _run(run: RunRecord, confusions: dict[str, list[int]]) -> dict[str, Any]:
    system = run.config.system
    return {
        "id": run.id,
        "layout": system.layout,
        "direction": system.direction,
        "fold": run.config.task.fold,
        "seed": run.config.seed,
        "preset": run.preset,
        "status": run.status,
        "reason": run.reason,
        "best": run.best_epoch,
        "curve": {name: _line(run.curve, field) for name, field in _CURVES.items()},
        "scores": {split: _shortened(scores) for split, scores in sorted(run.metrics.items())},
        "confusion": confusions,
        "utterances": run.utterances,
        "skipped": len(run.skipped_files),
        "parameters": run.parameters and run.parameters.model_dump(),
        "train": run.cost and _digits(run.cost.train_s),
        "wall": run.cost and _digits(run.cost.cohort_wall_s),
        "cohort": len(run.cost.cohort) if run.cost else None,
        "commit": run.environment.git_commit,
        "dirty": run.environment.git_dirty,
    }


def _line(epochs: Sequence[Epoch], field: str) -> list[float | None]:
    """One quantity, epoch by epoch; empty where no epoch has it."""
    values = [getattr(epoch, field) for epoch in epochs]
    return [] if all(value is None for value in values) else [_digits(value) for value in values]


def _digits(value: float | None) -> float | None:
    """Four digits; None where it is missing or not finite."""
    return None if value is None or not abs(value) < float("inf") else float(f"{value:.4g}")


def _shortened(scores: dict[str, float]) -> dict[str, float]:
    """The scores but for recalls, which are in the confusion counts."""
    return {name: round(value, 6) for name, value in scores.items() if not name.startswith("recall_")}


def _confusions(accuracy: pd.DataFrame) -> dict[str, dict[str, list[int]]]:
    """Confusion counts by run and split, row by row (reference); none where no emotions were told apart."""
    found: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for split, runs in zip(accuracy["split"], accuracy["confusions"], strict=True):
        for name, counts in runs.items():
            found[name][split] = counts
    return found


def _settings(run: RunRecord) -> dict[str, Any]:
    """The settings that all runs of a base share."""
    config = run.config.model_dump(mode="json")
    task = {name: value for name, value in config["task"].items() if name != "fold"}
    return {"task": task} | {name: config[name] for name in ("features", "encoder", "recipe")}


def _machine(run: RunRecord) -> str:
    """Where it ran, less the commit, as JSON: the same text for the same machine."""
    where = run.environment.model_dump(mode="json", exclude={"git_commit", "git_dirty"})
    return json.dumps(where, sort_keys=True)
