"""One comparison: what it is called, what it was tested on, and what its encoders cost.

    rows = accuracy[accuracy["comparison"] == name]
    title(rows)                                        "RAVDESS, protocol luna, recipe 1f0c9a3e"
    scope(rows)                                        "1,440 test utterances, 24 speakers, 5 folds × 1 seed"
    encoder_cost(row, hardware, 10.0, profiles)        that system's profile on that machine

Shared by the leaderboard and the figures, so that both name things alike.
"""

from __future__ import annotations

import pandas as pd

from bench.report import units

LATENCY_SECONDS = 10.0  # of the Pareto figure


def title(rows: pd.DataFrame) -> str:
    """What a comparison is called: corpus, protocol, a split other than "test", options, recipe."""
    first = rows.iloc[0]
    options = f" ({first['options']})" if first["options"] else ""
    return f"{first['corpus_title']}{options}, {_tested(first)}, recipe {first['recipe']}"


def _tested(first: pd.Series) -> str:
    """The protocol, and the split where it is not simply the test split: "protocol official-2.0, Test1"."""
    split = "" if first["split"] == "test" else f", {first['split'].capitalize()}"
    return f"protocol {first['protocol']}{split}"


def scope(rows: pd.DataFrame) -> str:
    """What the comparable systems were scored on: "1,440 test utterances, 24 speakers, 5 folds × 1 seed"."""
    widest = rows.sort_values(["comparable", "utterances"], ascending=False, kind="stable").iloc[0]
    kind = "development" if widest["split"] == "dev" else "test"
    things = {"utterances": f"{kind} utterance", "speakers": "speaker"}
    tested = ", ".join(units.counted(widest[column], thing) for column, thing in things.items())
    folds, seeds = widest["folds_expected"], widest["seeds_expected"]
    return f"{tested}, {units.counted(folds, 'fold')} × {units.counted(seeds, 'seed')}"


def tested_emotions(rows: pd.DataFrame) -> list[str]:
    """Emotions that stand in the test utterances; guessing gives a UAR of one over their number."""
    held = [emotion for support in rows["support"] for emotion, count in support.items() if count]
    return [emotion for emotion in rows["emotions"].iloc[0] if emotion in held]


def subject(rows: pd.DataFrame) -> str:
    """The corpus and what was tested, for a figure; a synthetic corpus is called one."""
    first = rows.iloc[0]
    warning = "synthetic corpus: smoke test · " if first["synthetic"] else ""
    return f"{warning}{first['corpus_title']}, {_tested(first)}: {scope(rows)}"


def hardware_of(rows: pd.DataFrame, profiles: pd.DataFrame) -> list[str]:
    """Hardware on which the encoder of this comparison was profiled, most profiles first."""
    if profiles.empty:
        return []
    matching = profiles[(profiles["network"] == rows["network"].iloc[0]) & (profiles["target"] == "encoder")]
    sizes = matching.groupby("hardware").size()
    return sorted(sizes.index, key=lambda name: (-sizes[name], name))


def encoder_profiles(network: str, hardware: str, profiles: pd.DataFrame) -> pd.DataFrame:
    """The finished profiles of the encoders of a comparison on one machine."""
    fits = (
        (profiles["network"] == network)
        & (profiles["target"] == "encoder")
        & (profiles["hardware"] == hardware)
        & (profiles["status"] == "ok")
    )
    return profiles[fits]


def encoder_cost(row: pd.Series, hardware: str, seconds: float, profiles: pd.DataFrame) -> pd.Series | None:
    """The finished profile of a system's encoder at one length, or None."""
    finished = encoder_profiles(row["network"], hardware, profiles)
    fits = (
        (finished["layout"] == row["layout"])
        & (finished["direction"] == row["direction"])
        & (finished["seconds"] == seconds)
    )
    return finished[fits].iloc[0] if fits.any() else None
