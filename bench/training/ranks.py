"""One cohort on several processes: which of them this is, its share of a batch, and what all must agree on.

    torchrun --nproc-per-node 4 -m bench.cli run controlled     # a process a GPU, on one node or several

A batch is dealt out utterance by utterance, and the loss is that of the whole batch: outputs are gathered
from all processes before it is taken, gradients are summed after. So the weights are those of one process
on the whole batch, whatever the number of processes (to rounding; batch norm alone sees its own share).
Each student is trained as ever, so a mate that fails fails everywhere at once and disturbs nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

PATIENCE = timedelta(days=2)  # a cache that one process fills may take long, and the others wait


def count() -> int:
    """Processes that share the work; 1 where none were launched together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def own() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def first() -> bool:
    """Whether this process writes what all have made."""
    return own() == 0


def device() -> int:
    """The number of this process on its node, hence of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def device_in_use() -> torch.device:
    """Where this process computes."""
    return torch.device("cuda", device()) if torch.cuda.is_available() else torch.device("cpu")


def meet() -> None:
    """Wait until every process is here; the first time, find the others (NCCL on GPUs, gloo elsewhere)."""
    if count() == 1:
        return
    if not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(device())
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    distributed.barrier()


@contextmanager
def first_goes_ahead() -> Iterator[None]:
    """Within, the first process is alone; the others follow when it is done, and find what it made."""
    if not first():
        meet()
    yield
    if first():
        meet()


def told(value: Any) -> Any:
    """The first process' value, in all; those of the others do not matter."""
    if count() == 1:
        return value
    meet()
    box = [value]
    distributed.broadcast_object_list(box)
    return box[0]


def share(group: np.ndarray) -> np.ndarray:
    """This process' part of a batch; together the parts are the batch, each utterance once."""
    return group[own() :: count()]


def gathered(x: Tensor) -> Tensor:
    """x (n, …) of all processes, n differing, one after the other; only one's own rows carry gradients."""
    if count() == 1:
        return x
    sizes = [torch.zeros(1, dtype=torch.int64, device=x.device) for _ in range(count())]
    distributed.all_gather(sizes, torch.tensor([len(x)], device=x.device))
    longest = max(int(size) for size in sizes)
    padded = x.new_zeros(longest, *x.shape[1:])
    padded[: len(x)] = x.detach()
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded)
    rows = [part[: int(size)] for part, size in zip(parts, sizes, strict=True)]
    rows[own()] = x
    return torch.cat(rows)


def sum_gradients(model: nn.Module) -> None:
    """Replace the gradients of a model by their sum over all processes, in one message."""
    if count() == 1:
        return
    trained = [p for p in model.parameters() if p.requires_grad]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained])
    distributed.all_reduce(flat)
    for p, grad in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
        p.grad = grad.view_as(p)


def average_statistics(model: nn.Module) -> None:
    """Replace the batch norms' running statistics by their mean: each process saw its own share."""
    if count() == 1:
        return
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            for statistic in (module.running_mean, module.running_var):
                assert statistic is not None
                distributed.all_reduce(statistic)
                statistic /= count()


def any_of(flag: bool, where: torch.device) -> bool:
    """Whether `flag` is true in any process."""
    if count() == 1:
        return flag
    votes = torch.tensor([float(flag)], device=where)
    distributed.all_reduce(votes)
    return bool(votes.item())


def total(rows: np.ndarray, where: torch.device) -> np.ndarray:
    """The sum of an array over all processes; each fills its own rows and leaves zeros elsewhere."""
    if count() == 1:
        return rows
    on_device = torch.from_numpy(rows).to(where)
    distributed.all_reduce(on_device)
    return on_device.cpu().numpy()
