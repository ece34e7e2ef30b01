"""Focal loss of emotions, and a per-class γ that follows how well each class is recognised so far.

    ℓ_i = (1 − p_i)^γ · CE_i          p_i: the probability of the right class; Σ ℓ_i / Σ w_i over the batch

    loss = focal_loss(logits, labels, gammas, class_weights, smoothing=0.1)
    recall = ClassRecall(num_emotions)
    gammas = recall.gammas(2.0)        # γ_c = γ · R_c
    recall.update(logits, labels)

Lin et al. 2017, "Focal Loss for Dense Object Detection" (arXiv 1708.02002, eq. 4). With γ = 0 it is the
cross-entropy, class weights and label smoothing included, to the bit.

Adaptive: the system of arXiv 2512.23435 trains with an "adaptive focal loss" whose formula is not public.
This one is ours. R_c is a running recall of class c over the training batches that hold it,

    R_c ← m · R_c + (1 − m) · (share of the batch's utterances of c that are recognised)

and 0 at first, so that training starts with the cross-entropy. The easy utterances of a class that is
recognised give way (γ_c near γ), while a class that is not keeps the weight of all of its utterances (γ_c
near 0).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MEMORY = 0.9  # m


def focal_loss(
    logits: Tensor, labels: Tensor, gammas: Tensor, weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """The loss (scalar) of logits (B, C) against labels (B,) int64; `gammas` and `weights` are (C,).

    Weights and smoothing act as in `torch.nn.functional.cross_entropy`.
    """
    errors = F.cross_entropy(logits, labels, weights, reduction="none", label_smoothing=smoothing)
    right = logits.log_softmax(1).gather(1, labels[:, None]).squeeze(1)
    # 1 − p through expm1, and off zero, where a power below one has no gradient
    missed = (-torch.expm1(right)).clamp(min=torch.finfo(logits.dtype).tiny)
    total = logits.new_tensor(len(labels)) if weights is None else weights[labels].sum()
    return (missed ** gammas[labels] * errors).sum() / total


class ClassRecall(nn.Module):
    """R_c of each class, (C,) float32: part of a student's state, so that a resumed run goes on as it was."""

    recall: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("recall", torch.zeros(classes))

    def gammas(self, gamma: float) -> Tensor:
        """γ_c = γ · R_c, (C,)."""
        return gamma * self.recall

    @torch.no_grad()
    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Take note of a batch: logits (B, C), labels (B,)."""
        hits = (logits.argmax(1) == labels).to(self.recall)
        held = torch.zeros_like(self.recall).index_add_(0, labels, torch.ones_like(hits))
        found = torch.zeros_like(self.recall).index_add_(0, labels, hits)
        share = found / held.clamp(min=1)
        self.recall.copy_(torch.where(held > 0, torch.lerp(share, self.recall, MEMORY), self.recall))
