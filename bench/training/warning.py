"""A warning that this process may soon be ended: training keeps what it has, says so, and carries on.

    warning.heed(lambda: print("kept"))    # first thing in a process that may be warned
    if warning.given():                    # wherever training stands at a place from which it can go on
        …                                  # keep it
        warning.answer()                   # prints "kept"

Slurm sends SIGUSR2 before a time limit or a pre-emption (`bench.cluster`), and SIGTERM where it ends a job.
A process that heeds no warning treats both as the system does.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

SIGNALS: tuple[signal.Signals, ...] = () if sys.platform == "win32" else (signal.SIGUSR2, signal.SIGTERM)
_given = threading.Event()
_heeded: Sequence[signal.Signals] = ()
_answer: Callable[[], object] | None = None


def heed(answer: Callable[[], object] | None = None, signals: Sequence[signal.Signals] = SIGNALS) -> None:
    """Take `signals` as warnings from now on, in the main thread; `answer` is called when one is answered."""
    global _answer, _heeded
    _answer, _heeded = answer, signals
    again()


def again() -> None:
    """Heed what is heeded, where another library has taken the signals for itself."""
    for number in _heeded:
        signal.signal(number, _note)
    if _heeded:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _heeded)


def _note(number: int, frame: FrameType | None) -> None:
    _given.set()


def given() -> bool:
    """Whether there is a warning that nobody has answered."""
    return _given.is_set()


def answer() -> None:
    """The warning is answered: what can be kept is kept."""
    _given.clear()
    if _answer is not None:
        _answer()


@contextmanager
def held_back() -> Iterator[None]:
    """A child that is started within receives no warning until it heeds them, and no Ctrl-C.

    Ctrl-C goes to all processes of a terminal; the child would show where it was when it began.
    """
    if SIGNALS:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (*SIGNALS, signal.SIGINT))
    try:
        yield
    finally:
        if SIGNALS:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
