"""What the chunkwise ops share: splitting time into chunks, and carrying the state from chunk to chunk.

    c = chunk_length(T)
    k = to_chunks(k, c)                       # (B, T, H, K) → (B, N, H, c, K)
    states = carry(decay, writes)             # the state before each chunk
    o = from_chunks(o, T)                     # back to (B, T, H, V)

Frames added to fill the last chunk have zero keys and zero log decay, so they are inert.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

LONGEST = 32
SHORTEST = 16


def chunk_length(T: int) -> int:
    """A power of two: the longest that pads T frames least."""
    if T <= SHORTEST:
        return 1 << max(T - 1, 0).bit_length()
    lengths = (LONGEST, SHORTEST)
    return min(lengths, key=lambda c: -(-T // c) * c)


def to_chunks(x: Tensor, c: int, dtype: torch.dtype) -> Tensor:
    """x (B, T, H, D) → (B, N, H, c, D) of `dtype`, zeros after the last frame."""
    B, T, H, D = x.shape
    padding = -T % c
    if padding:
        x = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, padding))
    return x.reshape(B, -1, c, H, D).transpose(2, 3).to(dtype).contiguous()


def from_chunks(x: Tensor, T: int) -> Tensor:
    """x (B, N, H, c, D) → its first T frames, (B, T, H, D)."""
    B, N, H, c, D = x.shape
    return _Settled.apply(x).transpose(2, 3).reshape(B, N * c, H, D)[:, :T]


class _Settled(Function):
    """The identity, whose gradient is laid out in memory once, for all the products that take it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.contiguous()


def computing_dtype(*tensors: Tensor) -> torch.dtype:
    """float64 where any input is, else float32."""
    return torch.float64 if any(x.dtype == torch.float64 for x in tensors) else torch.float32


def full_precision(x: Tensor) -> torch.autocast:
    """A context in which autocast leaves the recurrence in its own precision."""
    return torch.autocast(x.device.type, enabled=False)


def carry(decay: Tensor, writes: Tensor) -> Tensor:
    """States before each chunk, (B, N, H, K, V), of S ← decay ∘ S + write, from S = 0.

    decay broadcasts to (B, N, H, K, V), the shape of `writes`.
    """
    state = torch.zeros_like(writes[:, 0])
    states = [state]
    for n in range(writes.shape[1] - 1):
        state = torch.addcmul(writes[:, n], decay[:, n], state)
        states.append(state)
    return torch.stack(states, dim=1)


def carry_through(transition: Tensor, writes: Tensor) -> Tensor:
    """States before each chunk, (B, N, H, K, V), of S ← transition @ S + write, from S = 0.

    transition (B, N, H, K, K), writes (B, N, H, K, V).
    """
    state = torch.zeros_like(writes[:, 0])
    states = [state]
    for n in range(writes.shape[1] - 1):
        state = writes[:, n] + transition[:, n] @ state
        states.append(state)
    return torch.stack(states, dim=1)
