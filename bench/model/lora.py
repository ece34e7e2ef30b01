"""Low-rank adaptation: trained weights stay as they are, and a small update of each projection is learned.

    W' = W + (α/r) · B A          A (r, in) drawn, B (out, r) zero, so that W' = W at the start

    adapt(model.get_submodule("speech"), Lora(rank=8))     # freezes it, but for A and B of every linear map
    plain = merged(model.state_dict(), Lora(rank=8))       # the weights W', under the names they had before

Hu et al. 2021, "LoRA" (arXiv 2106.09685, §4.1), on every `nn.Linear` of what is adapted: the projections of a
mixer whatever its recurrence, those of a transformer's attention and its feed-forward. W' stands in the place
of W (a parametrisation of torch), so that code which reads `weight` instead of calling the map is adapted
too, and merged weights are those that were used, to the bit. The paper's dropout on x would need BA apart
from W, and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bench.config import Lora

ADAPTED = ".parametrizations.weight."  # in the name of every part of an adapted weight


class LowRank(nn.Module):
    """W (out, in) ↦ W + (α/r) · B A, which adds r · (in + out) parameters."""

    def __init__(self, weight: Tensor, lora: Lora) -> None:
        """For a weight of that shape, where it is; A is drawn from torch's global stream."""
        super().__init__()
        rows, columns = weight.shape
        self.scale = lora.alpha / lora.rank
        self.a = nn.Parameter(weight.new_empty(lora.rank, columns))
        self.b = nn.Parameter(weight.new_zeros(rows, lora.rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))  # as nn.Linear starts, and the authors' code

    def forward(self, weight: Tensor) -> Tensor:
        """The adapted weight."""
        return _updated(weight, self.a, self.b, self.scale)


def adapt(part: nn.Module, lora: Lora) -> None:
    """Freeze `part` and give each linear map in it an update of `lora.rank`, which is trained."""
    part.requires_grad_(False)
    for module in list(part.modules()):
        if isinstance(module, nn.Linear):
            parametrize.register_parametrization(module, "weight", LowRank(module.weight, lora))


def merged(weights: Mapping[str, Tensor], lora: Lora) -> dict[str, Tensor]:
    """A state with each adapted weight as one again, as if nothing had been adapted; others as they are."""
    found = {}
    for name, value in weights.items():
        base, part, end = name.partition(ADAPTED)
        if not part or end not in ("original", "0.a", "0.b"):
            found[name] = value
        elif end == "original":
            a, b = (weights[f"{base}{ADAPTED}0.{which}"] for which in "ab")
            found[f"{base}.weight"] = _updated(value, a, b, lora.alpha / lora.rank)
    return found


def trained(parameters: Iterable[nn.Parameter]) -> int:
    """How many numbers of these are trained."""
    return sum(parameter.numel() for parameter in parameters if parameter.requires_grad)


def _updated(weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    with torch.autocast(weight.device.type, enabled=False):
        return weight + scale * (b @ a)
