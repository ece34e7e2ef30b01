"""Forgetting attention: softmax attention whose scores fade with the forget gates passed on the way.

    o_i = Σ_{j ≤ i} softmax_j(scale · q_i·k_j + c_i − c_j) v_j          c = cumulative sum of g ≤ 0

Lin et al. 2025 (FoX, arXiv 2503.02130). Bidirectional: one softmax over all frames with the bias −|c_i −
c_j|, which for j < i is the same and for j > i sums the gates in (i, j]. O(T²) time; over long inputs
block by block, without the T × T scores.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mixers.ops import portable
from mixers.ops.backend import Backend, alike, choose, kernel_gate, padded
from mixers.ops.checks import check_shapes
from mixers.ops.chunkwise import computing_dtype, full_precision
from mixers.ops.flex import flex_forgetting
from mixers.ops.packing import packed, places, unpacked
from mixers.ops.softmax import visible

BLOCK = 256  # frames: the scores of so many queries against so many keys stay in the processor's cache


def forgetting_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    scale: float | None = None,
    causal: bool = True,
    mask: Tensor | None = None,
    backend: Backend = "auto",
) -> Tensor:
    """q, k (B, T, H, K), v (B, T, H, V), g (B, T, H) log forget gate ≤ 0, mask (B, T) True on real frames.

    Returns (B, T, H, V). k and v may have fewer heads, each read by as many neighbouring heads of q. Padded
    frames are not read and fade nothing. `backend="fla"`: fla's kernel where causal, else `flex_attention`.
    """
    check_shapes(q=(q, "BTHK"), k=(k, "BTHK", "BTGK"), v=(v, "BTHV", "BTGV"), g=(g, "BTH"))
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if mask is not None:
        g = g.masked_fill(~mask.unsqueeze(-1), 0)
    if choose(backend, q, "fox" if causal else "fox_both_ways") == "fla":
        return _kernel(q, k, v, g, scale, causal, mask)
    return _attend(q * scale, k, v, g, causal, mask)


def extend(
    state: tuple[Tensor, Tensor, Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    scale: float | None = None,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Go on after the keys, values and gates of the frames so far → output of the new ones, and all kept."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    keys, values, gates = (torch.cat([old, new], 1) for old, new in zip(state, (k, v, g), strict=True))
    return _attend(q * scale, keys, values, gates, True, None), (keys, values, gates)


def _attend(q: Tensor, k: Tensor, v: Tensor, g: Tensor, causal: bool, mask: Tensor | None) -> Tensor:
    """The output for scaled queries of the last frames, some or all."""
    dtype = computing_dtype(q, k, v, g)
    with full_precision(q):
        fade = g.to(_sum_dtype(g)).cumsum(1).transpose(1, 2)
        q, keys, values = (x.transpose(1, 2).to(dtype) for x in (q, k, v))
        keys, values = (_a_query_head(x, q.shape[1]) for x in (keys, values))
        if portable.exporting() or k.shape[1] <= BLOCK:
            out = _at_once(q, keys, values, fade, causal, mask)
        else:
            out = _by_blocks(q, keys, values, fade, causal, mask)
        return out.transpose(1, 2).to(v.dtype)


def _a_query_head(x: Tensor, heads: int) -> Tensor:
    """x (B, H, T, ·) → (B, heads, T, ·): each head repeated for the query heads that share it."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], 1)


def _at_once(q: Tensor, k: Tensor, v: Tensor, fade: Tensor, causal: bool, mask: Tensor | None) -> Tensor:
    """The output of the last queries (B, H, n, K) over all keys; k, v (B, H, T, ·), fade (B, H, T)."""
    T = k.shape[2]
    start = T - q.shape[2]
    bias = _bias(fade, start, T, 0, T, causal, q.dtype)
    scores = q @ k.transpose(-1, -2) + bias
    hidden = _hidden(start, T, 0, T, causal, mask, q.device)
    if hidden is not None:
        scores = scores.masked_fill(hidden, -torch.inf)
    return scores.softmax(-1) @ v


def _by_blocks(q: Tensor, k: Tensor, v: Tensor, fade: Tensor, causal: bool, mask: Tensor | None) -> Tensor:
    """`_at_once` without the n × T scores: BLOCK queries against BLOCK keys at a time, in powers of two."""
    T = k.shape[2]
    q, fade = q * math.log2(math.e), fade * math.log2(math.e)
    blocks = []
    for start in range(T - q.shape[2], T, BLOCK):
        end = min(start + BLOCK, T)
        queries = q[:, :, start - T + q.shape[2] : end - T + q.shape[2]]
        read = None
        for first in range(0, end if causal else T, BLOCK):
            last = min(first + BLOCK, end if causal else T)
            bias = _bias(fade, start, end, first, last, causal, q.dtype)
            hidden = _hidden(start, end, first, last, causal, mask, q.device)
            more = _read(queries, k[:, :, first:last], v[:, :, first:last], bias, hidden)
            read = more if read is None else _joined(read, more)
        assert read is not None
        blocks.append(read.out / read.weight)
    return torch.cat(blocks, 2)


