"""Arousal, valence and dominance: the emotional attributes, and the scale on which they are trained.

    to_unit(4.0)               # 0.5
    from_unit(to_unit(rated))  # as rated

Models see (y − 1) / 6, which takes the 1 to 7 of MSP-Podcast to 0 to 1. Corpora with another scale go
through the same formula: concordance does not change when truth and prediction are moved and stretched alike.
"""

from __future__ import annotations

from typing import Any, TypeVar

ATTRIBUTES = ("arousal", "valence", "dominance")  # the order of a model's outputs

Values = TypeVar("Values", float, Any)


def to_unit(rated: Values) -> Values:
    """From the corpus's scale to that of training; a number, array or tensor, elementwise."""
    return (rated - 1) / 6


def from_unit(scaled: Values) -> Values:
    """Undo `to_unit`."""
    return 1 + 6 * scaled
