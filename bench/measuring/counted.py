"""What a call that measures did, in one line: every such call may end before all is done, and goes on later.

@dataclass
class Summary(Counted):
    done: int = 0

    def counts(self) -> tuple[str, ...]:
        return (f"{self.done} runs timed",)

Summary(left=3, done=5).text()             # "5 runs timed, 3 left for the next time"
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(kw_only=True)
class Counted(ABC):
    """Counts of one call; `left` lie beyond the time that it had."""

    left: int = 0

    @abstractmethod
    def counts(self) -> tuple[str, ...]:
        """What was done, each part with its number."""

    def text(self) -> str:
        """One line of counts."""
        beyond = [f"{self.left} left for the next time"] if self.left else []
        return ", ".join([*self.counts(), *beyond])
