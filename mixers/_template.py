"""NAME: what it does, in one sentence.

    S_t = exp(g_t) S_{t−1} + k_t v_tᵀ          the recurrence, as the paper writes it
    o_t = S_tᵀ q_t / √K

AUTHORS YEAR (arXiv NUMBER), eq. N. O(T) time, O(1) state. Bidirectional: WHAT IT MEANS HERE. Parameters: HOW
THEY COME TO 4 · d². Differs from the published layer: IN WHAT, AND WHY.

Start a mixer from this file: copy it to `mixers/<name>.py`, change the words in capitals, the class's name
and the name that it is registered under. It is a whole mixer, and passes every test of the contract as it
stands. Only `__init__` and `forward` must be written; what a mixer leaves out is shown as not provided.
(This file itself is not registered: names that begin with an underscore are passed over.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from mixers import Direction, TokenMixer, ops, register
from mixers.contract import silence, widened
from mixers.ops import linear
from mixers.parts import HeadProjection, RMSNorm, exempt, wide


# Further: complexity="O(T²)" where the time is quadratic; extra=True keeps the mixer out of runs that name no
# mixers, where it is otherwise trained and timed beside the others.
@register("template", label="Template", paper="arXiv NUMBER")
class Template(TokenMixer):
    """S_t = exp(g_t) S_{t−1} + k_t v_tᵀ, o_t = S_tᵀ q_t / √K; O(T) time, O(1) state (arXiv NUMBER)."""

    # Options of its own go after `direction`, as keywords with a default.
    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__(d_model, num_heads, direction)  # refuses heads that do not divide the width
        self.qkv = HeadProjection(d_model, num_heads, (self.head_dim,) * 3)
        self.fade = nn.Linear(d_model, num_heads)
        exempt(self.fade.bias)  # gates, decays and norms take no weight decay
        self.norm = RMSNorm(self.head_dim)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        # `both_ways` keeps padding out and runs the direction asked for. It takes an op of `mixers.ops`, or
        # any causal function of q, k, v and gates, (B, T, H, ·) each, that is linear in q; the first gate is
        # the log decay. A mixer that looks at neighbouring frames (a convolution, a token shift) runs inside
        # `mixers.parts.packed`, as `mixers/gated_deltanet.py` does.
        features = self._features(silence(x, mask))
        return self._finish(self.both_ways(ops.gated_linear_attention, *features, mask=mask))

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """q, k, v and the log decay: what `forward` and a stream share."""
        q, k, v = self.qkv(x)
        return q, k, v, logsigmoid(wide(self.fade(x)))  # gates in float32, also under autocast

    def _finish(self, o: Tensor) -> Tensor:
        return self.out(self.norm(o).flatten(2))

    # From here on everything is optional, and tested where it is written.

    def init_state(self, batch: int) -> Tensor:
        return self.zeros(batch, self.num_heads, self.head_dim, self.head_dim, precise=True)

    def extend(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        o, state = linear.extend(state, *self._features(x))
        return self._finish(o), state

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int:
        return widened(dtype).itemsize * self.d_model * self.head_dim  # the bytes of what `extend` returns

    def flops(self, T: int) -> int:
        passes = 1 + self.bidirectional
        recurrence = linear.flops(T, self.num_heads, self.head_dim, self.head_dim, gate_a_channel=False)
        return self.projection_flops(T) + passes * recurrence
