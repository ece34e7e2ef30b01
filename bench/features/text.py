"""Last hidden states of a frozen text encoder, one row a token.

    encoder = TextEncoder.load(features.text, folders.models).to(device)
    states, mask = encoder(["so what", ""])           # (B, W, D), (B, W); the tokens that mark both ends too
    encoder.truncated                                 # transcripts cut so far to the model's longest input

An empty transcript becomes "...", as in arXiv 2603.15120. A transcript's states are the same alone and
in any batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.config import Extractor
from bench.errors import SuiteError
from bench.features.model_files import Files, explained, load_model, look, quiet
from bench.features.pretrained import Frozen, resolve

EMPTY = "..."  # stands for an empty transcript


class TextEncoder(Frozen):
    """Frozen BERT, RoBERTa or ModernBERT."""

    def __init__(self, model: Any, tokenizer: Any, extractor: Extractor) -> None:
        """`extractor` describes `model`; see `load`."""
        super().__init__()
        self.model, self.tokenizer, self.extractor = model, tokenizer, extractor
        self.longest = min(tokenizer.model_max_length, _positions(model.config))  # tokens
        self.truncated = 0
        self.freeze()

    @classmethod
    def load(cls, extractor: Extractor, models: Path | None = None) -> TextEncoder:
        """In float32 on the CPU; SuiteError as in `pretrained.resolve`, or without a tokenizer that fits."""
        found = resolve(extractor, models, "text")
        files = look(found.name, models, "text")
        return cls(load_model(files), _tokenizer(files), found)

    @torch.no_grad()
    def forward(self, transcripts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """States (B, W, D), zero where padded, and mask (B, W) bool, True where real."""
        texts = [text if text.strip() else EMPTY for text in transcripts]
        tokens = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.longest, return_tensors="pt"
        )
        self.truncated += sum(bool(each.overflowing) for each in tokens.encodings)
        tokens = tokens.to(next(self.parameters()).device)
        mask = tokens["attention_mask"].bool()
        states = self.model(**tokens).last_hidden_state
        return states.masked_fill(~mask[..., None], 0), mask


def _tokenizer(files: Files) -> Any:
    """The tokenizer beside the weights, padding on the right; SuiteError where it is not the model's."""
    from transformers import AutoTokenizer

    with explained(files.subject, "its tokenizer cannot be read"), quiet():
        tokenizer = AutoTokenizer.from_pretrained(files.folder)
    if len(tokenizer) > files.config.vocab_size or tokenizer.pad_token_id is None:
        raise SuiteError(
            f"{files.subject} has another model's tokenizer ({len(tokenizer)} tokens, where the model knows "
            f"{files.config.vocab_size}; padding {tokenizer.pad_token!r}); save the model's own there"
        )
    tokenizer.padding_side = "right"
    return tokenizer


def _positions(config: Any) -> int:
    """Tokens that the model has positions for; RoBERTa's are counted from behind the padding token."""
    before = config.pad_token_id + 1 if config.model_type == "roberta" else 0
    return int(config.max_position_embeddings) - before
