r"""The leaderboard as LaTeX tables, for papers: results/leaderboard.tex.

    tables(accuracy, profiles, reported) -> str

    \usepackage{booktabs}            % in the preamble; the encoding is UTF-8
    \input{leaderboard}              % a table* a comparison; published numbers last

The score is in bold for the best system and for those that cannot be told apart from it (rank group 1).
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from itertools import groupby

import pandas as pd

from bench.evidence.reported import Reported
from bench.report import published
from bench.report.board import ONE_SEED, PARETO, SPLITS, Row, Section, sections_of
from bench.report.leaderboard import SYNTHETIC

_HEADER = r"""% Written by `serbench report` from the records in this folder. Needs \usepackage{booktabs}.
"""
_MARKS = "k: thousands of parameters. Bold: the best score and those that cannot be told apart from it."
_FRONT = " Star: no other system is as fast at that length and as accurate, and better in one of the two."
_SKIPPED = ("#", "Direction", "Rank", "Macro-F1 %", "WA %", SPLITS, PARETO)
_SHORT = {"Parameters (k)": "k"}
_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "#": r"\#",
        "_": r"\_",
        "$": r"\$",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        ">": "$>$",
        "−": "$-$",
        "±": r"$\pm$",
        "×": r"$\times$",
        "→": r"$\rightarrow$",
        "Δ": r"$\Delta$",
        "µ": r"$\mu$",
        "ᵖ": "$^p$",
        "†": r"\dag{}",
        "–": "--",
        "“": "``",
        "”": "''",
        "|": r"\textbar{}",
    }
)
_ACCENTED = set(map(chr, range(0xC0, 0x100))) - set("ÐÞðþ×÷")  # Latin-1 letters that every font has
_PLAIN = set(string.ascii_letters + string.digits + string.punctuation + " ") | _ACCENTED | set("‘’…·")


def tables(accuracy: pd.DataFrame, profiles: pd.DataFrame, reported: Sequence[Reported] = ()) -> str:
    """All tables as one LaTeX file; `accuracy` must not be empty."""
    ours = [_comparison(section) for section in sections_of(accuracy, profiles)]
    theirs = [_published(table) for table in published.tables(reported)]
    return "\n".join([_HEADER, *ours, *theirs])


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is; a letter that pdfLaTeX has no font for is named by its code point."""
    return "".join(letter if letter in _PLAIN else _coded(letter) for letter in text.translate(_ESCAPES))


def _coded(letter: str) -> str:
    return " " if letter.isspace() else rf"\texttt{{U+{ord(letter):04X}}}"


def _comparison(section: Section) -> str:
    heads = [head for head in section.rows[0].cells if head not in _SKIPPED]
    kind = f"{SYNTHETIC}: " if section.synthetic else ""
    notes = " ".join((*section.notes, *_stand_ins(heads)))
    front = _FRONT if any(row.cells.get(PARETO) for row in section.rows) else ""
    caption = f"{kind}{section.title}. {section.finding} {section.circumstances} {notes} {_MARKS}{front}"
    alignment = "l" + "r" * (len(heads) - 1)
    body = [_line(row, heads) for row in section.rows]
    return _table(caption, alignment, _head_lines(heads), body)


def _stand_ins(heads: Sequence[str]) -> list[str]:
    """Which measured lengths stand for those that were asked for: "10 min stands for 400 s."."""
    lengths = [head.partition(" at ")[2].removesuffix(")").partition(" (for ") for head in heads]
    return list(dict.fromkeys(f"{measured} stands for {asked}." for measured, _, asked in lengths if asked))


def _line(row: Row, heads: Sequence[str]) -> str:
    causal = ", causal" if row.cells["Direction"] == "causal" else ""
    mark = ONE_SEED if row.cells[SPLITS].endswith(ONE_SEED) else ""
    cells = {head: escaped(row.cells[head]) for head in heads}
    cells["System"] += causal + escaped(mark)
    if row.leads:
        score = heads[2]
        cells[score] = rf"\textbf{{{cells[score]}}}"
    for length in filter(None, row.cells.get(PARETO, "").split(", ")):
        head = next(head for head in heads if head.partition(" (for ")[0] == f"Latency at {length}")
        cells[head] += r"$^{\star}$"
    return _row(cells.values())


def _row(cells: Iterable[str]) -> str:
    """A row of escaped cells; one that opens with a bracket or star would be an option of the line break."""
    text = " & ".join(cells) + r" \\"
    return "{}" + text if text.startswith(("[", "*")) else text


def _head_lines(heads: Sequence[str]) -> list[str]:
    """One line of heads, or two with the quantity over its lengths ("Latency" over "10 s", "1 min")."""
    split = [_SHORT.get(head, head).partition(" (for ")[0].partition(" at ") for head in heads]
    if not any(at for _, at, _ in split):
        return [" & ".join(escaped(quantity) for quantity, *_ in split) + r" \\"]
    above, rules, column = [], [], 1
    for (quantity, at), some in groupby(split, key=lambda part: (part[0] if part[1] else "", bool(part[1]))):
        count = len(list(some))
        if at:
            above.append(rf"\multicolumn{{{count}}}{{c}}{{{escaped(quantity)}}}")
            rules.append(rf"\cmidrule(lr){{{column}-{column + count - 1}}}")
        else:
            above += [""] * count
        column += count
    below = [escaped(length if at else quantity) for quantity, at, length in split]
    return [" & ".join(above) + r" \\", "".join(rules), " & ".join(below) + r" \\"]


def _published(table: published.Table) -> str:
    heads = list(table.rows[0])
    alignment = "".join("r" if head in ("Value", "Note") else "l" for head in heads)
    body = [_row(map(escaped, row.values())) for row in table.rows]
    head = " & ".join(escaped(head) for head in heads) + r" \\"
    notes = " ".join(f"[{number}] {note}." for number, note in enumerate(table.notes, start=1))
    caption = f"{published.HEADING}: {table.name}. {published.WARNING} {notes}"
    return _table(caption, alignment, [head], body)


def _table(caption: str, alignment: str, heads: Sequence[str], body: Sequence[str]) -> str:
    lines = [
        r"\begin{table*}[t]",
        r"\centering\scriptsize\setlength{\tabcolsep}{2.4pt}",
        rf"\caption{{{escaped(' '.join(caption.split()))}}}\smallskip",
        rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"\toprule",
        *heads,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"
