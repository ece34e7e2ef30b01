"""Tables as CSV whose text no spreadsheet takes for a formula.

    text(table, float_format="%.6g")            # a label "=1+1" is written '=1+1

Labels, speakers and file names come from elsewhere, and a spreadsheet that opens a CSV file runs a cell which
begins with =, +, - or @. Such a cell, or heading, gets an apostrophe in front, which spreadsheets take for
"this is text". Numbers stay as they are.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

STARTERS = tuple("=+-@\t\n＝＋－＠")  # the wide ones too, which some spreadsheets take for the others


def text(table: pd.DataFrame, float_format: str) -> str:
    """`table` as CSV without its index, lines ending in a line feed."""
    safe = table.map(harmless).rename(columns=harmless)
    return safe.to_csv(index=False, float_format=float_format, lineterminator="\n")


def harmless(cell: Any) -> Any:
    """A cell as it is, but text that a spreadsheet could run after an apostrophe.

    Carriage returns become line feeds: pandas would leave them unquoted, and readers see a new row.
    """
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\r\n", "\n").replace("\r", "\n")
    if not cell.lstrip(" ").startswith(STARTERS) or _is_number(cell):
        return cell
    return f"'{cell}"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
