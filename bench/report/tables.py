"""Tidy tables made from the records: the one source of every leaderboard row and every figure.

    accuracy_table(store)     one row a (comparison, layout, direction): scores pooled over the folds
    score_tables(store)       the same, and one row a (comparison, layout, direction, group of utterances)
    every_profile(store)      one row a profile; profile_table(store): those beside a leaderboard

The folds and seeds expected of each system of a comparison are those that any of its systems has. A cell that
failed is counted and its reason kept. What a comparison is: `bench.report.comparisons`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.attributes import ATTRIBUTES
from bench.config import STREAMS, System, content_id
from bench.evidence import concordance
from bench.evidence.bootstrap import UNKNOWN, Estimate
from bench.evidence.comparison import Conditions, Network
from bench.evidence.metrics import METRICS
from bench.evidence.records import Ceilings, Label, ProfileRecord, RunRecord
from bench.evidence.speech import speech_s
from bench.evidence.store import Store
from bench.report import units
from bench.report.arousal import arousal_columns
from bench.report.comparisons import Compared, Key, comparisons
from bench.report.contrasts import DIFFERENCES, RANKS, SPREAD, contrasts, spread_columns
from bench.report.grouping import group_rows
from bench.report.scoring import Scored, confusions, estimates, headline, resample
from bench.report.sweeps import Machine, ceilings_of

BASELINE = "softmax"
UNFUSED = "softmax_unfused"
KERNELS = "fla's kernels"  # what a regime is called in which recurrences ran on them


def accuracy_table(store: Store, baseline: str = BASELINE) -> pd.DataFrame:
    """One row a system, by comparison (real corpora first) and then best first; scores are fractions.

    The comparison: `comparison` (id), corpus, corpus_title, protocol, release ("" where the protocol names
    none), options, recipe and network (hashes), setting, presets, synthetic, emotions and attributes (those
    trained; either may be none), folds_expected, seeds_expected, split, baseline (a layout). The system:
    layout, direction, name, mixers, parameters, train_s (mean of a cell), cells_ok, failures (one text a
    failed cell), comparable, note (why not). Its scores: folds, seeds, utterances, speakers, support
    (utterances by emotion), confusions (counts, row by row of the reference, by the id of a finished run);
    uar, macro_f1, wa and recall_<emotion>, ccc (the mean) and ccc_<attribute>, each with _low and _high
    (95 %), NaN where not trained.

    Of the headline score, which orders the rows (UAR, or ccc where attributes alone are trained): delta,
    delta_low, delta_high, p, p_adjusted and detectable (less the baseline's in the same direction, paired:
    `bench.evidence.differences`), rank_group, rank_low and rank_high (`bench.evidence.ranks`), sd_speakers,
    sd_seeds and sd_both (`bench.evidence.spread`). arousal_clustering with _low and _high: of its errors
    (`bench.report.arousal`). Empty where there are no runs.
    """
    return accuracy_of(store, store.runs(), baseline)


def accuracy_of(store: Store, runs: Sequence[RunRecord], baseline: str) -> pd.DataFrame:
    """`accuracy_table` of some runs of a results folder."""
    found = comparisons(store, runs)
    return _in_order([row for compared in found for row in _accuracy_rows(compared, baseline)])


def score_tables(
    store: Store, runs: Sequence[RunRecord], baseline: str = BASELINE, *readers: Callable[[Compared], None]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`accuracy_of` and the scores by groups of utterances (`bench.report.grouping`), in one reading.

    `readers` are called with every comparison while its predictions are in memory (`bench.report.details`).
    """
    rows: list[dict[str, Any]] = []
    groups: list[dict[str, Any]] = []
    for compared in comparisons(store, runs):
        rows += _accuracy_rows(compared, baseline)
        groups += group_rows(compared)
        for reader in readers:
            reader(compared)
    return _in_order(rows), pd.DataFrame(groups)


