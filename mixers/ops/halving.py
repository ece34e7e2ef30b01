"""Gated attention inside a chunk when every channel has its own gate, exactly and by matrix products.

The weight of frame j for frame i ≥ j is Π_{s in (j, i]} exp g_s, channel by channel. It is no matrix
product as it stands, and splitting it as exp(c_i) / exp(c_j), c the cumulative sum, overflows. Halving
avoids the division: in a block of 2h frames, a pair with i in the second half and j in the first is
weighed by (decay from the middle to i) × (decay from j to the middle), two factors ≤ 1, so all such pairs
are one product of matrices; the pairs within a half are the same problem of size h. (Secondary chunking
of gated linear attention, arXiv 2312.06635, taken down to single frames.)

    climb     from single frames to the chunk: vectors decayed to, or from, the middle of every block
    descend   its transpose, from the chunk to single frames

`KeyGated` gives scores from gated keys, `ValueGated` output from gated values. Each is the other's
derivative, so both have hand-written backward passes of the same two sweeps. The gates' gradient needs no
sweep: g_s acts on the pairs with j < s ≤ i, so it is a reverse cumulative sum of (what i receives) −
(what j receives), as in the same paper. All factors lie in [0, 1]: nothing overflows, whatever
the gates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from mixers.ops import portable
from mixers.ops.chunkwise import sum_from
from mixers.ops.decay import faded

FIRST, SECOND = 0, 1  # halves of a block: the written and the reading one


def key_gated(rows: Tensor, keys: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scores rows_i · (decay from j to i ∘ keys_j) for j ≤ i, and what the state between chunks needs.

    rows (…, c·R, K): R vectors a frame that read, keys and g (…, c, K), g ≤ 0, c a power of two. Returns
    scores (…, c·R, c), rows decayed from the chunk's start, keys decayed to its end, and the whole
    chunk's decay (…, K).
    """
    if portable.exporting():
        return portable.key_gated(rows, keys, g)
    return KeyGated.apply(rows.contiguous(), keys.contiguous(), g.contiguous())


