"""Models with random weights in the layout of pretrained ones: to try the pipeline with no network.

    make(Path("models/tiny"), "wavlm")                       # serbench models make tiny --kind wavlm
    make(Path("models/large"), "wavlm", size="large")        # 315 million parameters, for what it costs

A folder is what `save_pretrained` writes, and is loaded like any other. Its features are those of an
untrained network: scores on them say that the suite works, nothing about emotion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.errors import SuiteError
from bench.features.kinds import MadeKind, MadeSize
from bench.features.model_files import need_transformers, quiet
from bench.folders import whole_folder

TINY = (32, 2)  # width, layers
PUBLISHED: dict[MadeKind, tuple[int, int]] = {  # the same of the largest one in use
    "wavlm": (1024, 24),  # microsoft/wavlm-large
    "wav2vec2": (1024, 24),  # facebook/wav2vec2-large-lv60
    "hubert": (1024, 24),  # facebook/hubert-large-ll60k
    "xlsr": (1024, 24),  # facebook/wav2vec2-xls-r-300m
    "distilhubert": (768, 2),  # ntu-spml/distilhubert
    "whisper": (1280, 32),  # openai/whisper-large-v3
    "bert": (1024, 24),  # google-bert/bert-large-uncased
    "roberta": (1024, 24),  # FacebookAI/roberta-large
    "modernbert": (1024, 28),  # answerdotai/ModernBERT-large
}
WIDTH_STEP = 16  # groups of the convolution that encodes positions
HEAD_WIDTH = 64  # of every published one
FEWEST_HEADS = 4
CONV_WIDTH = 512  # of wav2vec 2.0's convolutions, and no wider than the layers
SYMBOLS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-"


def make(
    folder: Path,
    kind: MadeKind,
    size: MadeSize = "tiny",
    width: int | None = None,
    layers: int | None = None,
    seed: int = 0,
) -> None:
    """Write a model of `kind` as `folder`; `width` and `layers` replace those of `size`.

    SuiteError where there is such a folder already, or the width cannot be divided into heads.
    """
    need_transformers()
    if folder.exists():
        raise SuiteError(f"{folder} is there already; choose another name or remove it")
    default = PUBLISHED[kind] if size == "large" else TINY
    shape = Shape(width or default[0], layers or default[1])
    with torch.random.fork_rng(devices=[]), whole_folder(folder) as temporary, quiet():
        torch.manual_seed(seed)
        for part in MAKERS[kind](shape):
            part.save_pretrained(temporary)


@dataclass(frozen=True)
class Shape:
    """How large a transformer is."""

    width: int
    layers: int

    @property
    def heads(self) -> int:
        """As many as the published ones of that width have."""
        return _heads(self.width)

    @property
    def common(self) -> dict[str, int]:
        """Settings that most families call alike."""
        return {
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": 4 * self.width,
        }


def _heads(width: int) -> int:
    heads = max(FEWEST_HEADS, width // HEAD_WIDTH)
    if width < WIDTH_STEP or width % WIDTH_STEP or width % heads:
        raise SuiteError(
            f"models make: width {width} cannot be divided into heads; give a multiple of {WIDTH_STEP}, from "
            f"{FEWEST_HEADS * HEAD_WIDTH} on of {HEAD_WIDTH}"
        )
    return heads


Parts = tuple[Any, Any]  # the model, and what makes its input


def _wav2vec2(shape: Shape) -> Parts:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    return Wav2Vec2Model(Wav2Vec2Config(**_waves(shape), conv_bias=True)), _samples(normalised=True)


def _hubert(shape: Shape) -> Parts:
    from transformers import HubertConfig, HubertModel

    return HubertModel(HubertConfig(**_waves(shape), conv_bias=True)), _samples(normalised=True)


def _distilhubert(shape: Shape) -> Parts:
    from transformers import HubertConfig, HubertModel

    base = {"feat_extract_norm": "group", "do_stable_layer_norm": False, "feat_proj_layer_norm": False}
    return HubertModel(HubertConfig(**_waves(shape) | base)), _samples(normalised=False)


def _wavlm(shape: Shape) -> Parts:
    from transformers import WavLMConfig, WavLMModel

    return WavLMModel(WavLMConfig(**_waves(shape))), _samples(normalised=True)


def _waves(shape: Shape) -> dict[str, Any]:
    """The large models of the wav2vec 2.0 family: a norm after each convolution, and before each block."""
    return {
        **shape.common,
        "conv_dim": (min(CONV_WIDTH, shape.width),) * 7,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
    }


def _samples(normalised: bool) -> Any:
    from transformers import Wav2Vec2FeatureExtractor

    return Wav2Vec2FeatureExtractor(do_normalize=normalised, return_attention_mask=True)


def _whisper(shape: Shape) -> Parts:
    """With a decoder of one layer and few words, as only the encoder is used."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    config = WhisperConfig(
        d_model=shape.width,
        encoder_layers=shape.layers,
        encoder_attention_heads=shape.heads,
        encoder_ffn_dim=4 * shape.width,
        decoder_layers=1,
        decoder_attention_heads=shape.heads,
        decoder_ffn_dim=4 * shape.width,
        num_mel_bins=128,
        vocab_size=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        begin_suppress_tokens=None,
    )
    return WhisperModel(config), WhisperFeatureExtractor(feature_size=128)


def _bert(shape: Shape) -> Parts:
    from transformers import BertConfig, BertModel, BertTokenizer

    pieces = [*SYMBOLS, *(f"##{symbol}" for symbol in SYMBOLS)]
    vocabulary = _numbered("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces)
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=512)
    return BertModel(BertConfig(**shape.common, vocab_size=30_522)), tokenizer


def _roberta(shape: Shape) -> Parts:
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizer

    vocabulary = _numbered("<s>", "<pad>", "</s>", "<unk>", "<mask>", *_byte_symbols())
    tokenizer = RobertaTokenizer(vocab=vocabulary, merges=[], model_max_length=512)
    config = RobertaConfig(**shape.common, vocab_size=50_265, max_position_embeddings=514, type_vocab_size=1)
    return RobertaModel(config), tokenizer


def _modernbert(shape: Shape) -> Parts:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import ModernBertConfig, ModernBertModel, PreTrainedTokenizerFast

    vocabulary = _numbered("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_byte_symbols())
    pieces = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    pieces.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = {f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, model_max_length=8192, **names)
    ids = {"pad_token_id": 0, "cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3}
    narrower = {"intermediate_size": shape.width * 41 // 16}  # 2624 of 1024
    config = ModernBertConfig(**shape.common | narrower, vocab_size=50_368, **ids)
    return ModernBertModel(config), tokenizer


def _numbered(*symbols: str) -> dict[str, int]:
    return {symbol: number for number, symbol in enumerate(symbols)}


def _byte_symbols() -> list[str]:
    from tokenizers import pre_tokenizers

    return sorted(pre_tokenizers.ByteLevel.alphabet())


MAKERS: dict[MadeKind, Callable[[Shape], Parts]] = {
    "wavlm": _wavlm,
    "wav2vec2": _wav2vec2,
    "hubert": _hubert,
    "xlsr": _wav2vec2,
    "distilhubert": _distilhubert,
    "whisper": _whisper,
    "bert": _bert,
    "roberta": _roberta,
    "modernbert": _modernbert,
}
