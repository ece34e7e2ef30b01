"""Transcripts as rows of characters: what CTC is to align.

    letters = Alphabet.of(["Dogs are sitting", "…by the door."])
    letters.spelled("The door!")            # numbers of "the door", from 1; 0 is CTC's blank

Letters of any script in lower case, marks, digits, apostrophes and single spaces; punctuation is dropped. A
character that the alphabet lacks is left out. The alphabet is that of the training transcripts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Alphabet:
    """The characters that are told apart, in order of their code points."""

    characters: tuple[str, ...]

    @classmethod
    def of(cls, transcripts: Iterable[str]) -> Alphabet:
        """Those of some transcripts."""
        return cls(tuple(sorted({character for text in transcripts for character in plain(text)})))

    def spelled(self, transcript: str) -> list[int]:
        """Numbers from 1, one a character."""
        number = {character: i for i, character in enumerate(self.characters, start=1)}
        return [number[character] for character in plain(transcript) if character in number]


def plain(transcript: str) -> str:
    """A transcript in lower case, composed (NFC), without punctuation."""
    composed = unicodedata.normalize("NFC", transcript).lower().replace("’", "'")
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in composed)
    return " ".join("".join(kept).split())
