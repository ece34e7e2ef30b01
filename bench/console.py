"""Tables on the terminal: one look for all, and easy to cut where they go into a file.

table = plain_table("Corpora", ("name", "title"))
table.add_row("ravdess", "RAVDESS")
show(table)
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table


def plain_table(title: str, columns: Sequence[str], right: Sequence[str] = (), caption: str = "") -> Table:
    """An empty table without side borders, so that a piped one is easy to cut."""
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
        caption=caption or None, caption_justify="left",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def show(table: Table) -> None:
    """Print to standard output, at full width where that is a file."""
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(table)
