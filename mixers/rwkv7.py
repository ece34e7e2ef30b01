"""RWKV-7: a delta rule with a decay and a rate for every channel, which removes and adds under other keys.

    S_t = (diag(w_t) − (η_t ∘ κ_t) κ_tᵀ) S_{t−1} + k_t v_tᵀ          o_t = S_tᵀ r_t
    w_t = exp(−e^(−½) σ(·))          η_t = σ(·)
    κ_t = unit(ξ ∘ W x_t)            k_t = (1 + (η_t − 1) ∘ α) ∘ W x_t

then a norm a head, the current frame's bonus (r_t · (ρ ∘ k_t)) v_t and a gate. Every map sees the frame and
the one before it, mixed channel by channel (the token shift). Peng et al. 2025 (arXiv 2503.14456), section
4. O(T) time, O(1) state.

Bidirectional: the token shift is part of what runs both ways, so the backward pass mixes a frame with the
one after it; the bonus and the gate are taken once, from the forward pass. The backward read comes before
the frame's own write: S_{t−1} faded by w_t, without what the frame removes or adds, as for every delta rule
here. That is exact for any read-out linear in the state.

Parameters: the head width is the integer that brings the total nearest 4 · d² (about 0.85 · d / H); the
low-rank maps go through d/16 numbers (decay, rate) and d/8 (gate). Differs from fla's layer: those widths; no
mixing of values with the first layer's, as in a first layer, since a mixer knows no other layer; the
published start of a first layer for the token shift, decays and rates, but the linear maps start as those of
the other mixers; both directions.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from mixers import ops
from mixers.contract import Direction, TokenMixer, widened
from mixers.ops import dplr
from mixers.parts import exempt, matched, packed, unit, wide
from mixers.registry import register

FASTEST = -(torch.e**-0.5)  # the strongest log decay of a frame
SHIFTS = (0.2, 0.9, 0.7, 0.7, 0.9, 0.2)  # of r, w, k, v, η and the gate: channel n starts at 1 − (n/d)^shift

Six = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


@register("rwkv7", label="RWKV-7", paper="arXiv 2503.14456", extra=True)
class RWKV7(TokenMixer):
    """S_t = (diag(w_t) − (η_t ∘ κ_t) κ_tᵀ) S_{t−1} + k_t v_tᵀ; O(T) time, O(1) state (arXiv 2503.14456)."""

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)
        d, narrow, wider = d_model, max(d_model // 16, 1), max(d_model // 8, 1)
        K = self.key_dim = matched(lambda K: _parameters(d, num_heads * K, narrow, wider), d)
        inner = num_heads * K
        starts = [1 - (torch.arange(d) / d) ** shift for shift in SHIFTS]
        self.shift = exempt(nn.Parameter(torch.stack(starts)))
        self.receptance, self.key, self.value = (nn.Linear(d, inner, bias=False) for _ in range(3))
        decays, rates = nn.Linear(narrow, inner), nn.Linear(narrow, inner)
        with torch.no_grad():
            exempt(decays.bias).copy_(torch.linspace(-5.5, 0.5, inner))
            exempt(rates.bias).fill_(-0.19)
        self.decay = nn.Sequential(nn.Linear(d, narrow, bias=False), nn.Tanh(), decays)
        self.rate = nn.Sequential(nn.Linear(d, narrow, bias=False), rates)
        gates = nn.Linear(wider, inner, bias=False)
        self.gate = nn.Sequential(nn.Linear(d, wider, bias=False), nn.Sigmoid(), gates)
        self.removal = exempt(nn.Parameter(torch.full((inner,), 0.71)))
        self.replacement = exempt(nn.Parameter(torch.full((inner,), 1.02)))
        self.bonus = exempt(nn.Parameter(torch.full((inner,), -0.04)))
        self.norm = nn.GroupNorm(num_heads, inner, eps=1e-5 * K)
        exempt(self.norm.weight)
        exempt(self.norm.bias)
        self.out = nn.Linear(inner, d, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return packed(self._mix, x, mask)

    def _mix(self, x: Tensor, mask: Tensor | None) -> Tensor:
        frames = self.stack(x)
        features, into_gate = self._features(frames, pad(frames[:, :-1], (0, 0, 1, 0)))
        rule = partial(ops.dplr_delta_rule, scale=1.0)
        o = self.read(rule, *features, mask=None if mask is None else self.stack(mask))
        r, k, v, ahead = (part[: x.shape[0]] for part in (*features[:3], into_gate))
        return self._finish(o, r, k, v, ahead)

    def _features(self, x: Tensor, before: Tensor) -> tuple[Six, Tensor]:
        """r, k, v, log w, −κ, η ∘ κ, (B, T, H, K) each; and what goes into the gate, (B, T, D)."""
        xr, xw, xk, xv, xa, xg = (torch.lerp(x, before, share.to(x.dtype)) for share in self.shift)
        k = self.key(xk)
        eta = wide(self.rate(xa)).sigmoid()
        kept = k * (1 + (eta - 1) * self.replacement)
        g = FASTEST * wide(self.decay(xw)).sigmoid()
        parts = (self.receptance(xr), kept, self.value(xv), g, k * self.removal, eta)
        r, kept, v, g, kappa, eta = (part.unflatten(-1, (self.num_heads, -1)) for part in parts)
        kappa = unit(kappa)
        return (r, kept, v, g, -kappa, eta * kappa), xg

    def _finish(self, o: Tensor, r: Tensor, k: Tensor, v: Tensor, xg: Tensor) -> Tensor:
        normed = self.norm(o.flatten(2).flatten(0, 1)).view_as(o)
        bonus = (r * k * self.bonus.view(o.shape[2:])).sum(-1, keepdim=True) * v
        return self.out(((normed + bonus).flatten(2) * self.gate(xg)).to(xg.dtype))

    def init_state(self, batch: int) -> tuple[Tensor, Tensor]:
        memory = self.zeros(batch, self.num_heads, self.key_dim, self.key_dim, precise=True)
        return self.zeros(batch, 1, self.d_model), memory

    def extend(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        before = torch.cat([state[0], x[:, :-1]], 1)
        features, into_gate = self._features(x, before)
        o, memory = dplr.extend(state[1], *features, scale=1.0)
        return self._finish(o, *features[:3], into_gate), (x[:, -1:].clone(), memory)

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        memory = widened(dtype).itemsize * self.num_heads * self.key_dim**2
        return memory + dtype.itemsize * self.d_model

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        maps = [part for part in (*self.gate, self.out) if isinstance(part, nn.Linear)]
        once = 2 * T * sum(part.weight.numel() for part in maps)
        recurrence = dplr.flops(T, self.num_heads, self.key_dim, self.key_dim)
        return once + passes * (self.projection_flops(T) - once + recurrence)


def _parameters(d: int, inner: int, narrow: int, wider: int) -> int:
    """Parameters of an RWKV-7 layer of that inner width and those ranks."""
    return 4 * d * inner + (2 * narrow + wider) * (d + inner) + 6 * d + 7 * inner
