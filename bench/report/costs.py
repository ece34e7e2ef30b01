"""What the encoders of a comparison cost at 10 s, 60 s and 400 s of speech, and which are worth it.

    found = costs(rows of one comparison, profiles)      # one row a (hardware, system, length asked for)

Where an encoder was not measured at a length, the nearest that was (by ratio) stands for it, the same for all
systems of a comparison on one machine, and `seconds` says which. Energy has a column where a profile has it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bench.evidence.pareto import on_front
from bench.report import headline, sections

LENGTHS_S = (10.0, 60.0, 400.0)
MEASURED = ("median_ms", "peak_bytes")
OPTIONAL = ("energy_j",)  # columns of the profile table where measured
COLUMNS = ("hardware", "layout", "direction", "asked_s", "seconds", *MEASURED, *OPTIONAL, "front")


def costs(rows: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """Costs of one comparison's systems, by hardware (most profiles first) and length.

    Columns: COLUMNS; asked_s is one of LENGTHS_S and seconds what was measured; NaN where nothing was.
    `front`: whether no comparable system measured on that machine at that length is both as fast and as
    accurate, and better in one (the headline score against median_ms).
    """
    table = pd.DataFrame(_rows(rows, profiles), columns=[name for name in COLUMNS if name != "front"])
    table = table.assign(front=False)
    ranked = rows[rows["comparable"]].set_index(["layout", "direction"])[headline.of(rows).column]
    for _, some in table.groupby(["hardware", "asked_s"]):
        keys = pd.MultiIndex.from_frame(some[["layout", "direction"]])
        points = some.assign(score=ranked.reindex(keys).to_numpy()).dropna(subset=["median_ms", "score"])
        table.loc[points.index, "front"] = on_front(points["median_ms"], points["score"])
    return table


def _rows(rows: pd.DataFrame, profiles: pd.DataFrame) -> Iterator[dict[str, Any]]:
    network = rows["network"].iloc[0]
    for hardware in sections.hardware_of(rows, profiles):
        finished = sections.encoder_profiles(network, hardware, profiles).to_dict("records")
        measured = {(each["layout"], each["direction"], each["seconds"]): each for each in reversed(finished)}
        for asked, seconds in _nearest({each["seconds"] for each in finished}).items():
            for layout, direction in zip(rows["layout"], rows["direction"], strict=True):
                found = measured.get((layout, direction, seconds), {})
                identity = {"hardware": hardware, "layout": layout, "direction": direction}
                numbers = {name: found.get(name, np.nan) for name in (*MEASURED, *OPTIONAL)}
                yield identity | {"asked_s": asked, "seconds": seconds} | numbers


def _nearest(measured: Collection[float]) -> dict[float, float]:
    """The measured length nearest to each of LENGTHS_S, the shorter of two; none where none was measured."""
    lengths = sorted(measured)
    return {asked: min(lengths, key=partial(_ratio, asked)) for asked in LENGTHS_S if lengths}


def _ratio(asked: float, seconds: float) -> float:
    return abs(math.log(seconds / asked))
