"""What two systems must share for their scores to be comparable, and the hashes that stand for it.

content_id(comparison(run))          # the same for every run of one comparison
"""

from __future__ import annotations

from bench.config import AnyEncoder, AnyFeatures, Recipe, Settings
from bench.evidence.records import RunRecord


class Network(Settings):
    """What joins a run to the profiles of its encoder."""

    features: AnyFeatures
    encoder: AnyEncoder


class Conditions(Network):
    """What a leaderboard calls the recipe."""

    recipe: Recipe


class Comparison(Conditions):
    """All that two systems must share; folds and seeds are pooled."""

    corpus: str
    protocol: str
    corpus_options: dict[str, int]


def comparison(run: RunRecord) -> Comparison:
    """The comparison that a run belongs to."""
    cell = run.config
    return Comparison(
        corpus=cell.task.corpus,
        protocol=cell.task.protocol,
        corpus_options=cell.task.corpus_options,
        features=cell.features,
        encoder=cell.encoder,
        recipe=cell.recipe,
    )
