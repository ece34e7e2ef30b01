"""What names a person's machine, taken out of text that leaves it.

    text("cannot open /home/anna/corpora/a.wav")       # "cannot open …/a.wav"
    utterance("/home/anna/corpora/a")                   # "d1f0a3c2/a"

Recordings may lie anywhere; records, predictions and what is made of them are passed on. They name files
below the corpus, and of a path outside only its last part.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import PurePosixPath, PureWindowsPath

_START = r"(?:file://)?(?:~\w*|[A-Za-z]:|\\)?[\\/]"
_QUOTED = re.compile(
    rf"(?P<quote>['\"])(?P<path>{_START}(?:[^'\"\\/\n]+[\\/]+)+)(?P<last>[^'\"\\/\n]*)(?P=quote)"
)
_BARE = re.compile(rf"(?<![\w./\\…-])(?:{_START})(?:[^\s'\",;:()<>|\\/]+[\\/]+)+")
COMMON = ("root", "user", "admin", "localhost")  # words that say nothing of a machine or person


def text(said: str, names: Sequence[str] = ()) -> str:
    """`said` with absolute paths cut to their last part, and `names` (of host and user) taken out."""
    said = _QUOTED.sub(r"\g<quote>…/\g<last>\g<quote>", said)
    said = _BARE.sub("…/", said)
    for name in filter(None, names):
        if name.lower() not in COMMON:
            said = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", said, flags=re.IGNORECASE)
    return said


def utterance(name: str) -> str:
    """The name of an utterance whose recording lies outside its corpus: a digest of the folder, and the file.

    Any other name is as it was. The same path always gives the same name, and others give others.
    """
    if not is_absolute(name):
        return name
    folder, slash, file = name.replace("\\", "/").rpartition("/")
    return f"{_digest(folder + slash)}/{file}"


def is_absolute(path: str) -> bool:
    """Whether a path is absolute on any system."""
    windows = PureWindowsPath(path)
    return PurePosixPath(path).is_absolute() or bool(windows.drive and windows.root)


@cache
def _digest(folder: str) -> str:
    return hashlib.sha256(folder.encode()).hexdigest()[:8]
