"""LSTMs as the one ONNX operator that they are, while a graph is traced.

    with whole_lstms(module):
        torch.onnx.export(module, …)

torch's exporter takes an LSTM apart into its frames, or a loop over them: a graph of one length, or a slow
one that cannot be quantised. The weights are put in the operator's order, and become constants of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

OPSET = 14  # of ONNX, since when the operator has been what it is
Hidden = tuple[Tensor, Tensor]  # state and cell, (1, B, H) each


@contextmanager
def whole_lstms(module: nn.Module) -> Iterator[None]:
    """Every LSTM inside `module` of one layer, one direction and batch first is traced as one operator."""
    found = [part for part in module.modules() if isinstance(part, nn.LSTM) and _plain(part)]
    for lstm in found:
        lstm.forward = partial(_traced, lstm)  # type: ignore[assignment]
    try:
        yield
    finally:
        for lstm in found:
            del lstm.forward


def _plain(lstm: nn.LSTM) -> bool:
    return (
        lstm.num_layers == 1 and lstm.batch_first and lstm.bias and not (lstm.bidirectional or lstm.proj_size)
    )


def _traced(lstm: nn.LSTM, x: Tensor, before: Hidden | None = None) -> tuple[Tensor, Hidden]:
    """`lstm(x, before)` as an operator of the graph: x (B, T, D) → (B, T, H), and the state after it."""
    B, T, H = x.shape[0], x.shape[1], lstm.hidden_size
    weights = dict(lstm.named_parameters())
    inward, onward = (_ordered(weights[f"weight_{kind}_l0"]).unsqueeze(0) for kind in ("ih", "hh"))
    bias = torch.cat([_ordered(weights[f"bias_{kind}_l0"]) for kind in ("ih", "hh")]).unsqueeze(0)
    out, hidden, cell = torch.onnx.ops.symbolic_multi_out(
        "LSTM",
        (x.transpose(0, 1), inward, onward, bias, None, *(before or ())),
        {"hidden_size": H},
        dtypes=(x.dtype,) * 3,
        shapes=((T, 1, B, H), (1, B, H), (1, B, H)),
        version=OPSET,
    )
    return out.squeeze(1).transpose(0, 1), (hidden, cell)


def _ordered(weight: Tensor) -> Tensor:
    """Gates from torch's order (input, forget, cell, output) to ONNX's (input, output, forget, cell)."""
    i, f, c, o = weight.chunk(4)
    return torch.cat([i, o, f, c])
