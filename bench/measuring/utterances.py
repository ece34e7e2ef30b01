"""Lengths of real speech, for ragged batches: drawn from a corpus, or from a stated log-normal.

    lognormal()                               # 16 lengths in seconds, the same ones every time
    of_corpus(corpora.load("ravdess", root))  # those of 16 of its recordings

A batch of equal lengths has no padding; a real one pads every utterance to its longest.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from bench.corpora.manifest import Manifest
from bench.errors import SuiteError
from bench.features.audio import AudioError, decode

COUNT = 16  # utterances of a ragged batch: the recipe's batch size
MEDIAN_S, SIGMA = 5.0, 0.45  # mean 5.5 s, as in MSP-Podcast 2.0: 409 h over 267,905 turns; the spread is ours
LOGNORMAL = f"log-normal, median {MEDIAN_S:g} s, σ {SIGMA:g}"


def lognormal(count: int = COUNT) -> tuple[float, ...]:
    """The log-normal's quantiles in the middles of `count` equal parts, in seconds, shortest first."""
    normal = NormalDist(np.log(MEDIAN_S), SIGMA)
    return tuple(round(float(np.exp(normal.inv_cdf((i + 0.5) / count))), 2) for i in range(count))


def of_corpus(manifest: Manifest, count: int = COUNT, seed: int = 0) -> tuple[float, ...]:
    """Lengths of `count` utterances drawn from a corpus, in seconds, shortest first.

    Recordings that cannot be read are passed over; SuiteError where too few can.
    """
    table = manifest.table.iloc[np.random.default_rng(seed).permutation(len(manifest))]
    found: list[float] = []
    for path, known in zip(table["path"], table["duration_s"], strict=True):
        if len(found) == count:
            break
        try:
            found.append(float(known) if known > 0 else decode(manifest.root / path).duration_s)
        except AudioError:
            continue
    if len(found) < count:
        raise SuiteError(
            f"{manifest.corpus}: a ragged batch needs {count} recordings, {len(found)} can be read"
        )
    return tuple(sorted(round(length, 2) for length in found))
