"""Random numbers that depend on what they are for, and on nothing that happened before.

    with drawing_from("dropout", seed, epoch, step):
        loss = student(frames, mask)

Every draw of a run is named by its purpose and place. So a student draws the same numbers alone and in
a cohort, and a run that was killed continues as if it had not been: there is no random state to save.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def number(*name: str | int) -> int:
    """A 63-bit seed from the parts of a name."""
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*name: str | int) -> np.random.Generator:
    """A NumPy generator of this name."""
    return np.random.default_rng(number(*name))


def torch_generator(*name: str | int) -> torch.Generator:
    """A torch CPU generator of this name."""
    return torch.Generator().manual_seed(number(*name))


@contextmanager
def drawing_from(*name: str | int) -> Iterator[None]:
    """Within, torch's global stream (CPU and CUDA) is that of this name; after it, as before."""
    with torch.random.fork_rng():
        torch.manual_seed(number(*name))
        yield
