"""`--deterministic`: torch's deterministic algorithms where it has any, and the names of those that it lacks.

    with determinism.demanded(folders.deterministic) as lacking:
        …                                # train
    sorted(lacking)                      # ["cumsum_cuda_kernel"]

On a processor training repeats itself bit for bit without it: the order of every sum is that of one thread,
or fixed by their number. On a GPU some sums are gathered in the order in which threads come. The flag is
no part of a cell's id, but stands in its cost, with the operations that had no deterministic form. Kernels
that are not torch's (fla's) are not covered; a cost names them as well.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

LACKING = re.compile(r"(\S+) does not have a deterministic implementation")  # torch's warning
WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # with which cuBLAS is deterministic (its manual, 2.1.4)


def reserve_workspace() -> None:
    """Give cuBLAS, here and in processes started from here, a fixed workspace: before its first use."""
    os.environ.setdefault(*WORKSPACE)


@contextmanager
def demanded(wanted: bool) -> Iterator[set[str]]:
    """Within, where `wanted`, torch is deterministic; the set fills with operations that cannot be."""
    lacking: set[str] = set()
    if not wanted:
        yield lacking
        return
    reserve_workspace()
    before = torch.get_deterministic_debug_mode()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=f".*{LACKING.pattern}")
        shown = warnings.showwarning

        def note(message: Warning | str, *where: object) -> None:
            found = LACKING.search(str(message))
            if found:
                lacking.add(found[1])
            else:
                shown(message, *where)  # type: ignore[arg-type]

        warnings.showwarning = note  # type: ignore[assignment]
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield lacking
        finally:
            torch.set_deterministic_debug_mode(before)
