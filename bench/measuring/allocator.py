"""Freed memory stays with the process, so that a clock times the call and not the kernel handing out pages.

    keep_freed_memory()            # first thing in a process that times several calls in turns

Where two calls of different appetite take turns, glibc gives the pages that one frees back to the kernel and
the next call has to fetch them again, one fault a page: for the recurrences on a virtual machine a third of
their time, and nothing that a program which runs one of them would see. Not for a process whose memory is
weighed: what it keeps would not count.
"""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
NEVER = 2**31 - 1  # bytes
AHEAD = 64 * 2**20  # bytes asked of the kernel at a time


def keep_freed_memory() -> bool:
    """Ask the C library's allocator for it; False where it has no such setting (not glibc)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all([mallopt(TRIM_THRESHOLD, NEVER), mallopt(MMAP_THRESHOLD, NEVER), mallopt(TOP_PAD, AHEAD)])
