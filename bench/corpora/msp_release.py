"""Which release of MSP-Podcast a copy is: its counts beside the published ones.

    found = identify(turns, unlabelled=3_200)
    found.release, found.differences          # "2.0", ()  where every published count is met
    found.nearest                             # the release whose counts lie closest

Releases share file names, splits and speakers, and differ in labels: a score on one says nothing about
another. So a release is recognised by its content, never by a folder's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

EMOTIONS = {
    "A": "angry",
    "S": "sad",
    "H": "happy",
    "U": "surprise",
    "F": "fear",
    "D": "disgust",
    "C": "contempt",
    "N": "neutral",
}
LEFT_OUT = {"O": "other", "X": "no agreement"}
UNLABELLED = "Test3"  # the split whose labels are kept by those who give the corpus out
EVERY, SCORED = "every turn", "eight emotions"

Count = tuple[str, str]  # split ("" is the whole corpus) and EVERY, SCORED or an emotion's code


@dataclass(frozen=True)
class Release:
    """A release: what has been published of its size, and how the synthetic copy is to be built."""

    name: str
    counts: Mapping[Count, int]  # labelled turns
    unlabelled: int  # turns of Test3
    columns: bool  # whether labels_detailed.csv has a column a rating, or one text a rater

    @property
    def turns(self) -> int:
        """All turns, those without labels too."""
        labelled = self.counts.get(("", EVERY)) or sum(self.counts.values())
        return labelled + self.unlabelled


# 1.11: the corpus's own page. 1.12: the Interspeech 2025 challenge. 2.0: Busso et al. 2025 (arXiv
# 2509.09791) for all turns, arXiv 2603.15120 for those of the eight emotions.
_TRAIN_DEV = (("Train", EVERY), ("Development", EVERY))
_TEST1 = dict(zip("NHASUCDF", (12_457, 10_947, 6_985, 3_041, 1_206, 1_040, 744, 348), strict=True))
RELEASES = {
    release.name: release
    for release in (
        Release(
            "1.11",
            dict(
                zip(
                    (*_TRAIN_DEV, ("Test1", EVERY), ("Test2", EVERY)),
                    (84_030, 19_815, 30_647, 14_815),
                    strict=True,
                )
            ),
            unlabelled=2_347,
            columns=False,
        ),
        Release(
            "1.12", dict(zip(_TRAIN_DEV, (84_260, 31_961), strict=True)), unlabelled=3_200, columns=False
        ),
        Release(
            "2.0",
            {
                ("", EVERY): 264_705,  # 267,905 less Test3
                ("Train", SCORED): 137_168,
                ("Development", SCORED): 27_205,
                ("Test1", SCORED): 36_768,
                ("Test2", SCORED): 11_667,
                **{("Test1", code): count for code, count in _TEST1.items()},
            },
            unlabelled=3_200,
            columns=True,
        ),
    )
}


@dataclass(frozen=True)
class Identity:
    """What a copy is: `release` is "" where none fits; `differences` are to the nearest, one text each."""

    release: str
    nearest: str
    differences: tuple[str, ...]


def identify(turns: pd.DataFrame, unlabelled: int) -> Identity:
    """Compare labelled `turns` (columns split and emotion, as code) and the number without labels.

    A copy without Test3 is not held to its size.
    """
    table = pd.crosstab(turns["split"], turns["emotion"])
    found = {name: _found(table, unlabelled, release) for name, release in RELEASES.items()}
    distances = {name: _distance(RELEASES[name], counts) for name, counts in found.items()}
    nearest = min(distances, key=lambda name: (distances[name], name))
    differences = _differences(RELEASES[nearest], found[nearest])
    return Identity("" if differences else nearest, nearest, differences)


def _found(table: pd.DataFrame, unlabelled: int, release: Release) -> dict[Count, int]:
    counts = {count: _counted(table, count) for count in release.counts}
    return counts | {(UNLABELLED, EVERY): unlabelled or release.unlabelled}


def _counted(table: pd.DataFrame, count: Count) -> int:
    split, what = count
    codes = {EVERY: list(table.columns), SCORED: [code for code in EMOTIONS if code in table]}.get(
        what, [what]
    )
    rows = table.reindex(index=[split] if split else table.index, columns=codes, fill_value=0)
    return int(rows.to_numpy().sum())


def _published(release: Release) -> dict[Count, int]:
    return dict(release.counts) | {(UNLABELLED, EVERY): release.unlabelled}


def _distance(release: Release, found: Mapping[Count, int]) -> float:
    """Mean absolute logarithm of the ratio of counts."""
    pairs = np.array([[found[count], number] for count, number in _published(release).items()])
    return float(np.abs(np.diff(np.log1p(pairs), axis=1)).mean())


def _differences(release: Release, found: Mapping[Count, int]) -> tuple[str, ...]:
    return tuple(
        f"{_named(count)} {number:,} published, {found[count]:,} here"
        for count, number in _published(release).items()
        if found[count] != number
    )


def _named(count: Count) -> str:
    split, what = count
    return f"{split or 'labelled turns'}, {EMOTIONS.get(what, what)}" if what != EVERY else split or "labels"
