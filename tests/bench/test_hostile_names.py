"""Names that spreadsheets, LaTeX, matplotlib or a browser would run, or choke on, from record to report."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import report_fixtures as fixtures
from matplotlib.text import Text

from bench import spreadsheet
from bench.config import Cell, System, Task
from bench.evidence.records import Label
from bench.evidence.store import Store
from bench.report import figure_entries, write_tables

SCRIPT = "</script><img src=x onerror=\"alert('1')\"><b>x</b>"
FORMULA = "=cmd|' /C calc'!A0"
RIGHT_TO_LEFT = "\u202eשלום עולם"
MATHS = "$x_{$ \\frac{ % & # ^ ~"
EMOTIONS = (FORMULA, "+1", "-1+1", "@sum", "a\nb \u2028\x1b[2J", SCRIPT, RIGHT_TO_LEFT, MATHS, "angry_low")
TITLE = f"[*] {MATHS} {SCRIPT} {RIGHT_TO_LEFT} 語 é | \n\n end"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Two systems and a failed one of a corpus in which everything has a hostile name."""
    store = Store(tmp_path_factory.mktemp("hostile"))
    people = fixtures.manifest(EMOTIONS, speakers=6, per_speaker=30)
    people["speaker"] = FORMULA + "\n" + people["speaker"]
    machine = fixtures.CPU.model_copy(update={"device": f"CPU {SCRIPT} {MATHS}"})
    for layout in ("softmax", "retnet", "kda"):
        task = Task(corpus=f"table:{FORMULA}", protocol="speakers-0123abcd")
        cell = Cell(task=task, seed=0, system=System(layout=layout))
        label = fixtures.label_of(layout) if layout != "retnet" else Label(text=TITLE, mixers=("retnet",))
        common = {"corpus_title": TITLE, "environment": machine, "label": label}
        if layout == "kda":
            store.write(fixtures.run_record(cell, EMOTIONS, status="failed", reason=TITLE, **common))
        else:
            fixtures.write_run(store, cell, people, EMOTIONS, **common)
        for seconds in (1.0, 10.0):
            store.write(fixtures.profile_record(layout, "encoder", seconds, machine, label=label))
    write_tables(store.root)
    return store.root


@pytest.mark.parametrize("name", ["leaderboard.csv", "costs.csv"])
def test_no_cell_that_we_write_is_a_formula(results, name):
    rows = list(csv.reader((results / name).read_text(encoding="utf-8").splitlines(keepends=True)))
    assert len({len(row) for row in rows}) == 1
    cells = [cell for row in rows for cell in row]
    assert any(FORMULA in cell for cell in cells) or name == "costs.csv"
    assert [cell for cell in cells if cell.startswith(spreadsheet.STARTERS) and not numeric(cell)] == []


def numeric(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("cell", ["=1+1", "+x", "-x", "@x", "\t=1", "\r=1", "＝1", "  =1", "\n=1"])
def test_text_that_a_spreadsheet_would_run_is_written_as_text(cell):
    written = spreadsheet.text(pd.DataFrame({cell: [cell]}), float_format="%g")
    head, body = csv.reader(io.StringIO(written, newline=""))
    assert head == body == ["'" + cell.replace("\r", "\n")]


def test_numbers_and_other_text_stay_as_they_are():
    table = pd.DataFrame({"value": [-0.5, 2.0], "text": ["a=b", "-0.5"], "minus": ["−1", ""]})
    assert spreadsheet.text(table, float_format="%g") == table.to_csv(index=False, float_format="%g")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_the_latex_tables_compile(results, tmp_path):
    shutil.copy(results / "leaderboard.tex", tmp_path)
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\input{leaderboard}\\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:].decode(errors="replace")


def test_a_figure_takes_a_dollar_sign_for_a_dollar_sign(results, tmp_path):
    recall = next(entry for entry in figure_entries(results) if entry.kind == "recall").draw()
    recall.savefig(tmp_path / "recall.svg")  # matplotlib reads formulas as it draws
    assert any(text.get_text().startswith(MATHS) for text in recall.findobj(Text))


def test_the_page_holds_them_as_text(results):
    """In a headless Chromium: nothing is run, asked for or added to the page."""
    browser_tests = pytest.importorskip("test_page_browser", reason="no Playwright")
    with browser_tests.api.sync_playwright() as playwright:
        executable = browser_tests.chromium(playwright)
        browser = playwright.chromium.launch(executable_path=executable, args=browser_tests.FLAGS)
        watched = browser_tests.Watched(browser.new_context(), results / "index.html")
        page = watched.open()
        assert page.locator("img, b, script:not([type])").count() == 0
        assert SCRIPT in page.locator("body").inner_text()
        assert "שלום עולם" in page.locator("body").inner_text()
        assert page.evaluate("document.querySelectorAll('script').length") == 2
        browser.close()
    assert watched.wrong == []
