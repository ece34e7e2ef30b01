"""The leaderboard as Markdown, for people: results/leaderboard.md.

    markdown(accuracy, profiles, reported) -> str

No clock, no random order: the same records give the same bytes. Synthetic corpora come last, under a heading
of their own; published numbers stand after everything of ours, in tables of their own
(`bench.report.published`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from bench.evidence.reported import Reported
from bench.report import findings, published, samplers, sizes, units
from bench.report.board import PARETO, SPLITS, Section, sections_of

_INTRODUCTION = """\
# Leaderboard

Written by `serbench report` from the records in this folder. Scores are pooled over the test speakers of all
folds and averaged over seeds. Brackets are 95 % intervals from a bootstrap over speakers (10,000 draws): how
far a score would move with other speakers, not with another training. Δ is the difference in UAR to
{baseline} of the same direction, in percentage points, paired on the same draws; p is that of no difference,
two-sided, adjusted by Holm for all differences of the table. Systems of one group cannot be told apart from
the best of it (all pairs tested, adjusted by Holm, 5 %); Rank is where 95 % of the draws place a system.
Latency and memory are those of the whole encoder, log-mel to emotion, at the measured lengths nearest to
10 s, 1 min and 400 s of speech. Pareto names the lengths at which no other system of the table is as fast and
as accurate, and better in one of the two.
"""
_CONCORDANCE = """\
CCC is the concordance correlation coefficient of an attribute, or the mean of all; where no emotions are
trained, the mean orders the table and Δ is the difference in it.
"""
SYNTHETIC = "Synthetic corpus (smoke test, not a result)"
_WORDS = ("System", samplers.HEAD, "Direction", PARETO, "Fronts", SPLITS, "Score", "Where", "Source")


def markdown(
    accuracy: pd.DataFrame,
    profiles: pd.DataFrame,
    reported: Sequence[Reported] = (),
    sampled: Sequence[Section] = (),
    sized: Sequence[Section] = (),
) -> str:
    """The leaderboard as a Markdown document; `accuracy` must not be empty.

    `sampled` are the sections that compare samplers (`bench.report.samplers`), `sized` those of the size
    track (`bench.report.sizes`).
    """
    introduction = _INTRODUCTION.format(baseline=findings.baseline_name(accuracy))
    parts = [introduction, *([_CONCORDANCE] if accuracy["attributes"].any() else [])]
    ours = sections_of(accuracy, profiles)
    parts += [_section(section, "##") for section in ours if not section.synthetic]
    for module, some in ((samplers, sampled), (sizes, sized)):
        real = [_section(section, "###") for section in some if not section.synthetic]
        if real:
            parts += [f"## {module.HEADING}\n\n{module.INTRODUCTION}", *real]
    synthetic = [_section(section, "###") for section in (*ours, *sampled, *sized) if section.synthetic]
    if synthetic:
        parts += [f"## {SYNTHETIC}\n", *synthetic]
    return "\n".join(parts + _published(reported))


def _section(section: Section, heading: str) -> str:
    blocks = [
        f"{heading} {section.title}",
        f"**{section.finding}** {section.circumstances}",
        _table([row.cells for row in section.rows]),
        "\n".join(section.notes),
    ]
    for name, rows in section.elsewhere:
        blocks += [f"{name}:", _table([row.cells for row in rows])]
    if section.failures:
        lines = [f"- {failure}" for failure in section.failures]
        blocks.append("\n".join([f"{units.counted(len(lines), 'cell')} failed:\n", *lines]))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _published(reported: Sequence[Reported]) -> list[str]:
    blocks = [f"## {published.HEADING}\n\n{published.WARNING}\n"] if reported else []
    for table in published.tables(reported):
        notes = "\n".join(f"{number}. {note}" for number, note in enumerate(table.notes, start=1))
        blocks.append(f"### {table.name}\n\n{_table(table.rows)}\n\n{notes}\n")
    return blocks


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table; words to the left, numbers to the right."""
    heads = list(rows[0])
    rules = [":--" if head in _WORDS else "--:" for head in heads]
    lines = [heads, rules, *([cell.replace("|", "\\|") for cell in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
