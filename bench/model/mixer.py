"""The mixer of one layer, at the size that the encoder's settings ask for.

    layer = build("fox", Bare(), "causal")      # as the study ran it: 32 query heads, 4 of keys and values

`match="params"`: about 4 · d² parameters, whatever the mixer. `match="stock"`, and always in the bare model:
the size of its published layer (`stock_options`), which for those of the study is the size that it had
there. Mamba-2, not of the study, has the size of fla's layer, and a mixer without a published layer its own
of about 4 · d².
"""

from __future__ import annotations

from contextlib import suppress

import mixers
from bench import config
from bench.errors import SuiteError


def build(
    name: str, settings: config.Encoder | config.Bare, direction: config.Direction
) -> mixers.TokenMixer:
    """An untrained mixer; SuiteError with its own reason where it cannot be built at that width."""
    d, heads = settings.d_model, settings.num_heads
    options = {}
    try:
        if settings.match == "stock":
            with suppress(NotImplementedError):
                options = mixers.info(name).cls.stock_options(d, heads)
        return mixers.build(name, d, heads, direction, **options)
    except ValueError as error:
        raise SuiteError(f"mixer {name}: {error}") from error
