"""The recurrences frame by frame, in plain torch: the baseline that the chunkwise ops must beat.

    linear_loop(q, k, v, g)                        # same arguments and result as ops.gated_linear_attention
    linear_loop(q, k, v, g, update=in_place)       # the fastest way that we know to write the loop

They are written as one would who has no better algorithm but knows torch: what needs no state is done for
all frames at once, and a frame costs one decay, one write and one read. `update` says how the state moves
on: `fresh` makes a new one, as the equation reads and as autograd needs; `in_place` overwrites it, which
only inference can do. (B, T, H, ·) as everywhere; computes in the precision of the inputs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Update = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def fresh(state: Tensor, decay: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """decay ∘ state + column · row, a new tensor."""
    return decay * state + column * row


def in_place(state: Tensor, decay: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """decay ∘ state + column · row, written over the state."""
    return state.mul_(decay).addcmul_(column, row)


def linear_loop(q: Tensor, k: Tensor, v: Tensor, g: Tensor, update: Update = fresh) -> Tensor:
    """S ← exp(g) S + k vᵀ, o = Sᵀ q / √K; q, k (B, T, H, K), v (B, T, H, V), g (B, T, H) or (B, T, H, K)."""
    state, out = _empty(k, v), []
    decay = g.exp().reshape(*g.shape[:3], -1, 1)
    for query, key, value, fade in _frames(_row(_scaled(q)), _column(k), _row(v), decay):
        state = update(state, fade, key, value)
        out.append(query @ state)
    return _joined(out)


def delta_loop(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, update: Update = fresh) -> Tensor:
    """S ← (I − β k kᵀ) diag(exp g) S + β k vᵀ, o = Sᵀ q / √K; g (B, T, H, K), beta (B, T, H)."""
    state, out = _empty(k, v), []
    decay, rate = g.exp(), beta[..., None, None]
    faded = _row(k * decay)  # reads what the state holds under the key once it has decayed
    tensors = (_row(_scaled(q)), _column(k), faded, _row(v), _column(decay), rate)
    for query, key, seen, value, fade, step in _frames(*tensors):
        state = update(state, fade, key, step * (value - seen @ state))
        out.append(query @ state)
    return _joined(out)


def slot_loop(q: Tensor, k: Tensor, v: Tensor, s: Tensor, g: Tensor, update: Update = fresh) -> Tensor:
    """Two memories of slots with a softmax between, see `ops.gated_slot_attention`; s, g (B, T, H, M)."""
    keys, values, out = _empty(k, s), _empty(s, v), []
    decay = g.exp()
    tensors = (_row(_scaled(q)), _column(k), _row(v), _row(s), _column(s), _row(decay), _column(decay))
    for query, key, value, slots, slots_down, fade, fade_down in _frames(*tensors):
        keys = update(keys, fade, key, slots)
        values = update(values, fade_down, slots_down, value)
        out.append((query @ keys).softmax(-1) @ values)
    return _joined(out)


def dplr_loop(q: Tensor, k: Tensor, v: Tensor, g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """S ← (diag(exp g) + b aᵀ) S + k vᵀ, o = Sᵀ q / √K; q, k, g, a, b (B, T, H, K)."""
    state, out = _empty(k, v), []
    tensors = (_row(_scaled(q)), _column(k), _row(v), _column(g.exp()), _row(a), _column(b))
    for query, key, value, fade, seen, under in _frames(*tensors):
        state = fade * state + under * (seen @ state) + key * value
        out.append(query @ state)
    return _joined(out)


def forgetting_loop(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """Causal forgetting attention: each frame reads all keys so far; g (B, T, H). O(T²) time."""
    fade = g.to(torch.float64).cumsum(1).transpose(1, 2)
    keys, values = (x.transpose(1, 2).contiguous() for x in (k, v))
    keys, out = keys.mT, []
    for t, query in enumerate(_row(_scaled(q)).unbind(1)):
        bias = (fade[..., t : t + 1] - fade[..., : t + 1]).to(q.dtype)
        scores = query @ keys[..., : t + 1] + bias.unsqueeze(-2)
        out.append(scores.softmax(-1) @ values[:, :, : t + 1])
    return _joined(out)


def forgetting_both_ways(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """Each frame reads all keys, faded by the gates between the two; g (B, T, H). Holds the T × T scores."""
    fade = g.to(torch.float64).cumsum(1).transpose(1, 2)
    apart = fade[..., :, None] - fade[..., None, :]
    bias = torch.where(torch.ones_like(apart, dtype=torch.bool).triu(1), -apart, apart).to(q.dtype)
    scores = _scaled(q).transpose(1, 2) @ k.transpose(1, 2).mT + bias
    return (scores.softmax(-1) @ v.transpose(1, 2)).transpose(1, 2)


def _scaled(q: Tensor) -> Tensor:
    return q * q.shape[-1] ** -0.5


def _row(x: Tensor) -> Tensor:
    return x.unsqueeze(-2)


def _column(x: Tensor) -> Tensor:
    return x.unsqueeze(-1)


def _frames(*tensors: Tensor) -> zip[tuple[Tensor, ...]]:
    """Each frame's (B, H, ·, ·) of every tensor (B, T, H, ·, ·)."""
    return zip(*(x.unbind(1) for x in tensors), strict=True)


def _empty(rows: Tensor, columns: Tensor) -> Tensor:
    """A state (B, H, K, V) of zeros for rows (B, T, H, K) and columns (B, T, H, V)."""
    B, _, H, K = rows.shape
    return columns.new_zeros(B, H, K, columns.shape[-1])


def _joined(out: list[Tensor]) -> Tensor:
    """T reads (B, H, 1, V) → (B, T, H, V)."""
    return torch.cat(out, -2).transpose(1, 2)
