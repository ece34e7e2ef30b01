"""What every token mixer promises, and the one place where padding and direction are handled.

A mixer is a module with `forward(x, mask=None)`: x (B, T, D) float, mask (B, T) bool with True on real
frames, result (B, T, D). What stands in padded frames never reaches a real one. `direction` is "causal" or
"bidirectional", with the same parameters in both.

    class RunningMean(TokenMixer):
        def forward(self, x, mask=None): ...

Recurrent mixers hand their queries, keys, values and gates to `both_ways`. Bidirectional means one pass
over the frames and one over the same frames reversed, as a single call of the op on a batch of twice the
size. With g the log decay and S the state, frame i reads

    forward   Σ_{j ≤ i} exp(Σ_{s in (j, i]} g_s) k_j v_jᵀ          the state after its own write
    backward  Σ_{j > i} exp(Σ_{s in [i, j)} g_s) k_j v_jᵀ          the state before its own write

so each pair of frames is weighed by the gates between them, the reader's included and the writer's not,
the sum is unchanged by reversing time, and a frame counts itself once. The backward read is had from an
ordinary causal op by asking one frame earlier with the query decayed by the frame's own gate, which holds
for every read-out that is linear in the state. A padded frame writes nothing (its key is zero) and lets
the state through (its log decay is zero), wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from mixers.ops.checks import check_frames

Direction = Literal["causal", "bidirectional"]


class TokenMixer(nn.Module):
    """Base of every mixer; see the module's docstring for the contract.

    ValueError where `num_heads` does not divide `d_model` or the direction is unknown.
    `stock_names` maps each parameter of a mixer of stock size to those of the published layer that make it
    up, one below the other (`mixers.stock`).
    """

    stock_names: ClassVar[dict[str, tuple[str, ...]]] = {}

    def __init__(self, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional") -> None:
        super().__init__()
        if num_heads < 1 or d_model < 1 or d_model % num_heads:
            raise ValueError(f"d_model={d_model} is no multiple of num_heads={num_heads}; change one of them")
        if direction not in get_args(Direction):
            raise ValueError(f"direction={direction!r} is neither 'causal' nor 'bidirectional'")
        self.d_model = d_model
        self.num_heads = num_heads
        self.head_dim = d_model // num_heads
        self.direction = direction

    def __call__(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`forward`, after one look at its input for all mixers; ValueError names what is wrong with it."""
        check_frames(x, mask, self.d_model, (parameter.dtype for parameter in self.parameters()))
        return super().__call__(x, mask)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, T, D), mask (B, T) bool, True on real frames → (B, T, D)."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    @property
    def bidirectional(self) -> bool:
        """Whether a frame sees those after it."""
        return self.direction == "bidirectional"

    def both_ways(
        self, op: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, *gates: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Run a recurrent op in the mixer's direction; tensors (B, T, H, ·), gates[0] the log decay."""
        both = [self.stack(tensor) for tensor in (q, k, v, *gates)]
        return self.read(op, *both, mask=None if mask is None else self.stack(mask))

    def stack(self, x: Tensor) -> Tensor:
        """Bidirectional: x and its reverse in time on the batch axis, (2B, T, …). Causal: x."""
        return torch.cat([x, x.flip(1)]) if self.bidirectional else x

    def read(
        self,
        op: Callable[..., Tensor],
        q: Tensor,
        k: Tensor,
        v: Tensor,
        g: Tensor,
        *gates: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        """`both_ways` for tensors that are stacked already; returns (B, T, H, V).

        Reversing is a flip of the whole row: padding is inert, so it may stand on either side.
        """
        k, g, *gates = (silence(tensor, mask) for tensor in (k, g, *gates))  # type: ignore[assignment]
        if not self.bidirectional:
            return op(q, k, v, g, *gates)
        ahead, back = halves(q)
        own = halves(g)[1].exp()
        if g.dim() == 4:
            back = back * own.to(back.dtype)
        ahead, back = halves(op(torch.cat([ahead, back.roll(-1, 1)]), k, v, g, *gates))
        back = nn.functional.pad(back[:, :-1], (0, 0, 0, 0, 1, 0))
        if g.dim() == 3:
            back = back * own.unsqueeze(-1).to(back.dtype)
        return ahead + back.flip(1)

    def state_bytes(self, T: int, dtype: torch.dtype = torch.float32) -> int | None:
        """Bytes that a causal stream must keep after T frames, batch 1; None where the mixer does not say."""
        return None

    def flops(self, T: int) -> int | None:
        """Multiply-adds of one forward pass over T frames, batch 1, times two; None if not said."""
        return None

    def projection_flops(self, T: int) -> int:
        """Flops of the mixer's linear maps, each used once a frame."""
        return 2 * T * sum(part.weight.numel() for part in self.modules() if isinstance(part, nn.Linear))

    @classmethod
    def stock_options(cls, d_model: int, num_heads: int) -> dict[str, Any]:
        """Options for `build` that give the published layer at its own size, not at the matched one.

        NotImplementedError where there is no such layer.
        """
        raise NotImplementedError(f"{cls.__name__} has no stock size")

    def zeros(self, batch: int, *shape: int, precise: bool = False) -> Tensor:
        """Zeros (batch, *shape) for `init_state`, where the parameters are and of their dtype.

        `precise`: at least float32, as recurrences keep it. ValueError where the mixer is bidirectional.
        """
        if self.bidirectional:
            raise ValueError("a bidirectional mixer cannot stream; build it with direction='causal'")
        like = next(self.parameters())
        return like.new_zeros(batch, *shape, dtype=widened(like.dtype) if precise else like.dtype)

    def init_state(self, batch: int) -> Any:
        """The state of a causal stream before its first frame: tensors, or nested tuples of them.

        NotImplementedError where the mixer does not provide streaming.
        """
        raise NotImplementedError(f"{type(self).__name__} does not provide streaming")

    def extend(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The next frames x (B, n, D) of a causal stream → their outputs (B, n, D) and the state after them.

        Equal to `forward` on the whole stream, however it is cut. The state given is left as it was.
        """
        raise NotImplementedError(f"{type(self).__name__} does not provide streaming")

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One frame x (B, D) of a causal stream → its output (B, D) and the state after it."""
        y, state = self.extend(x.unsqueeze(1), state)
        return y.squeeze(1), state


def widened(dtype: torch.dtype) -> torch.dtype:
    """float32, or float64 for float64: the precision of states, gates and norms."""
    return torch.promote_types(dtype, torch.float32)


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """The two halves of a stacked batch (2B, …); by slices, as B may be symbolic in an export."""
    B = x.shape[0] // 2
    return x[:B], x[B:]


def silence(x: Tensor, mask: Tensor | None) -> Tensor:
    """x (B, T, …) with zeros in the padded frames of mask (B, T)."""
    if mask is None:
        return x
    return x.masked_fill(~mask.reshape(mask.shape + (1,) * (x.dim() - 2)), 0)
