"""One progress bar for all long work: on standard error, gone when done.

for path in track(paths, "reading ravdess", len(paths)):
    …
with transfer("archive.zip") as report:
    report(bytes_so_far, bytes_in_all)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

Item = TypeVar("Item")


def track(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Yield `items` while showing how many of `total` have been handed out and the time that remains."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with _progress(*columns) as progress:
        yield from progress.track(items, total=total, description=description)


@contextmanager
def transfer(description: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show bytes as they come: call what this gives with the number so far and in all (None: unknown)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with _progress(*columns) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _progress(*columns: ProgressColumn) -> Progress:
    """A bar where standard error is a terminal, and nothing elsewhere: in a file, or in a notebook."""
    console = Console(stderr=True, force_jupyter=False)
    return Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())
