"""What `serbench mixers` and `serbench corpora list` print.

print(mixers_table(d_model=512, num_heads=4))
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

import mixers
from bench import corpora


def mixers_table(d_model: int, num_heads: int) -> Table:
    """Every registered mixer: label, parameters of one layer, complexity in T, paper."""
    table = Table(title=f"Token mixers, one layer at d = {d_model}, {num_heads} heads", title_justify="left")
    for heading in ("name", "label", "directions", "parameters", "time", "paper"):
        table.add_column(heading, justify="right" if heading == "parameters" else "left")
    for name in mixers.available():
        entry = mixers.info(name)
        size = sum(p.numel() for p in mixers.build(name, d_model, num_heads).parameters())
        table.add_row(name, entry.label, "both", f"{size:,}", entry.complexity, entry.paper)
    return table


def corpora_table() -> Table:
    """Every corpus that can be read: title, emotions, protocols, licence."""
    table = Table(title="Corpora", title_justify="left")
    for heading in ("name", "title", "emotions", "protocols", "licence"):
        table.add_column(heading)
    for name in corpora.names():
        corpus = corpora.find(name)
        folds = (f"{protocol} ({len(folds)} folds)" for protocol, folds in corpus.PROTOCOLS.items())
        table.add_row(name, corpus.TITLE, str(len(corpus.EMOTIONS)), ", ".join(folds), corpus.LICENCE)
    return table


def show(table: Table) -> None:
    """Print to standard output, at full width where that is a file."""
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(table)
