"""Errors that are the user's to mend: one clear sentence, exit code 2, no traceback.

Raise `SuiteError("what is wrong, where, and how to mend it")`; the command line prints it after
`serbench: ` and exits with 2. Anything else that escapes is our bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class SuiteError(Exception):
    """Bad input or surroundings; the message says what, where, and how to mend it."""


def shown(text: object) -> str:
    """`text` on one line of a terminal: newlines, control characters and bytes of no text are escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in str(text)
    )


@dataclass(frozen=True, order=True)
class Problem:
    """One file that cannot be used (path as the user knows it) and why."""

    path: Path
    reason: str

    @property
    def name(self) -> str:
        """The path as it can be printed."""
        return shown(self.path)


class UnusableFiles(SuiteError):
    """Several files are bad: all of them are listed at once."""

    def __init__(self, what: str, problems: Sequence[Problem], mend: str) -> None:
        """`what` opens the message ("ravdess: 3 of 1440 files cannot be used"); `mend` closes it."""
        self.problems = tuple(sorted(problems))
        width = max(len(problem.name) for problem in self.problems)
        lines = [f"  {problem.name:{width}}  {shown(problem.reason)}" for problem in self.problems]
        super().__init__("\n".join([what, *lines, mend]))
