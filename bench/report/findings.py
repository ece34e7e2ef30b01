"""Findings in plain words, computed from the tables: the first sentence of every section and figure.

    accuracy(rows of one comparison)       "Mamba-2 scores highest, 58.2 % UAR, but cannot be told apart …"
    cost(profiles of one machine, LATENCY) "Softmax is not beaten below 30 s; at 1 min RetNet is 2× as fast."

"Beats" is said only where the p-value, adjusted for all the differences of the comparison, is below 0.05;
"faster" only where the 95 % intervals allow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.evidence.ranks import LEVEL
from bench.report import headline, units
from bench.report.tables import BASELINE


def accuracy(rows: pd.DataFrame) -> str:
    """Which system of a comparison scores highest, and whether it differs from its direction's baseline."""
    ranked = rows[rows["comparable"]]
    if ranked.empty:
        return "No system has been scored on every fold yet."
    best = ranked.iloc[0]
    measure = headline.of(ranked)
    score = measure.said(best[measure.column])
    if best["layout"] == best["baseline"]:
        return _baseline_leads(best["name"], score, ranked[ranked["direction"] == best["direction"]].iloc[1:])
    baseline = baseline_name(rows)
    if pd.isna(best["delta"]):
        return f"{best['name']} scores highest, {score}; there is no comparable {baseline} beside it."
    low, high = (measure.difference(best[f"delta_{end}"]) for end in ("low", "high"))
    evidence = f"95 % interval {low} to {high}, adjusted p {units.probability(best['p_adjusted'])}"
    if best["delta"] > 0 and best["p_adjusted"] < LEVEL:
        gain = measure.gap(best["delta"])
        return f"{best['name']} scores highest, {score}, and beats {baseline} by {gain} ({evidence})."
    return (
        f"{best['name']} scores highest, {score}, but cannot be told apart from {baseline} "
        f"({measure.lead(best['delta'])}, {evidence})."
    )


def baseline_name(rows: pd.DataFrame) -> str:
    """What the baseline of a comparison is called inside a sentence."""
    layout = rows["baseline"].iloc[0]
    if layout == BASELINE:
        return "softmax"
    named = rows.loc[rows["layout"] == layout, "name"]
    return str(named.iloc[0]).removesuffix(", causal") if len(named) else str(layout)


def _baseline_leads(name: str, score: str, others: pd.DataFrame) -> str:
    if others.empty:
        return f"{name} scores {score}; there is nothing to compare it with."
    alike = others.loc[~(others["p_adjusted"] < LEVEL), "name"].tolist()
    if not alike:
        return f"{name} scores highest, {score}, and beats every other system of its direction."
    return f"No system beats {name}, {score}; {units.listing(alike)} cannot be told apart from it."


@dataclass(frozen=True)
class Quantity:
    """A measured cost: its columns in the profile table and how sentences speak of it."""

    value: str
    low: str
    high: str
    least: str  # "is fastest"
    none_better: str  # "no encoder is faster than"


LATENCY = Quantity("median_ms", "low_ms", "high_ms", "is fastest", "is faster than")
MEMORY = Quantity(
    "peak_bytes", "peak_bytes", "peak_bytes", "needs the least memory", "needs less memory than"
)
STATE = Quantity("state_bytes", "state_bytes", "state_bytes", "keeps the least", "keeps less than")


