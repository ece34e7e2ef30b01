"""Every figure, on a page and in a paper's column: readable, traceable to its data, the same bytes again."""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from xml.etree import ElementTree

import figure_fixtures
import pandas as pd
import pytest
import report_fixtures as fixtures
from matplotlib.text import Text
from PIL import Image

from bench.cli import run_command
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.report import figure_entries, figures, findings, style
from bench.report.details import Details
from bench.report.figures import lines as line_figures
from bench.report.figures.figure2 import as_published
from bench.report.figures.pareto import pareto_points
from bench.report.sheets import SCREEN, VENUES, Sheet, venue
from bench.report.tables import accuracy_table, profile_table, score_tables

NAMES = (
    *("latency", "memory", "forest", "pareto", "pareto_memory", "recall", "confusion", "lengths"),
    *("directions", "figure2", "ops", "sizes"),
)
SHEETS = {"page": SCREEN} | {name: VENUES[name] for name in ("acl", "interspeech-double")}  # the narrowest


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("results"))
    figure_fixtures.write_all(store)
    return store.root


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Results that are quick to report on."""
    store = Store(tmp_path_factory.mktemp("small"))
    fixtures.write_runs(store, ("softmax", "retnet"), folds=(0, 1))
    fixtures.write_profiles(store, ("softmax", "retnet"), seconds=(10.0, 60.0))
    return store.root


@pytest.fixture(scope="module")
def small_entries(small):
    return {entry.name: entry for entry in figure_entries(small)}


@pytest.fixture(scope="module")
def entries(results):
    return {entry.name: entry for entry in figure_entries(results)}


@pytest.fixture(scope="module")
def pictures(entries):
    """Every figure on every sheet, drawn once."""
    return {(name, sheet): entries[name].draw(SHEETS[sheet]) for name in NAMES for sheet in SHEETS}


@pytest.fixture(scope="module")
def texts(pictures):
    """Every text that is seen on a figure, laid out once."""
    return {place: shown(picture) for place, picture in pictures.items()}


def shown(picture) -> list[Text]:
    picture.draw_without_rendering()
    texts = list(picture.texts)
    for axes in picture.axes:
        texts += [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis) if axes.axison else ():
            low, high = sorted(axis.get_view_interval())
            texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [text for text in texts if text.get_text().strip()]


def test_there_is_a_figure_of_every_kind(entries):
    assert set(NAMES) == set(figures.KINDS)
    assert set(NAMES) <= set(entries)


@pytest.mark.parametrize(("name", "sheet"), [*itertools.product(NAMES, SHEETS)])
def test_no_text_leaves_the_figure_or_is_smaller_than_seven_points(pictures, texts, name, sheet):
    picture = pictures[name, sheet]
    for text in texts[name, sheet]:
        box = text.get_window_extent()
        assert picture.bbox.x0 - 1 <= box.x0 < box.x1 <= picture.bbox.x1 + 1, text.get_text()
        assert picture.bbox.y0 - 1 <= box.y0 < box.y1 <= picture.bbox.y1 + 1, text.get_text()
        assert text.get_size() >= 7


@pytest.mark.parametrize(("name", "sheet"), [*itertools.product(NAMES, SHEETS)])
def test_no_text_stands_on_another(texts, name, sheet):
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts[name, sheet]]
    inner = [(text, box.padded(-min(1.0, box.width / 4, box.height / 4))) for text, box in boxes]
    clashes = [(one, two) for (one, a), (two, b) in itertools.combinations(inner, 2) if a.overlaps(b)]
    assert clashes == []


@pytest.mark.parametrize("name", NAMES)
def test_a_venues_figure_is_as_wide_as_its_column_and_leaves_the_words_to_the_caption(pictures, name):
    for sheet in ("acl", "interspeech-double"):
        picture = pictures[name, sheet]
        assert picture.get_figwidth() == pytest.approx(SHEETS[sheet].width)
        assert picture.texts == []
        assert picture.caption.startswith(picture.finding)
    page = pictures[name, "page"]
    assert page.texts[0].get_text().replace("\n", " ") == page.finding == pictures[name, "acl"].finding


def test_column_widths_are_those_of_the_templates():
    inches = {
        name: VENUES[name].width for name in ("interspeech", "interspeech-double", "icassp", "icassp-double")
    }
    millimetres = {name: round(25.4 * width) for name, width in inches.items()}
    assert millimetres == {
        "interspeech": 80,
        "interspeech-double": 2 * 80 + 10,
        "icassp": 86,
        "icassp-double": 178,
    }


@pytest.mark.parametrize("name", ["pareto", "confusion"])
def test_each_file_says_its_finding_the_hash_of_its_data_and_its_command(entries, pictures, tmp_path, name):
    entry = entries[name]
    png, pdf, svg = figures.write(entry, tmp_path)
    finding, command = pictures[name, "page"].finding, f"serbench figures {name}"
    with Image.open(png) as image:
        assert image.text["Title"] == finding
        assert (image.text["Data"], image.text["Command"]) == (f"sha256:{entry.data}", command)
    info = pdf.read_bytes()
    assert f"/Keywords (sha256:{entry.data})".encode() in info
    assert f"/Creator ({command})".encode() in info
    assert b"CreationDate" not in info
    words = [element.text for element in ElementTree.parse(svg).iter() if element.text]
    assert {finding, f"sha256:{entry.data}", command} <= set(words)
    assert not re.search(r"<dc:date>", svg.read_text())
    assert re.fullmatch("[0-9a-f]{64}", entry.data)


def test_the_hash_changes_with_the_data_of_that_figure_alone(small, small_entries, tmp_path):
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    store = Store(tmp_path)
    before = {name: entry.data for name, entry in small_entries.items()}
    assert before == {entry.name: entry.data for entry in figure_entries(tmp_path)}
    run = next(run for run in store.runs() if run.config.system.layout == "retnet")
    table = store.predictions(run.id)
    table["logit_angry"] += 1
    store.write_predictions(run.id, table)
    after = {entry.name: entry.data for entry in figure_entries(tmp_path)}
    assert {name for name in before if before[name] != after[name]} == {
        *("forest", "pareto", "pareto_memory", "recall", "confusion")
    }


@pytest.mark.parametrize(("baseline", "sheet"), [("retnet", "icassp"), ("softmax", "")])
def test_the_command_in_a_file_makes_that_file_again(small, tmp_path, baseline, sheet):
    entry = next(entry for entry in figure_entries(small, baseline) if entry.name == "forest")
    first = figures.write(entry, tmp_path / "first", venue(sheet))
    command = shlex.split(entry.draw(venue(sheet)).provenance.command)
    assert command[:2] == ["serbench", "figures"]
    assert run_command([*command[1:], "--results", str(small), "--out", str(tmp_path / "again")]) == 0
    again = [tmp_path / "again" / path.name for path in first]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_another_process_writes_the_same_bytes(small, small_entries, tmp_path):
    ours = figures.write(small_entries["recall"], tmp_path / "ours")
    line = f"-m bench.cli figures recall --results {small} --out {tmp_path / 'theirs'}"
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, *line.split()], check=True, env=environment, capture_output=True)
    assert {path.suffix for path in ours} == {".png", ".pdf", ".svg"}
    for path in ours:
        assert path.read_bytes() == (tmp_path / "theirs" / path.name).read_bytes()


def test_a_venue_gives_a_pdf_and_a_float_beside_the_reports_figures(results, capsys):
    assert run_command(["figures", "pareto", "--venue", "interspeech", "--results", str(results)]) == 0
    folder = results / "figures" / "interspeech"
    assert capsys.readouterr().out.splitlines() == [str(folder / f"pareto.{kind}") for kind in ("pdf", "tex")]
    text = (folder / "pareto.tex").read_text()
    assert text.startswith("% serbench figures pareto --venue interspeech\n\\begin{figure}\n")
    assert r"95 \% intervals" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_every_float_compiles_and_fits_its_column(entries, tmp_path):
    for name in NAMES:
        figures.write(entries[name], tmp_path, VENUES["interspeech"])
    figures.write(entries["pareto"], tmp_path / "wide", VENUES["interspeech-double"])
    inputs = "".join(rf"\input{{{name}}}\clearpage" for name in NAMES)
    (tmp_path / "paper.tex").write_text(
        r"\documentclass[twocolumn]{article}\usepackage{graphicx}\textwidth=170mm\columnsep=10mm"
        rf"\begin{{document}}{inputs}\graphicspath{{{{wide/}}}}\input{{wide/pareto}}\end{{document}}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    log = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert log.returncode == 0, log.stdout[-2000:]
    assert "Overfull \\hbox" not in log.stdout


def test_the_list_names_what_there_is_and_what_the_rest_needs(small, capsys):
    assert run_command(["figures", "--list", "--results", str(small)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line.split()[0] for line in lines[::2]] == list(figures.KINDS)
    said = dict(zip((line.split()[0] for line in lines[::2]), lines[1::2], strict=True))
    assert said["recall"].startswith("recall: RAVDESS, luna; ")
    assert said["directions"] == "none here; needs runs of one layout in both directions"
    assert not (small / "figures").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("parteo", "no figure 'parteo'; the nearest is 'pareto'"),
        ("recal lengths", "no figure 'recal'; the nearest is 'recall'"),
        ("recall --venue interspech", "no venue 'interspech'; the nearest is 'interspeech'"),
        ("directions", "allow no 'directions', which needs runs of one layout in both directions"),
    ],
)
def test_what_cannot_be_drawn_ends_with_code_two_and_one_sentence(small, capsys, arguments, sentence):
    assert run_command(["figures", *arguments.split(), "--results", str(small)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (small / "figures").exists()


def test_a_venue_unlike_all_others_is_answered_with_all_of_them():
    with pytest.raises(SuiteError, match=r"no venue 'xyz'; there is interspeech, .*, neurips"):
        venue("xyz")


# What the figures say


def test_the_forest_counts_those_that_can_be_told_apart(results, pictures):
    table = accuracy_table(Store(results))
    apart = table[table["p_adjusted"] < 0.05]
    forest = pictures["forest", "page"]
    assert forest.finding.startswith(
        f"{len(apart)} of {table['delta'].notna().sum()} systems can be told apart from softmax"
    )
    drawn = [label.get_text() for label in forest.axes[0].get_yticklabels()]
    assert drawn == table.dropna(subset="delta").sort_values("delta", ascending=False)["name"].tolist()


def test_a_forest_without_findings_says_what_it_could_have_found(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ("softmax", "retnet"))
    (entry,) = (entry for entry in figure_entries(tmp_path) if entry.name == "forest")
    text = entry.draw().finding
    seen = r"one test alone would see a difference of \d\.\d points four times in five"
    assert re.fullmatch(rf"No system can be told apart from softmax; {seen}\.", text)


def test_one_speaker_is_drawn_without_intervals(tmp_path):
    store = Store(tmp_path)
    table = fixtures.manifest(speakers=1, per_speaker=360)
    lengths = {name: 1 + 7 * place % 360 for place, name in enumerate(table["utterance"])}  # in no order
    for layout, direction in (("softmax", "bidirectional"), ("kda", "bidirectional"), ("kda", "causal")):
        run = fixtures.write_run(store, fixtures.ravdess_cell(layout, direction=direction), table)
        predictions = store.predictions(run.id)
        seconds = predictions["utterance"].map(lengths) / 50
        store.write_predictions(run.id, predictions.assign(duration_s=seconds))
    drawn = {entry.name: entry.draw().finding for entry in figure_entries(tmp_path)}
    assert drawn["forest"] == "No system can be told apart from softmax: there is one speaker alone."
    assert "which may be chance (one speaker, no interval)" in drawn["lengths"]
    assert drawn["directions"].startswith(
        "Hearing both ways makes no difference that can be told from chance"
    )


def test_directions_say_how_many_layouts_gain_and_which_most(pictures):
    assert re.fullmatch(
        r"2 of 3 layouts gain by hearing both ways, (KDA|Softmax) most \(\+\d+\.\d points\)\.",
        pictures["directions", "page"].finding,
    )


def test_figure_two_holds_the_fastest_mixer_against_softmax_fused_and_unfused(results, pictures):
    study = profile_table(Store(results)).query("setting.str.contains('bare') and seconds == 400")
    both = study.query("direction == 'bidirectional'").set_index("layout")["median_ms"]
    causal = study.query("direction == 'causal' and not layout.str.startswith('softmax')")
    best = causal.sort_values("median_ms").iloc[0]
    unfused, fused = (both[name] / best["median_ms"] for name in ("softmax_unfused", "softmax"))
    name = best["name"].removesuffix(", causal")
    text = pictures["figure2", "page"].finding
    ratios = [float(ratio) for ratio in re.findall(r"([\d.]+)×", text)]
    assert text.startswith(f"At 400 s {name} is ")
    assert ratios == [pytest.approx(unfused, rel=0.05), pytest.approx(fused, rel=0.05)]


def test_figure_two_shows_softmax_bidirectional_the_others_causal_and_the_printed_numbers(pictures):
    time, memory = pictures["figure2", "page"].axes
    names = Counter(text.get_text().split("  ")[0] for text in time.texts)
    lines = ("Softmax (fused)", "Softmax (unfused)", "RetNet", "LightNet", "GSA", "FoX", "KDA")
    assert names == Counter([*lines, "Softmax", "Softmax", "KDA"])  # and beside its plus every printed number
    pluses = [
        {
            (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
            for line in axes.lines
            if line.get_marker() == "+"
        }
        for axes in (time, memory)
    ]
    assert pluses == [{(10.0, 0.55), (400.0, 48.59), (400.0, 5.96)}, {(400.0, 12.35e9), (400.0, 328e6)}]


def test_figure_two_needs_the_fused_line_and_profiles_of_the_studys_size(tmp_path):
    store = Store(tmp_path)
    fixtures.write_profiles(store)
    assert as_published(profile_table(store)).empty
    figure_fixtures.write_study(store, ("softmax_unfused", "retnet"))
    assert as_published(profile_table(store)).empty
    figure_fixtures.write_study(store, ("softmax",))
    assert set(as_published(profile_table(store))["layout"]) == {"softmax", "softmax_unfused", "retnet"}


def test_the_memory_front_is_that_of_memory(results, pictures):
    table, profiles = accuracy_table(Store(results)), profile_table(Store(results))
    points = pareto_points(table, profiles, fixtures.CPU.device + ", 1 thread", findings.MEMORY)
    pairs = list(zip(points["peak_bytes"], points["uar"], strict=True))
    expected = [not any(c <= x and s >= y and (c, s) != (x, y) for c, s in pairs) for x, y in pairs]
    assert points["front"].tolist() == expected
    first = points[points["front"]].sort_values("peak_bytes")["name"].iloc[0]
    assert f"from {first} (least memory)" in pictures["pareto_memory", "page"].finding


def test_confusion_cells_hold_the_share_and_the_count(results, pictures):
    figure = pictures["confusion", "page"]
    (best, baseline) = figure.axes
    assert len(best.collections) == len(baseline.collections) == 1
    texts = {text.get_text() for text in best.texts}
    details = Details()
    accuracy, _ = score_tables(Store(results), Store(results).runs(), "softmax", details.add)
    leader = accuracy.iloc[0]
    cells = details.confusions.query("layout == @leader.layout and direction == @leader.direction")
    diagonal = cells[cells["emotion"] == cells["guess"]]
    assert {f"{count:,}" for count in diagonal["count"]} <= texts
    assert {f"{100 * leader[f'recall_{emotion}']:.0f}" for emotion in fixtures.EMOTIONS} <= texts
    wrong = cells[cells["emotion"] != cells["guess"]]
    share = wrong["count"] / cells.groupby("emotion")["count"].sum().loc[wrong["emotion"]].to_numpy()
    worst = wrong.loc[share.idxmax()]
    assert (
        f"takes {worst['emotion']} for {worst['guess']} most often: {100 * share.max():.0f} %"
        in figure.finding
    )


def test_measured_widths_are_those_of_drawn_text():
    sheet = Sheet("wide", 5.0)
    with style.page("", "", 5.0, 1.0, sheet) as figure:
        text = figure.text(0, 0.5, "Mamba-2 ×3 + Softmax  T¹·³⁷", size=style.SMALL_PT)
    drawn = text.get_window_extent().width / figure.dpi
    assert style.measure(text.get_text()) == pytest.approx(drawn, rel=0.04)


def test_tables_may_be_empty():
    assert list(figures.draw(pd.DataFrame(), pd.DataFrame())) == []


@pytest.mark.parametrize(
    ("status", "converged", "quantity", "said"),
    [
        ("ok", True, findings.LATENCY, []),
        ("ok", False, findings.LATENCY, ["hollow: did not converge"]),
        ("ok", False, findings.MEMORY, []),
        ("failed", False, findings.LATENCY, ["×: the last length reached"]),
    ],
)
def test_a_subtitle_names_the_marks_that_its_lines_have(status, converged, quantity, said):
    profiles = pd.DataFrame({"status": ["ok", status], "converged": [True, converged]})
    assert line_figures.marks(profiles, [quantity]) == said