def value_gated(scores: Tensor, values: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Output Σ_{j ≤ i} scores_ij · (decay from j to i ∘ values_j), and the values decayed to the chunk's end.

    scores (…, c, c), of which the lower triangle is used; values and g (…, c, V), g ≤ 0, c a power of two.
    """
    if portable.exporting():
        return portable.value_gated(scores, values, g)
    return ValueGated.apply(scores.contiguous(), values.contiguous(), g.contiguous())


class KeyGated(Function):
    """See `key_gated`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, keys: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        decay = faded(g)
        totals = _totals(decay)
        reading, writing = rows * _a_row(decay, rows), keys.clone()
        scores = rows.new_zeros(*rows.shape[:-1], keys.shape[-2])
        _diagonal(scores).copy_((_a_frame(rows, keys) * keys.unsqueeze(-2)).sum(-1))
        reads, writes = [], []
        for read, write in zip(_climb(reading, totals, SECOND), _climb(writing, totals, FIRST), strict=True):
            _pairs(scores, write.shape[-2]).copy_(_overlap(read, write))
            if any(ctx.needs_input_grad):
                reads.append(read.clone())
                writes.append(write.clone())
        total = totals[-1].squeeze(-2)
        ctx.save_for_backward(rows, keys, decay, writing, total, *totals, *reads, *writes)
        return scores, reading, writing, total

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_scores: Tensor, d_reading: Tensor, d_writing: Tensor, d_total: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, keys, decay, writing, total, *levels = ctx.saved_tensors
        depth = len(levels) // 3
        totals, reads, writes = (
            levels[: depth + 1],
            levels[depth + 1 : 2 * depth + 1],
            levels[2 * depth + 1 :],
        )
        pairs = [_pairs(d_scores.contiguous(), write.shape[-2]) for write in writes]
        d_end = torch.addcmul((writing * d_writing).sum(-2), total, d_total)
        d_rows = _descend(d_reading, pairs, writes, totals, SECOND).mul_(_a_row(decay, rows))
        d_keys = _descend(d_writing, [pair.mT for pair in pairs], reads, totals, FIRST)
        g_grad = sum_from(_over_rows(rows * d_rows, keys).addcmul_(keys, d_keys, value=-1))
        g_grad.add_(d_end.unsqueeze(-2))
        itself = _diagonal(d_scores).unsqueeze(-1)
        _a_frame(d_rows, keys).addcmul_(itself, keys.unsqueeze(-2))
        for row, weight in zip(_a_frame(rows, keys).unbind(-2), itself.unbind(-2), strict=True):
            d_keys.addcmul_(weight, row)
        return d_rows, d_keys, g_grad


class ValueGated(Function):
    """See `value_gated`."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, values: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        decay = faded(g)
        totals = _totals(decay)
        writing = values.clone()
        writes = [write.clone() for write in _climb(writing, totals, FIRST)]
        pairs = [_pairs(scores, write.shape[-2]) for write in writes]
        earlier = _descend(torch.zeros_like(values), pairs, writes, totals, SECOND).mul_(decay)
        ctx.save_for_backward(scores, values, decay, earlier, writing, *totals, *writes)
        return torch.addcmul(earlier, _diagonal(scores), values), writing

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor, d_writing: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores, values, decay, earlier, writing, *levels = ctx.saved_tensors
        totals, writes = levels[: len(levels) // 2 + 1], levels[len(levels) // 2 + 1 :]
        reads = [read.clone() for read in _climb(d_output * decay, totals, SECOND)]
        d_scores = torch.zeros_like(scores)
        _diagonal(d_scores).copy_((d_output * values).sum(-1, keepdim=True))
        for read, write in zip(reads, writes, strict=True):
            _pairs(d_scores, write.shape[-2]).copy_(_overlap(read, write))
        pairs = [_pairs(scores, write.shape[-2]).mT for write in writes]
        d_end = (writing * d_writing).sum(-2, keepdim=True)
        d_values = _descend(d_writing, pairs, reads, totals, FIRST)
        g_grad = sum_from((d_output * earlier).addcmul_(values, d_values, value=-1)).add_(d_end)
        return d_scores, d_values.addcmul_(_diagonal(scores), d_output), g_grad


def _totals(decay: Tensor) -> list[Tensor]:
    """Whole blocks' decay for blocks of 1, 2, 4, … c frames: decay (…, c, K) → [(…, c, K), …, (…, 1, K)]."""
    totals = [decay]
    while totals[-1].shape[-2] > 1:
        totals.append(totals[-1][..., 0::2, :] * totals[-1][..., 1::2, :])
    return totals


def _climb(x: Tensor, totals: list[Tensor], half: int) -> Iterator[Tensor]:
    """Decay x (…, rows, K) in place by growing blocks: the second half from, or the first to, the middle.

    Gives, for each size of block, the halves (…, blocks, rows, K) that meet the other half at the middle:
    views of x, good until the next is asked for. At the end x is decayed over the whole chunk.
    """
    for total in totals[:-1]:
        blocks = x.view(*x.shape[:-2], total.shape[-2] // 2, 2, -1, x.shape[-1])
        yield blocks[..., half, :, :]
        blocks[..., half, :, :] *= total[..., 1 - half :: 2, :].unsqueeze(-2)


def _descend(x: Tensor, pairs: list[Tensor], halves: list[Tensor], totals: list[Tensor], half: int) -> Tensor:
    """x (…, rows, K), written over, and products pairs @ halves of every size of block, to single frames."""
    x = x.contiguous()
    for pair, other, total in zip(pairs[::-1], halves[::-1], totals[-2::-1], strict=True):
        blocks = x.view(*x.shape[:-2], total.shape[-2] // 2, 2, -1, x.shape[-1])[..., half, :, :]
        blocks *= total[..., 1 - half :: 2, :].unsqueeze(-2)
        blocks += _product(pair, other)
    return x


def _overlap(read: Tensor, write: Tensor) -> Tensor:
    """read (…, rows, K) @ write (…, h, K)ᵀ; term by term where they are too small for a batched product.

    Flattened, as matmul copies a transposed view of many axes.
    """
    if write.shape[-2] <= 2:
        return (read.unsqueeze(-2) * write.unsqueeze(-3)).sum(-1)
    product = read.flatten(0, -3) @ write.flatten(0, -3).mT
    return product.view(*read.shape[:-1], write.shape[-2])


def _product(pair: Tensor, other: Tensor) -> Tensor:
    """pair @ other; term by term where they are too small for a batched product to pay on a CPU."""
    inner = other.shape[-2]
    if inner > 4:
        return pair @ other
    product = pair[..., :1] * other[..., :1, :]
    for n in range(1, inner):
        product = torch.addcmul(product, pair[..., n : n + 1], other[..., n : n + 1, :])
    return product


def _pairs(scores: Tensor, h: int) -> Tensor:
    """The scores between the halves of blocks of 2h frames: a view (…, blocks, h·R, h) of (…, c·R, c)."""
    *lead, rows, c = scores.shape
    m = c // (2 * h)
    blocks = scores.view(*lead, m, 2, rows // (2 * m), m, 2, h)[..., SECOND, :, :, FIRST, :]
    return blocks.diagonal(dim1=-4, dim2=-2).movedim(-1, -3)


def _diagonal(scores: Tensor) -> Tensor:
    """The scores of every frame with itself: a view (…, c, R) of (…, c·R, c)."""
    c = scores.shape[-1]
    return scores.unflatten(-2, (c, -1)).diagonal(dim1=-3, dim2=-1).mT


def _a_frame(rows: Tensor, keys: Tensor) -> Tensor:
    """(…, c·R, K) → (…, c, R, K)."""
    return rows.unflatten(-2, (keys.shape[-2], -1))


def _over_rows(x: Tensor, keys: Tensor) -> Tensor:
    """(…, c·R, K) summed over the R rows of a frame."""
    return x if x.shape == keys.shape else _a_frame(x, keys).sum(-2)


def _a_row(decay: Tensor, rows: Tensor) -> Tensor:
    """(…, c, K) → (…, c·R, K), every frame's decay for each of its rows."""
    repeats = rows.shape[-2] // decay.shape[-2]
    return decay if repeats == 1 else decay.repeat_interleave(repeats, -2)
