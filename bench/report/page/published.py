"""Published numbers for the page: shown beside our own and never ranked with them.

rows(reported)      # [{"system": "Softmax", "corpus": "msp_podcast", …}, …], as text
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.evidence.reported import Reported


def rows(reported: Sequence[Reported]) -> list[dict[str, str]]:
    """One row a number, in the order given; "" for what it does not say."""
    return [
        {name: "" if value is None else str(value) for name, value in number.model_dump().items()}
        for number in reported
    ]
