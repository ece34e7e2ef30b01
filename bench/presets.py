"""The named presets: each a function that returns a plan, opened by its command, time and score.

    plan = presets.build("open")

A preset is a starting point: every field is also a flag (`serbench run open --seeds 0 1 2`).
"""

from __future__ import annotations

from collections.abc import Callable

from bench.config import Plan, Profiling, Recipe
from bench.errors import SuiteError


def demo() -> Plan:
    """The mixers of the study, and any added, on a small generated corpus: the whole suite with no data.

    serbench run demo
    """
    return Plan(
        name="demo",
        tasks=("synthetic/speakers",),
        folds=(0, 1),
        corpus_options={"speakers": 18, "per_speaker": 20, "seed": 0},
        recipe=Recipe(epochs=8),
        profiling=Profiling(seconds=(1.0, 10.0, 60.0, 300.0), time_limit_s=0.5),
    )


def open_corpora() -> Plan:
    """The mixers of the study, and any added, from scratch on free recordings, speaker-independent.

    SER_DATA_ROOT=/data serbench run open

    Time: RAVDESS, all eight systems on five folds with one seed, 2 h on two cores that were shared. Score
    there: 54 to 60 % UAR (chance 12.5 %).
    """
    return Plan(name="open", tasks=("ravdess/luna", "emodb/loso"))


PRESETS: dict[str, Callable[[], Plan]] = {"demo": demo, "open": open_corpora}


def build(name: str) -> Plan:
    """The preset of this name; SuiteError where there is none."""
    if name not in PRESETS:
        raise SuiteError(f"no preset {name!r}; there is {', '.join(PRESETS)}")
    return PRESETS[name]()
