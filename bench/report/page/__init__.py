"""The page: everything that a results folder says, as one HTML file to open, sort, hover and print.

    text = html(store.runs(), accuracy, profiles, reported)        # results/index.html

The file holds its style, its script and its data and asks nothing of any network; a content security policy
says so to the browser. The same records give the same bytes. `data` turns tables into what the page shows,
`runs` what its drill-down shows, `palette` the colours, `bundle` puts `static/` and these into one file.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.evidence.records import RunRecord
from bench.evidence.reported import Reported
from bench.report import style
from bench.report.page import bundle, palette, published
from bench.report.page.data import Looks, comparisons, curves, findings_of_costs
from bench.report.page.runs import drilldown


def html(
    runs: Sequence[RunRecord],
    accuracy: pd.DataFrame,
    profiles: pd.DataFrame,
    reported: Sequence[Reported] = (),
) -> str:
    """The page of one results folder; either table may be empty."""
    tables = (accuracy, profiles)
    looks = Looks(
        style.assign(name for table in tables for names in table.get("mixers", ()) for name in names)
    )
    shown = {
        "comparisons": comparisons(accuracy, profiles, looks),
        "curves": curves(profiles, looks),
        "costs": findings_of_costs(profiles),
        "runs": drilldown(runs, accuracy),
        "published": published.rows(reported),
    }
    return bundle.html(shown | {"looks": looks.marks()}, palette.css(looks.used))
