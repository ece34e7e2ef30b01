"""The sums behind a dev CCC, added up batch by batch and process by process; no prediction is kept.

sums = AttributeSums(3)
sums.update(scaled, batch.attributes)
concordance.ccc(sums.compute().cpu().numpy())          # (3,)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from bench.evidence.concordance import NUM_SUMS

CENTRE = 0.5  # taken off truth and prediction alike, which leaves the CCC as it is and float32 its digits


class AttributeSums(Metric):
    """n, Σx, Σy, Σx², Σy², Σxy of each attribute, (A, 6) float32 (as not every device has float64)."""

    full_state_update = False
    sums: Tensor

    def __init__(self, num_attributes: int) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(num_attributes, NUM_SUMS), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Count predictions (B, A) whose truth (B, A) is known (not NaN)."""
        known = ~truth.isnan()
        x, y = (torch.where(known, values.float() - CENTRE, 0) for values in (predicted, truth))
        self.sums += torch.stack([known, x, y, x * x, y * y, x * y], dim=-1).sum(0)

    def compute(self) -> Tensor:
        """The sums, (A, 6)."""
        return self.sums