class _Read(NamedTuple):
    """What queries have read so far: weights 2^(score − top), their sum, and the values they weigh."""

    top: Tensor  # (B, H, n, 1)
    weight: Tensor  # (B, H, n, 1)
    out: Tensor  # (B, H, n, V)


def _read(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, hidden: Tensor | None) -> _Read:
    scores = torch.baddbmm(bias.flatten(0, 1), q.flatten(0, 1), k.flatten(0, 1).mT).view_as(bias)
    if hidden is not None:
        scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
    top = scores.detach().amax(-1, keepdim=True)
    weights = (scores - top).exp2()
    return _Read(top, weights.sum(-1, keepdim=True), weights @ v)


def _joined(a: _Read, b: _Read) -> _Read:
    """The reads of two sets of keys as one (online softmax, Milakov and Gimelshein 2018)."""
    top = torch.maximum(a.top, b.top)
    of_a, of_b = (a.top - top).exp2(), (b.top - top).exp2()
    return _Read(top, a.weight * of_a + b.weight * of_b, a.out * of_a + b.out * of_b)


def _bias(
    fade: Tensor, start: int, end: int, first: int, last: int, causal: bool, dtype: torch.dtype
) -> Tensor:
    """−|c_i − c_j| for queries i in [start, end) and keys j in [first, last): (B, H, T) → (B, H, ·, ·).

    Where the two do not overlap it is the sum of two terms ≤ 0, from the query to the edge of the keys and
    from there to the key: no digit is lost to what both have behind them, in float32 either. (Signs, not
    |·|, which has no gradient where all gates are open. What a causal query may not read is anything.)
    """
    of_query, of_key = fade[:, :, start:end, None], fade[:, :, None, first:last]
    if last <= start:
        edge = fade[:, :, last - 1, None, None]
        return (of_query - edge).to(dtype) + (edge - of_key).to(dtype)
    if end <= first:
        edge = fade[:, :, end - 1, None, None]
        return (edge - of_query).to(dtype) + (of_key - edge).to(dtype)
    apart = of_query - of_key
    if not causal:
        frame = torch.arange(max(end, last), device=fade.device)
        apart = torch.where(frame[first:last] > frame[start:end, None], -apart, apart)
    return apart.to(dtype)


def _hidden(
    start: int, end: int, first: int, last: int, causal: bool, mask: Tensor | None, device: torch.device
) -> Tensor | None:
    """Which of the keys first…last the queries start…end may not read, broadcastable to (B, H, ·, ·).

    As `softmax.visible`: a causal query always reads itself, and a row without real frames reads padding.
    """
    hidden = None if mask is None else ~visible(mask, causal=False)[..., first:last]
    if not causal or (hidden is None and not portable.exporting() and last <= start + 1):
        return hidden
    query = torch.arange(start, end, device=device)[:, None]
    key = torch.arange(first, last, device=device)
    return key > query if hidden is None else (hidden | (key > query)) & (key != query)


def _sum_dtype(g: Tensor) -> torch.dtype:
    """float64, so that differences of long sums keep their digits; float32 where the device has no other."""
    return torch.float32 if g.device.type == "mps" else torch.float64


def _kernel(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float, causal: bool, mask: Tensor | None
) -> Tensor:
    width, dtype = v.shape[-1], v.dtype
    q, k, v = (padded(x) for x in alike(q, k, v))
    if not causal:
        return flex_forgetting(q, k, v, g, scale, mask)[..., :width].to(dtype)
    from fla.ops.forgetting_attn import parallel_forgetting_attn

    tensors = (q, k, v, kernel_gate(g))
    if mask is None:
        return parallel_forgetting_attn(*tensors, scale=scale)[..., :width].to(dtype)
    place = places(mask)  # the kernel has no mask
    o = parallel_forgetting_attn(*(packed(x, place) for x in tensors), scale=scale)
    return unpacked(o, place)[..., :width].to(dtype)


def flops(T: int, heads: int, K: int, V: int, causal: bool) -> int:
    """Flops of the matrix products over T frames, batch 1; a causal pass leaves out whole blocks only."""
    read = sum((min(start + BLOCK, T) - start) * min(start + BLOCK, T) for start in range(0, T, BLOCK))
    return 2 * heads * (read if causal else T * T) * (K + V)