def _in_order(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Of one corpus and protocol the comparison of most systems comes first; in it the best."""
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    table["headline"] = table["uar"].where(table["emotions"].map(len) > 0, table["ccc"])
    table["systems"] = table.groupby("comparison")["layout"].transform("size")
    upward = {"synthetic": True, "corpus": True, "protocol": True, "systems": False, "comparison": True}
    upward |= {"comparable": False, "headline": False, "layout": True, "direction": True}
    table = table.sort_values(list(upward), ascending=list(upward.values()), ignore_index=True)
    return table.drop(columns=["headline", "systems"])


def _accuracy_rows(compared: Compared, baseline: str) -> list[dict[str, Any]]:
    found = {key: estimates(scored) for key, scored in compared.scored.items() if scored}
    name = "uar" if compared.runs[0].emotions else "ccc"
    contrasted = contrasts({key: found[key][name] for key in compared.comparable}, baseline)
    shared = _comparison_columns(compared) | {"baseline": baseline}
    return [
        shared
        | _system_columns(compared.systems[key])
        | {"note": compared.notes[key], "comparable": not compared.notes[key]}
        | _scored_columns(compared.scored[key])
        | {"confusions": _confusions(compared, key)}
        | _score_columns(found.get(key, {}), compared.runs[0].emotions)
        | contrasted.get(key, dict.fromkeys((*DIFFERENCES, *RANKS), np.nan))
        | _spread_columns(compared.scored[key])
        | arousal_columns(compared.scored[key], compared.runs[0].synthetic)
        for key in compared.scored
    ]


def _confusions(compared: Compared, key: Key) -> dict[str, list[int]]:
    return confusions(compared.predictions, compared.systems[key], compared.scored[key], compared.split)


def _spread_columns(scored: Scored | None) -> dict[str, float]:
    if scored is None:
        return dict.fromkeys(SPREAD, np.nan)
    _, metric, statistics = headline(scored)
    return spread_columns(metric, resample(statistics))


def _comparison_columns(compared: Compared) -> dict[str, Any]:
    runs, run = compared.runs, compared.runs[0]
    cell = run.config
    options = cell.task.corpus_options
    conditions = Conditions(features=cell.features, encoder=cell.encoder, recipe=cell.recipe)
    return {
        "comparison": compared.id,
        "corpus": cell.task.corpus,
        "corpus_title": run.corpus_title,
        "protocol": cell.task.protocol,
        "release": cell.task.protocol.partition("-")[2],
        "options": ", ".join(f"{option} {options[option]}" for option in sorted(options)),
        "recipe": content_id(conditions)[:8],
        "network": content_id(Network(features=cell.features, encoder=cell.encoder)),
        "setting": f"{cell.encoder.summary}; {cell.recipe.summary}",
        "presets": ", ".join(sorted({run.preset for run in runs})),
        "synthetic": run.synthetic,
        "emotions": run.emotions,
        "attributes": run.attributes,
        "folds_expected": len({run.config.task.fold for run in runs}),
        "seeds_expected": len({run.config.seed for run in runs}),
        "split": compared.split,
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
        "utterances": len(scored.utterances[0]),
        "speakers": len(scored.speakers),
        "support": dict(zip(scored.emotions, support.tolist(), strict=True)),
    }


def _score_columns(found: Mapping[str, Estimate], emotions: Sequence[str]) -> dict[str, float]:
    columns: dict[str, float] = {}
    for name in (*METRICS, *(f"recall_{emotion}" for emotion in emotions), *concordance.metrics(ATTRIBUTES)):
        columns |= (found[name].interval() if name in found else UNKNOWN).columns(name)
    return columns


def profile_table(store: Store) -> pd.DataFrame:
    """The rows of `every_profile` that stand beside a leaderboard: of the plain regime."""
    return plain(every_profile(store))


def plain(profiles: pd.DataFrame) -> pd.DataFrame:
    """The rows of the plain regime."""
    return profiles if profiles.empty else profiles[profiles["regime"] == ""].reset_index(drop=True)


def every_profile(store: Store) -> pd.DataFrame:
    """One row a profile, by hardware, network, regime, target, layout, direction and length.

    Columns: hardware (text: device, threads, and what differs from batch 1 in float32), device, network
    (hash, as in `accuracy_table`), setting, regime (text: what differs from a forward pass of equally long
    utterances, run eagerly; empty where nothing does), work, target, layout, direction, name, mixers,
    seconds, frames, status, reason, converged, samples_ms (those that the median is taken over), median_ms,
    low_ms, high_ms (95 % of the median; the range of the samples where these are too few for an interval),
    peak_bytes, state_bytes, energy_j, flops, parameters, batch, call_s (speech that one call takes in), and
    what follows from these: rtf (time over speech), bytes_per_minute (of speech; NaN in a stream),
    ceiling_share (of the fastest matrix product of any sweep on that machine).
    Of throughput batches the times are those of one utterance. Softmax, which runs no kernel of fla, stands
    among the systems that do, too. Empty where there are no profiles.
    """
    ceilings = ceilings_of(store.sweeps())
    rows = [_profile_row(profile, ceilings) for profile in store.profiles()]
    if not rows:
        return pd.DataFrame()
    order = ["hardware", "network", "regime", "target", "layout", "direction", "seconds"]
    return _beside_kernels(pd.DataFrame(rows)).sort_values(order, ignore_index=True)


def _beside_kernels(profiles: pd.DataFrame) -> pd.DataFrame:
    """The profiles, and those of softmax once more in each regime of kernels: it runs none of them."""
    alone = profiles[profiles["mixers"].map(lambda names: set(names) <= {BASELINE, UNFUSED})]
    parts = [profiles]
    for regime in sorted(set(profiles["regime"])):
        kept = [part for part in regime.split(", ") if part != KERNELS]
        if ", ".join(kept) != regime:
            parts.append(alone[alone["regime"] == ", ".join(kept)].assign(regime=regime))
    places = pd.MultiIndex.from_frame(profiles[["hardware", "network", "regime"]])
    table = pd.concat(parts, ignore_index=True)
    return table[pd.MultiIndex.from_frame(table[["hardware", "network", "regime"]]).isin(places)]


def _profile_row(profile: ProfileRecord, ceilings: Mapping[Machine, Ceilings]) -> dict[str, Any]:
    shape = profile.shape
    measured = ("status", "reason", "frames", "converged")
    numbers = {name: getattr(profile, name) for name in measured}
    return numbers | {
        "hardware": _hardware(profile),
        "device": shape.device,
        "network": content_id(Network(features=shape.features, encoder=shape.encoder)),
        "setting": shape.encoder.summary,
        "regime": _regime(profile),
        "work": shape.work,
        "target": shape.target,
        "layout": shape.system.layout,
        "direction": shape.system.direction,
        "name": _name(profile.label, shape.system),
        "mixers": profile.label.mixers,
        "seconds": shape.seconds,
        **_times(profile),
        "peak_bytes": _number(profile.peak_bytes),
        "state_bytes": _number(profile.state_bytes),
        "energy_j": _number(profile.joules),
        "flops": _number(profile.flops),
        "parameters": _number(profile.parameters),
        **_derived(profile, ceilings),
    }


def _times(profile: ProfileRecord) -> dict[str, Any]:
    """Samples, median and its interval in ms: of one call, or (throughput) of an utterance of it."""
    share = _batch(profile) if profile.shape.batch == "throughput" else 1
    samples = tuple(sample / share for sample in profile.trusted_ms)
    return {
        "samples_ms": samples,
        "median_ms": _number(profile.median_ms) / share,
        "low_ms": _bound(profile.median_low_ms, min, profile.trusted_ms) / share,
        "high_ms": _bound(profile.median_high_ms, max, profile.trusted_ms) / share,
    }


def _derived(profile: ProfileRecord, ceilings: Mapping[Machine, Ceilings]) -> dict[str, float]:
    shape, batch = profile.shape, _batch(profile)
    call_s, time_s = speech_s(shape, batch), _number(profile.median_ms) / 1e3
    stream = shape.work in STREAMS
    machine = ceilings.get((shape.device, shape.device_kind, shape.threads))
    ceiling = machine.flops_per_s.get(shape.dtype, np.nan) if machine else np.nan
    return {
        "batch": batch,
        "call_s": call_s,
        "rtf": time_s / call_s,
        "bytes_per_minute": np.nan if stream else _number(profile.peak_bytes) / (call_s / 60),
        "ceiling_share": _number(profile.flops) / time_s / ceiling if time_s else np.nan,
    }


def _batch(profile: ProfileRecord) -> int:
    """Utterances of one call; of a throughput batch that failed, one."""
    asked = profile.shape.batch
    return profile.batch or (asked if isinstance(asked, int) else 1)


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
    if shape.batch not in (1, "throughput") and not shape.utterances_s:
        parts.append(f"batch {shape.batch}")
    return ", ".join(parts)


_WORKS: dict[str, str] = {
    "training": "forward and backward",
    "frame": "one frame of a stream",
    "second": "one second of a stream",
}
_ENGINES: dict[str, str] = {
    "compile": "torch.compile",
    "graph": "CUDA graph",
    "onnx": "ONNX Runtime",
    "onnx-int8": "ONNX Runtime, int8",
}


def _regime(profile: ProfileRecord) -> str:
    shape = profile.shape
    parts = [_WORKS.get(shape.work, ""), _ENGINES.get(shape.engine, "")]
    if shape.backend == "fla":
        parts.append(KERNELS)
    if shape.batch == "throughput":
        parts.append("an utterance at the fastest batch")
    if shape.utterances_s:
        parts.append(f"ragged batch of {len(shape.utterances_s)} ({shape.drawn_from})")
    return ", ".join(filter(None, parts))
