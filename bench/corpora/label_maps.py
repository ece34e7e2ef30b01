"""Which emotions of two corpora are one: English words in one spelling, and label sets that merge some.

    word("Anger")                            # "angry"
    classes_of("four", ("calm", "fear"))     # {"calm": "neutral"}: fear has no class in this set
    classes_of("", ("anger", "calm"))        # {"anger": "angry", "calm": "calm"}: without a set, each its own
    arousal("Anger")                         # "high"

Label set `four` is the usual one of IEMOCAP, which most studies across corpora share: angry, happy (with
excited), neutral (with calm) and sad.

Levels of arousal are those of Russell's circumplex (1980, J. Pers. Soc. Psychol. 39), its activated and its
deactivated half; neutral, which is no emotion there, counts as low. Disgust and contempt lie on no side of it
that studies agree on, and have no level.
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
AROUSAL = {
    **dict.fromkeys(("angry", "excited", "fearful", "happy", "surprised"), "high"),
    **dict.fromkeys(("bored", "calm", "neutral", "sad"), "low"),
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


def arousal(emotion: str) -> str:
    """The level of arousal of an emotion, "high" or "low"; "" where it has none that is agreed on."""
    return AROUSAL.get(word(emotion), "")