def cost(profiles: pd.DataFrame, quantity: Quantity) -> str:
    """Which encoder (or mixer, where none was profiled) costs least, and from which length on."""
    done = profiles[(profiles["status"] == "ok") & (profiles[quantity.value] > 0)]
    target = next(
        name for name in ("encoder", "mixer", "model", "fla_layer") if (done["target"] == name).any()
    )
    done = done[done["target"] == target]
    direction = done["direction"].mode().iloc[0]
    done = done[done["direction"] == direction].sort_values([quantity.value, "layout"])
    softmax = done[done["layout"] == BASELINE].set_index("seconds").sort_index()
    longest = float(softmax.index.max() if len(softmax) else done["seconds"].max())
    best = done[done["seconds"] == longest].iloc[0]
    if softmax.empty:
        return f"At {units.seconds(longest)} of speech {best['name']} {quantity.least}."
    leaders = done.drop_duplicates("seconds").set_index("seconds")
    beaten = [s for s in softmax.index if leaders.at[s, quantity.high] < softmax.at[s, quantity.low]]
    if longest not in beaten:
        name = softmax["name"].iloc[0]
        return f"At {units.seconds(longest)} of speech no {target} {quantity.none_better} {name}."
    ratio = units.significant(softmax.at[longest, quantity.value] / best[quantity.value])
    return _beaten_from(_last_stretch(softmax.index.tolist(), beaten), best["name"], ratio, longest, quantity)


def _last_stretch(lengths: Sequence[float], beaten: Sequence[float]) -> float | None:
    """The length from which on softmax is beaten at all longer ones; None where that is all of them."""
    unbeaten = [length for length in lengths if length not in beaten]
    return min(length for length in lengths if length > max(unbeaten)) if unbeaten else None


def _beaten_from(start: float | None, best: str, ratio: str, longest: float, quantity: Quantity) -> str:
    at = units.seconds(longest)
    if quantity is not LATENCY:
        verb = "needs" if quantity is MEMORY else "keeps"
        return f"At {at} of speech {best} {quantity.least}; softmax {verb} {ratio}× as much."
    if start is None:
        return f"At {at} of speech {best} {quantity.least}: {ratio}× as fast as softmax."
    if start == longest:
        return f"Softmax is not beaten below {at}, where {best} is {ratio}× as fast."
    return f"Softmax is not beaten below {units.seconds(start)}; at {at} {best} is {ratio}× as fast."


def pareto(points: pd.DataFrame, quantity: Quantity = LATENCY) -> str:
    """Which systems are on the Pareto front (column `front`) of `uar` against the quantity."""
    front = points[points["front"]].sort_values(quantity.value)
    timed = quantity is LATENCY
    if len(points) == 1:
        only = points.iloc[0]
        cost = (units.milliseconds if timed else units.memory)(only[quantity.value])
        return f"{only['name']}: {units.percent(only['uar'])} % UAR {'in' if timed else 'with'} {cost}."
    first, best = front["name"].iloc[0], front["name"].iloc[-1]
    if len(front) == 1:
        cheapest = "is both the fastest and" if timed else "needs the least memory and is"
        return f"{best} {cheapest} the most accurate."
    count = f"{len(front)} of {len(points)} systems are on the Pareto front"
    return f"{count}, from {first} ({'fastest' if timed else 'least memory'}) to {best} (most accurate)."


def sizes(files: pd.DataFrame) -> str:
    """Which exported files are on the front of `uar` against their size (column `front_file_bytes`)."""
    front = files[files["front_file_bytes"]].sort_values("file_bytes")
    best = front.iloc[-1]
    said = f"{best['name']} in {units.memory(best['file_bytes'])} ({units.percent(best['uar'])} % UAR)"
    if len(front) == 1:
        return f"No file is smaller than {said} or more accurate."
    first = front.iloc[0]
    return (
        f"{len(front)} of {len(files)} files are worth their size, from {first['name']} in "
        f"{units.memory(first['file_bytes'])} ({units.percent(first['uar'])} %) to {said}."
    )


def recall(rows: pd.DataFrame) -> str:
    """Which emotion the systems of a comparison recognise best on average, and which worst."""
    means = {emotion: rows[f"recall_{emotion}"].mean() for emotion in rows["emotions"].iloc[0]}
    present = pd.Series(means).dropna().sort_values(ascending=False, kind="stable")
    best, worst = present.index[0], present.index[-1]
    return (
        f"{best.capitalize()} is recognised best ({100 * present[best]:.0f} % on average), "
        f"{worst} worst ({100 * present[worst]:.0f} %)."
    )
