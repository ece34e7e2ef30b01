"""Which pretrained encoders the suite runs, and which it can write with random weights.

    KINDS["wavlm"]                        # "speech"
    known("text")                         # "bert, roberta, modernbert"

Light to import: the command line shows these names.
"""

from __future__ import annotations

from typing import Literal

Use = Literal["speech", "text"]
KINDS: dict[str, Use] = {  # architectures by their name in config.json, with what they encode
    "wavlm": "speech",
    "wav2vec2": "speech",  # XLS-R too
    "hubert": "speech",  # DistilHuBERT too
    "whisper": "speech",  # its encoder
    "bert": "text",
    "roberta": "text",
    "modernbert": "text",
}

MadeKind = Literal[
    "wavlm", "wav2vec2", "hubert", "xlsr", "distilhubert", "whisper", "bert", "roberta", "modernbert"
]
MadeSize = Literal["tiny", "large"]


def known(use: Use) -> str:
    """The architectures that encode speech, or text, for people."""
    return ", ".join(kind for kind, of in KINDS.items() if of == use)
