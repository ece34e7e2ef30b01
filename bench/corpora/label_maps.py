"""Which emotions of two corpora are one: English words in one spelling, and label sets that merge some.

    word("Anger")                            # "angry"
    classes_of("four", ("calm", "fear"))     # {"calm": "neutral"}: fear has no class in this set
    classes_of("", ("anger", "calm"))        # {"anger": "angry", "calm": "calm"}: without a set, each its own

Label set `four` is the usual one of IEMOCAP, which most studies across corpora share: angry, happy (with
excited), neutral (with calm) and sad.
"""

from __future__ import annotations

from collections.abc import Iterable

SPELLINGS = {
    "anger": "angry",
    "boredom": "bored",
    "disgusted": "disgust",
    "fear": "fearful",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
}
LABEL_SETS = {
    "four": {
        "angry": "angry",
        "happy": "happy",
        "excited": "happy",
        "neutral": "neutral",
        "calm": "neutral",
        "sad": "sad",
    },
}


def word(emotion: str) -> str:
    """A corpus's name of an emotion, in the spelling that all share."""
    lower = emotion.strip().lower()
    return SPELLINGS.get(lower, lower)


def classes_of(label_set: str, emotions: Iterable[str]) -> dict[str, str]:
    """The class of each emotion that has one in the set; without a set ("") all have their own."""
    words = {emotion: word(emotion) for emotion in emotions}
    if not label_set:
        return words
    merged = LABEL_SETS[label_set]
    return {emotion: merged[name] for emotion, name in words.items() if name in merged}
