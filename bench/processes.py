"""What our worker processes have in common: they leave Ctrl-C to their parent, and never outlive it.

follow_parent()                  # first thing in a child process
cause_of_death(exit_code)        # for the parent of a child that is gone without a word
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading


def follow_parent() -> None:
    """Ignore Ctrl-C, which the parent answers for both, and end when the parent ends, however it dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def cause_of_death(exit_code: int) -> str:
    """A sentence on a child that ended with this code (negative: of a signal) without an answer."""
    if exit_code >= 0:
        return f"the process ended with exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    if name == "SIGKILL":
        return "the system killed the process (SIGKILL), as it does when memory runs out"
    return f"the process died of {name}"
