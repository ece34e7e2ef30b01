"""The recurrences under the mixers: (B, T, H, ·) throughout, gates in log space and ≤ 0, state in float32.

    o = ops.gated_linear_attention(q, k, v, g)      # S_t = diag(exp g_t) S_{t−1} + k_t v_tᵀ ; o_t = S_tᵀ q_t

The torch versions are chunkwise: matrix products inside a chunk of frames, one step of the recurrence a
chunk. They are exact for every gate ≤ 0, differentiable, and compute in float32, or in float64 where
given it. `scale` None is K^−½. `backend`: see `mixers.ops.backend`.
"""

from mixers.ops.delta import delta_rule
from mixers.ops.dplr import dplr_delta_rule
from mixers.ops.forgetting import forgetting_attention
from mixers.ops.linear import gated_linear_attention
from mixers.ops.slots import gated_slot_attention
from mixers.ops.softmax import softmax_attention, unfused_softmax_attention
from mixers.ops.window import window_attention

__all__ = [
    "delta_rule",
    "dplr_delta_rule",
    "forgetting_attention",
    "gated_linear_attention",
    "gated_slot_attention",
    "softmax_attention",
    "unfused_softmax_attention",
    "window_attention",
]
