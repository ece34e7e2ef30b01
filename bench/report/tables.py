"""Tidy tables made from the records: the one source of every leaderboard row and every figure.

    accuracy_table(store)     one row a (comparison, layout, direction): scores pooled over the folds
    profile_table(store)      one row a profile

A *comparison* is what may be compared: one corpus, protocol, corpus options, features, encoder and recipe,
scored on one split; its id is the hash of these and the split's name. Where a protocol has several test
splits, each is a comparison, and so is dev. The folds and seeds expected of each system are those that any
system of the comparison has. A cell that failed is counted and its reason kept. What is scored:
`bench.report.scoring`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.attributes import ATTRIBUTES
from bench.config import AnyEncoder, AnyFeatures, Recipe, Settings, System, content_id
from bench.evidence import concordance
from bench.evidence.bootstrap import Estimate, Interval
from bench.evidence.metrics import METRICS
from bench.evidence.records import Label, ProfileRecord, RunRecord
from bench.evidence.store import Store
from bench.report import units
from bench.report.scoring import Predictions, Scored, common_utterances, estimates, obstacle, score

BASELINE = "softmax"


class Network(Settings):
    """What joins a run to the profiles of its encoder."""

    features: AnyFeatures
    encoder: AnyEncoder


class Conditions(Network):
    """What a leaderboard calls the recipe."""

    recipe: Recipe


class Comparison(Conditions):
    """All that two systems must share for their scores to be comparable."""

    corpus: str
    protocol: str
    corpus_options: dict[str, int]


def accuracy_table(store: Store) -> pd.DataFrame:
    """One row a system, by comparison (real corpora first) and then best first; scores are fractions.

    The comparison: `comparison` (id), corpus, corpus_title, protocol, options, recipe and network (hashes),
    setting, presets, synthetic, emotions and attributes (those trained; either may be none), folds_expected,
    seeds_expected, split. The system: layout,
    direction, name, mixers, parameters, train_s (mean of a cell), cells_ok, failures (one text a failed
    cell), comparable, note (why not). Its scores: folds, seeds, utterances, speakers, support (utterances by
    emotion); uar, macro_f1, wa and recall_<emotion>, ccc (the mean) and ccc_<attribute>, each with _low and
    _high (95 %), NaN where not trained; delta, delta_low, delta_high (headline score less softmax's in the
    same direction, paired). The headline score, which orders the rows, is UAR, or ccc where attributes alone
    are trained. Empty where there are no runs.
    """
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for run in store.runs():
        groups[content_id(_comparison(run))].append(run)
    rows = []
    for name, runs in groups.items():
        predictions = Predictions(store)
        for split in _splits(runs):
            rows += _comparison_rows(predictions, name, runs, split)
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    table["headline"] = table["uar"].where(table["emotions"].map(len) > 0, table["ccc"])
    order = ["synthetic", "corpus", "protocol", "comparison", "comparable", "headline", "layout", "direction"]
    upward = [True, True, True, True, False, False, True, True]
    return table.sort_values(order, ascending=upward, ignore_index=True).drop(columns="headline")


def _splits(runs: Sequence[RunRecord]) -> list[str]:
    """The splits to report: "test"; where the protocol names its test splits or has none, dev and these."""
    scored = sorted({split for run in runs for split in run.metrics})
    return ["test"] if "test" in scored or not scored else scored


def _comparison(run: RunRecord) -> Comparison:
    cell = run.config
    return Comparison(
        corpus=cell.task.corpus,
        protocol=cell.task.protocol,
        corpus_options=cell.task.corpus_options,
        features=cell.features,
        encoder=cell.encoder,
        recipe=cell.recipe,
    )


def _comparison_rows(
    predictions: Predictions, name: str, runs: Sequence[RunRecord], split: str
) -> list[dict[str, Any]]:
    folds = {run.config.task.fold for run in runs}
    systems: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for run in runs:
        systems[run.config.system.layout, run.config.system.direction].append(run)
    scored = {key: score(predictions, systems[key], folds, split) for key in sorted(systems)}
    found = {key: estimates(some) for key, some in scored.items() if some}
    common = common_utterances(scored.values(), folds)
    notes = {key: obstacle(some, folds, common) for key, some in scored.items()}
    shared = _comparison_columns(name if split == "test" else f"{name}-{split}", runs) | {"split": split}
    return [
        shared
        | _system_columns(systems[key])
        | {"note": notes[key], "comparable": not notes[key]}
        | _scored_columns(scored[key])
        | _score_columns(found.get(key, {}), runs[0].emotions)
        | _interval_columns("delta", _difference(key, found, notes))
        for key in scored
    ]


def _comparison_columns(name: str, runs: Sequence[RunRecord]) -> dict[str, Any]:
    run = runs[0]
    cell = run.config
    options = cell.task.corpus_options
    conditions = Conditions(features=cell.features, encoder=cell.encoder, recipe=cell.recipe)
    return {
        "comparison": name,
        "corpus": cell.task.corpus,
        "corpus_title": run.corpus_title,
        "protocol": cell.task.protocol,
        "options": ", ".join(f"{option} {options[option]}" for option in sorted(options)),
        "recipe": content_id(conditions)[:8],
        "network": content_id(Network(features=cell.features, encoder=cell.encoder)),
        "setting": f"{cell.encoder.summary}; {cell.recipe.epochs} epochs",
        "presets": ", ".join(sorted({run.preset for run in runs})),
        "synthetic": run.synthetic,
        "emotions": run.emotions,
        "attributes": run.attributes,
        "folds_expected": len({run.config.task.fold for run in runs}),
        "seeds_expected": len({run.config.seed for run in runs}),
    }


def _system_columns(cells: Sequence[RunRecord]) -> dict[str, Any]:
    cells = sorted(cells, key=lambda run: (run.config.task.fold, run.config.seed))
    done = [cell for cell in cells if cell.status == "ok"]
    sizes = [cell.parameters.total for cell in done if cell.parameters]
    times = [cell.cost.train_s for cell in done if cell.cost]
    return {
        "layout": cells[0].config.system.layout,
        "direction": cells[0].config.system.direction,
        "name": _name(cells[0].label, cells[0].config.system),
        "mixers": cells[0].label.mixers,
        "parameters": max(sizes, default=np.nan),
        "train_s": float(np.mean(times)) if times else np.nan,
        "cells_ok": len(done),
        "failures": tuple(_failure(cell) for cell in cells if cell.status != "ok"),
    }


def _name(label: Label, system: System) -> str:
    """How a system is called in tables and figures: bidirectional unless it says causal."""
    return label.text if system.direction == "bidirectional" else f"{label.text}, causal"


def _failure(run: RunRecord) -> str:
    status = {"oom": "out of memory"}.get(run.status, run.status)
    reason = " ".join(run.reason.split()) or "no reason recorded"
    return f"fold {run.config.task.fold}, seed {run.config.seed}: {status}: {reason}"


def _scored_columns(scored: Scored | None) -> dict[str, Any]:
    if scored is None:
        return {"folds": 0, "seeds": 0, "utterances": 0, "speakers": 0, "support": {}}
    support = scored.counts[0].sum(axis=(0, 2))
    return {
        "folds": len(scored.folds),
        "seeds": len(scored.seeds),
        "utterances": len(scored.utterances),
        "speakers": len(scored.speakers),
        "support": dict(zip(scored.emotions, support.tolist(), strict=True)),
    }


def _score_columns(found: Mapping[str, Estimate], emotions: Sequence[str]) -> dict[str, float]:
    columns: dict[str, float] = {}
    for name in (*METRICS, *(f"recall_{emotion}" for emotion in emotions), *concordance.metrics(ATTRIBUTES)):
        columns |= _interval_columns(name, found.get(name))
    return columns


def _difference(
    key: tuple[str, str],
    found: Mapping[tuple[str, str], Mapping[str, Estimate]],
    notes: Mapping[tuple[str, str], str],
) -> Estimate | None:
    """Headline score less softmax's in the same direction.

    None for softmax and where either is not comparable.
    """
    baseline = (BASELINE, key[1])
    if key == baseline or notes[key] or notes.get(baseline, "not run"):
        return None
    headline = "uar" if "uar" in found[key] else "ccc"
    return found[key][headline] - found[baseline][headline]


def _interval_columns(name: str, estimated: Estimate | None) -> dict[str, float]:
    interval = estimated.interval() if estimated else Interval(np.nan, np.nan, np.nan)
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def profile_table(store: Store) -> pd.DataFrame:
    """One row a profile, by hardware, network, target, layout, direction and length.

    Columns: hardware (text: device, threads, and what differs from batch 1 in float32), device, network
    (hash, as in `accuracy_table`), setting, target, layout, direction, name, mixers, seconds, frames, status,
    reason, converged, median_ms, low_ms, high_ms (95 % of the median; the range of the samples where these
    are too few for an interval), peak_bytes, state_bytes, flops, parameters. Empty where there are no
    profiles.
    """
    rows = [_profile_row(profile) for profile in store.profiles()]
    if not rows:
        return pd.DataFrame()
    order = ["hardware", "network", "target", "layout", "direction", "seconds"]
    return pd.DataFrame(rows).sort_values(order, ignore_index=True)


def _profile_row(profile: ProfileRecord) -> dict[str, Any]:
    shape = profile.shape
    measured = ("status", "reason", "frames", "converged", "median_ms", "flops", "parameters")
    numbers = {name: getattr(profile, name) for name in measured}
    return numbers | {
        "hardware": _hardware(profile),
        "device": shape.device,
        "network": content_id(Network(features=shape.features, encoder=shape.encoder)),
        "setting": shape.encoder.summary,
        "target": shape.target,
        "layout": shape.system.layout,
        "direction": shape.system.direction,
        "name": _name(profile.label, shape.system),
        "mixers": profile.label.mixers,
        "seconds": shape.seconds,
        "median_ms": _number(profile.median_ms),
        "low_ms": _bound(profile.median_low_ms, min, profile.samples_ms),
        "high_ms": _bound(profile.median_high_ms, max, profile.samples_ms),
        "peak_bytes": _number(profile.peak_bytes),
        "state_bytes": _number(profile.state_bytes),
        "flops": _number(profile.flops),
        "parameters": _number(profile.parameters),
    }


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _bound(
    bound: float | None, extreme: Callable[[tuple[float, ...]], float], samples: tuple[float, ...]
) -> float:
    return _number(extreme(samples) if bound is None and samples else bound)


def _hardware(profile: ProfileRecord) -> str:
    shape = profile.shape
    parts = [shape.device]
    if profile.environment.device_kind == "cpu":
        parts.append(units.counted(shape.threads, "thread"))
    if shape.dtype != "float32":
        parts.append(shape.dtype)
    if shape.batch != 1:
        parts.append(f"batch {shape.batch}")
    return ", ".join(parts)
