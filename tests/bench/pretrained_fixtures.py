"""Tiny random models of every family: those that the suite makes, and the kind of the base models."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

from bench.features.made_models import MAKERS, make

TEXT = ("bert", "roberta", "modernbert")
BASES = {  # with a group norm over time behind the first convolution, as the base models have
    "wav2vec2-base": (Wav2Vec2Model, Wav2Vec2Config),
    "hubert-base": (HubertModel, HubertConfig),
    "wavlm-base": (WavLMModel, WavLMConfig),
}
SPEECH = (*(kind for kind in MAKERS if kind not in TEXT), *BASES)


def write_models(root: Path) -> Path:
    """One of each in `root`, named by its kind; returns `root`."""
    for kind in MAKERS:
        make(root / kind, kind)
    for name, (model, config) in BASES.items():
        torch.manual_seed(1)
        small = config(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            conv_dim=(32,) * 7,
            feat_extract_norm="group",
        )
        model(small).save_pretrained(root / name)
        Wav2Vec2FeatureExtractor(do_normalize=name != "wavlm-base").save_pretrained(root / name)
    return root


def speech(seconds: float, seed: int = 0, level: float = 0.1) -> torch.Tensor:
    """Noise with an offset, which normalisation of the clip takes out: (N,) at 16 kHz."""
    noise = torch.randn(round(16_000 * seconds), generator=torch.Generator().manual_seed(seed))
    return level * (noise + 0.5)


@torch.no_grad()
def plain(folder: Path, clip: torch.Tensor) -> list[torch.Tensor]:
    """What transformers itself gives for one clip: the outputs (T, D) of each layer, the last normed."""
    extractor, model = AutoFeatureExtractor.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    inputs = extractor(clip.numpy(), sampling_rate=16_000, return_tensors="pt")
    encoder = model.encoder if model.config.model_type == "whisper" else model
    output = encoder(next(iter(inputs.values())), output_hidden_states=True)
    return [layer[0] for layer in (*output.hidden_states[1:-1], output.last_hidden_state)]
