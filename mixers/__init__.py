"""Token mixers for sequences: softmax attention and its efficient rivals, under one contract.

    import mixers
    mixers.available()                                  # ("softmax", "fox", "gsa", …)
    mixer = mixers.build("retnet", d_model=96, num_heads=4, direction="causal")
    y = mixer(x, mask)                                  # (B, T, D), mask True on real frames

To add one, write a file in this folder (or a package with an entry point in the group `serbench.mixers`)
with a class that is decorated by `register` and follows `TokenMixer`.
"""

from mixers.contract import Direction, TokenMixer
from mixers.registry import Entry, available, build, info, register

__all__ = ["Direction", "Entry", "TokenMixer", "available", "build", "info", "register"]
