"""The throughput batch: the largest of 1, 2, 4, … that fits and does not slow the throughput.

largest(rate)                # rate(batch) → utterances a second; raises where memory is short
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bench.measuring.isolation import OUT_OF_MEMORY

LARGEST = 4096
AS_FAST = 0.97  # of the best rate: what is above it does not slow the throughput, beside the noise
SLOWER_IN_TURN = 2  # batches, after which no larger one is tried


class Probe(NamedTuple):
    """Utterances a second at one batch, and what one call of it took."""

    rate: float
    call_s: float


def largest(probe: Callable[[int], Probe], patience_s: float) -> int:
    """The batch; no larger one is tried once a call takes more than `patience_s`, or beyond `LARGEST`.

    Lack of memory at batch 1 is raised, as every other error is.
    """
    rates: dict[int, float] = {}
    batch, slower = 1, 0
    while batch <= LARGEST and slower < SLOWER_IN_TURN:
        try:
            rates[batch], call_s = probe(batch)
        except (MemoryError, RuntimeError) as error:
            if not rates or not out_of_memory(error):
                raise
            break
        slower = 0 if rates[batch] >= AS_FAST * max(rates.values()) else slower + 1
        if call_s > patience_s:
            break
        batch *= 2
    return max(batch for batch, rate in rates.items() if rate >= AS_FAST * max(rates.values()))


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory was short."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY)
