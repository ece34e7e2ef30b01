"""Frame-by-frame recurrences written from the papers' equations: what the chunkwise ops must equal."""

from __future__ import annotations

import torch
from torch import Tensor


def linear_loop(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float, beta: Tensor | None = None
) -> Tensor:
    """Gated linear attention, or with beta the gated delta rule; (B, T, H, ·) → (B, T, H, V)."""
    state = q.new_zeros(q.shape[0], v.shape[2], q.shape[-1], v.shape[-1])
    out = []
    for t in range(q.shape[1]):
        decay = g[:, t].exp()
        state = state * (decay[..., None, None] if decay.dim() == 2 else decay[..., None])
        write = v[:, t]
        if beta is not None:
            held = torch.einsum("bhk,bhkv->bhv", k[:, t], state)
            write = beta[:, t, :, None] * (write - held)
        state = state + k[:, t, :, :, None] * write[:, :, None, :]
        out.append(scale * torch.einsum("bhk,bhkv->bhv", q[:, t].expand(-1, v.shape[2], -1), state))
    return torch.stack(out, 1)


def slot_loop(q: Tensor, k: Tensor, v: Tensor, s: Tensor, g: Tensor, scale: float) -> Tensor:
    """Gated slot attention, one memory of keys and one of values with a softmax between."""
    B, _, H, K = q.shape
    keys, values = q.new_zeros(B, H, s.shape[-1], K), q.new_zeros(B, H, s.shape[-1], v.shape[-1])
    out = []
    for t in range(q.shape[1]):
        decay, write = g[:, t].exp()[..., None], s[:, t, :, :, None]
        keys = keys * decay + write * k[:, t, :, None, :]
        values = values * decay + write * v[:, t, :, None, :]
        weights = (scale * torch.einsum("bhmk,bhk->bhm", keys, q[:, t])).softmax(-1)
        out.append(torch.einsum("bhm,bhmv->bhv", weights, values))
    return torch.stack(out, 1)


def forgetting_loop(q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float, causal: bool) -> Tensor:
    """Forgetting attention, every pair of frames with its own sum of gates."""
    B, T, H, _ = q.shape
    scores = q.new_full((B, H, T, T), -torch.inf)
    for i in range(T):
        for j in range(i + 1 if causal else T):
            faded = g[:, min(i, j) + 1 : max(i, j) + 1].sum(1)
            scores[:, :, i, j] = scale * (q[:, i] * k[:, j]).sum(-1) + faded
    return torch.einsum("bhij,bjhv->bihv", scores.softmax(-1), v)


def two_sided_loop(q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float) -> Tensor:
    """Attention without softmax, each pair weighed by the gates between: (j, i] if j ≤ i, [i, j) if j > i."""
    T = q.shape[1]
    g = g if g.dim() == 4 else g[..., None].expand(*g.shape, q.shape[-1])
    rows = []
    for i in range(T):
        row = torch.zeros_like(v[:, 0])
        for j in range(T):
            between = g[:, j + 1 : i + 1] if j <= i else g[:, i:j]
            weight = (q[:, i] * between.sum(1).exp() * k[:, j]).sum(-1)
            row = row + scale * weight[..., None] * v[:, j]
        rows.append(row)
    return torch.stack(rows, 1)
