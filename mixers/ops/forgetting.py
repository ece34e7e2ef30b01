"""Forgetting attention: softmax attention whose scores fade with the forget gates passed on the way.

    o_i = Σ_{j ≤ i} softmax_j(scale · q_i·k_j + c_i − c_j) v_j          c = cumulative sum of g ≤ 0

Lin et al. 2025 (FoX, arXiv 2503.02130). Bidirectional: one softmax over all frames with the bias −|c_i −
c_j|, which for j < i is the same and for j > i sums the gates in (i, j]. O(T²) time; over long inputs the
queries go block by block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mixers.ops import portable
from mixers.ops.backend import Backend, alike, choose, kernel_gate, padded
from mixers.ops.checks import check_shapes
from mixers.ops.chunkwise import computing_dtype, full_precision
from mixers.ops.softmax import visible

QUERIES = 1024  # a block: its scores against all keys are held at once


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
    frames are not read and fade nothing. fla's kernel is causal.
    """
    check_shapes(q=(q, "BTHK"), k=(k, "BTHK", "BTGK"), v=(v, "BTHV", "BTGV"), g=(g, "BTH"))
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if choose(backend, q) == "fla":
        return _kernel(q, k, v, g, scale, causal, mask)
    if mask is not None:
        g = g.masked_fill(~mask.unsqueeze(-1), 0)
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
    """The output for scaled queries of the last frames, some or all, block by block."""
    dtype = computing_dtype(q, k, v, g)
    with full_precision(q):
        fade = g.to(_sum_dtype(g)).cumsum(1).transpose(1, 2)
        q, keys, values = (x.transpose(1, 2).to(dtype) for x in (q, k, v))
        keys, values = (_a_query_head(x, q.shape[1]) for x in (keys, values))
        past = k.shape[1] - q.shape[2]
        if portable.exporting():
            return _read(q, past, keys, values, fade, causal, mask).transpose(1, 2).to(v.dtype)
        blocks = [
            _read(q[:, :, start : start + QUERIES], past + start, keys, values, fade, causal, mask)
            for start in range(0, q.shape[2], QUERIES)
        ]
        return torch.cat(blocks, 2).transpose(1, 2).to(v.dtype)


def _a_query_head(x: Tensor, heads: int) -> Tensor:
    """x (B, H, T, ·) → (B, heads, T, ·): each head repeated for the query heads that share it."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], 1)


def _read(
    q: Tensor, start: int, k: Tensor, v: Tensor, fade: Tensor, causal: bool, mask: Tensor | None
) -> Tensor:
    """The output of queries (B, H, n, K) from frame `start` on; k, v (B, H, T, ·), fade (B, H, T)."""
    end = start + q.shape[2]
    seen = end if causal else k.shape[2]
    near = fade - fade[:, :, start : start + 1]
    whole = near.to(q.dtype)
    rest = (near - whole).to(q.dtype)  # what strong gates push out of float32, and weak ones after them need
    apart = whole[:, :, start:end, None] - whole[:, :, None, :seen]
    apart = apart + (rest[:, :, start:end, None] - rest[:, :, None, :seen])
    if not causal:
        frame = torch.arange(k.shape[2], device=q.device)
        apart = torch.where(frame[start:end, None] < frame, -apart, apart)
    scores = q @ k[:, :, :seen].transpose(-1, -2) + apart
    hidden = _hidden(start, end, seen, causal, mask, q.device)
    if hidden is not None:
        scores = scores.masked_fill(hidden, -torch.inf)
    return scores.softmax(-1) @ v[:, :, :seen]


def _hidden(
    start: int, end: int, keys: int, causal: bool, mask: Tensor | None, device: torch.device
) -> Tensor | None:
    """Which of the keys the queries start…end may not read, broadcastable to (B, H, queries, keys)."""
    if mask is not None:
        seen = visible(mask, causal)
        return ~(seen[:, :, start:end, :keys] if causal else seen)
    if causal:
        return torch.ones(end - start, keys, dtype=torch.bool, device=device).triu(start + 1)
    return None


def _sum_dtype(g: Tensor) -> torch.dtype:
    """float64, so that differences of long sums keep their digits; float32 where the device has no other."""
    return torch.float32 if g.device.type == "mps" else torch.float64


def _kernel(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float, causal: bool, mask: Tensor | None
) -> Tensor:
    if not causal:
        raise ValueError("backend='fla' has only causal forgetting attention; use backend='auto'")
    from fla.ops.forgetting_attn import parallel_forgetting_attn

    width, dtype = v.shape[-1], v.dtype
    tensors = (*(padded(x) for x in alike(q, k, v)), kernel_gate(g))
    if mask is None:
        return parallel_forgetting_attn(*tensors, scale=scale)[..., :width].to(dtype)
    order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)  # real frames first: the kernel has no mask
    o = parallel_forgetting_attn(*(_taken(x, order) for x in tensors), scale=scale)
    return _taken(o, order.argsort(1))[..., :width].to(dtype)


def _taken(x: Tensor, order: Tensor) -> Tensor:
    """The frames of x (B, T, …) in the order (B, T)."""
    return x.gather(1, order.reshape(order.shape + (1,) * (x.dim() - 2)).expand_as(x))
