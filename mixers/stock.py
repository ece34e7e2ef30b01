"""Parameters of the published layers, taken into mixers of stock size.

    options = mixers.info("retnet").cls.stock_options(1024, 4)
    mixer = mixers.build("retnet", 1024, 4, direction="causal", **options)
    stock.load(mixer, stock.layer("retnet", 1024, 4).state_dict())

The layers are those of the study that this suite redoes: flash-linear-attention's, and PyTorch's
`MultiheadAttention` for softmax. A mixer says which parameters of the layer make up each of its own
(`stock_names`), one below the other. `layer` builds one of fla's, whose forward pass needs a GPU.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from mixers.contract import TokenMixer

LAYERS = {  # module and class in fla.layers, and what `num_heads` is called there; "": it has its own number
    "retnet": ("multiscale_retention", "MultiScaleRetention", "num_heads"),
    "gsa": ("gsa", "GatedSlotAttention", "num_heads"),
    "fox": ("forgetting_attn", "ForgettingAttention", "num_kv_heads"),
    "kda": ("kda", "KimiDeltaAttention", "num_heads"),
    "lightnet": ("lightnet", "LightNetAttention", "num_heads"),
    "mamba2": ("mamba2", "Mamba2", ""),
}


def layer(name: str, d_model: int, num_heads: int = 4) -> nn.Module:
    """fla's layer that a mixer stands for, with what it leaves at its defaults as the study had it.

    A causal module on the CPU that returns a tuple, its output (B, T, D) first. ValueError where the mixer
    has none, or flash-linear-attention or triton is missing.
    """
    if name not in LAYERS:
        raise ValueError(f"mixer {name!r} stands for no layer of fla; those that do are {', '.join(LAYERS)}")
    if find_spec("triton") is None or find_spec("fla") is None or find_spec("fla.layers") is None:
        raise ValueError("fla's layers need flash-linear-attention and triton; install serbench[gpu]")
    module, cls, heads = LAYERS[name]
    options = {heads: num_heads} if heads else {}
    built = getattr(importlib.import_module(f"fla.layers.{module}"), cls)
    return built(hidden_size=d_model, layer_idx=0, **options)


def load(mixer: TokenMixer, state: Mapping[str, Tensor]) -> None:
    """Copy the parameters of a published layer, its state dict, into a mixer of stock size.

    ValueError, and a mixer left as it was, where the mixer is not of stock kind, a name is missing or
    unknown, or a shape does not fit.
    """
    own, names = dict(mixer.named_parameters()), mixer.stock_names
    if own.keys() != names.keys():
        raise ValueError(f"this {type(mixer).__name__} has no layer to load; build it with its stock_options")
    _check_names({part for parts in names.values() for part in parts}, set(state))
    values = {name: _stacked(name, own[name], {part: state[part] for part in names[name]}) for name in own}
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(values[name])


def _check_names(expected: set[str], given: set[str]) -> None:
    wrong = [f"missing {name}" for name in sorted(expected - given)]
    wrong += [f"unknown {name}" for name in sorted(given - expected)]
    if wrong:
        raise ValueError(f"the state dict is not that of the published layer: {', '.join(wrong)}")


def _stacked(name: str, own: Tensor, parts: Mapping[str, Tensor]) -> Tensor:
    """The layer's parameters one below the other; a convolution's (C, 1, taps) count as (C, taps)."""
    pieces = [part.squeeze(1) if part.dim() == 3 else part for part in parts.values()]
    rows = sum(piece.shape[0] for piece in pieces)
    if rows != own.shape[0] or any(piece.shape[1:] != own.shape[1:] for piece in pieces):
        shapes = ", ".join(f"{part} {tuple(value.shape)}" for part, value in parts.items())
        raise ValueError(f"{shapes} do not make up {name} {tuple(own.shape)}; build the mixer at their size")
    return torch.cat(pieces)
