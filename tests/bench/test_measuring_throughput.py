"""The throughput batch, on rates that are given."""

from __future__ import annotations

import pytest

from bench.measuring.throughput import Probe, largest


def probing(rates: dict[int, float], call_s: float = 0.01, error: Exception | None = None):
    def probe(batch: int) -> Probe:
        if batch not in rates:
            raise error or MemoryError()
        return Probe(rates[batch], call_s)

    return probe


@pytest.mark.parametrize(
    ("rates", "batch"),
    [
        ([10, 20, 30, 30], 8),  # then memory is short
        ([10, 20, 19, 18, 99], 2),  # two slower ones in turn end it
        ([10, 20, 18, 25, 24, 20], 8),  # one slow one is noise
        ([10, 9.9, 9.8], 4),  # within 3 % of the best it does not slow
        ([10, 5, 4], 1),
    ],
)
def test_the_largest_that_does_not_slow_the_throughput(rates, batch):
    assert largest(probing({2**i: rate for i, rate in enumerate(rates)}), patience_s=1.0) == batch


def test_no_larger_batch_is_tried_once_a_call_takes_longer_than_the_patience():
    assert largest(probing({1: 10.0, 2: 20.0}, call_s=2.0), patience_s=1.0) == 1


def test_one_utterance_beyond_memory_is_raised():
    with pytest.raises(MemoryError):
        largest(probing({}), patience_s=1.0)


def test_other_errors_are_raised():
    with pytest.raises(RuntimeError, match="bad shape"):
        largest(probing({1: 1.0}, error=RuntimeError("bad shape")), patience_s=1.0)


def test_torchs_words_for_lack_of_memory_are_known():
    error = RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte"
    )
    assert largest(probing({1: 1.0, 2: 2.0}, error=error), patience_s=1.0) == 2
