"""`write_report`: everything from records alone, the same bytes twice, nothing heavy imported."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import report_fixtures as fixtures
from matplotlib.image import imread

from bench.errors import SuiteError
from bench.evidence.pareto import on_front
from bench.evidence.store import Store
from bench.report import figures, write_report
from bench.report.tables import accuracy_table, profile_table

TABLES = {*(f"leaderboard.{kind}" for kind in ("md", "csv", "tex", "json")), "index.html"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("results"))
    fixtures.write_runs(store)
    fixtures.write_synthetic(store)
    fixtures.write_profiles(store)
    return store.root


@pytest.fixture(scope="module")
def written(results):
    return write_report(results)


@pytest.fixture(scope="module")
def page(results):
    """The figures of `results` by name."""
    return drawn(Store(results))


def names(paths):
    return {path.name for path in paths}


def pictures(*figures):
    """The files of these figures."""
    return {f"{name}.{kind}" for name in figures for kind in ("png", "pdf", "svg")}


def drawn(store):
    return dict(figures.draw(accuracy_table(store), profile_table(store)))


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [
        t.get_text() for t in figure.texts
    ]


def test_a_second_report_writes_the_same_bytes(results, written):
    first = {path: path.read_bytes() for path in written}
    second = {path: path.read_bytes() for path in write_report(results)}
    assert len(first) == 29
    assert first == second


def test_every_figure_is_a_png_of_200_dpi_a_pdf_and_an_svg(results, written):
    assert names(written) == {
        *TABLES,
        "MODEL_CARD.md",
        "costs.md",
        "costs.csv",
        *pictures("latency", "memory", "forest", "pareto", "pareto_memory", "recall", "confusion"),
    }
    image = imread(results / "figures" / "latency.png")
    assert image.shape[1] > 1500
    assert (results / "figures" / "pareto.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in (results / "figures" / "pareto.svg").read_text()


def test_nothing_half_written_remains(results, written):
    assert [path for path in results.rglob("*") if path.name.startswith(".")] == []


def test_runs_alone_give_the_leaderboard_and_recall(tmp_path):
    fixtures.write_runs(Store(tmp_path), ["softmax", "retnet"])
    drawn = pictures("forest", "recall", "confusion")
    assert names(write_report(tmp_path)) == {*TABLES, "MODEL_CARD.md", *drawn}


def test_profiles_alone_give_the_cost_figures(tmp_path):
    fixtures.write_profiles(Store(tmp_path), ["softmax", "retnet"])
    expected = {*pictures("latency", "memory"), "index.html", "costs.md", "costs.csv"}
    assert names(write_report(tmp_path)) == expected


def test_no_records_are_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(SuiteError, match="no records to report on; run `serbench run demo`"):
        write_report(tmp_path)


def test_runs_that_all_failed_still_make_a_leaderboard(tmp_path):
    store = Store(tmp_path)
    store.write(fixtures.run_record(fixtures.ravdess_cell("kda"), status="oom", reason="needed 9 GB"))
    assert names(write_report(tmp_path)) == TABLES
    assert "out of memory: needed 9 GB" in (tmp_path / "leaderboard.md").read_text()


def test_profiles_that_all_failed_draw_nothing_and_do_not_fail(tmp_path):
    store = Store(tmp_path)
    nothing = {"median_ms": None, "median_low_ms": None, "median_high_ms": None, "peak_bytes": None}
    store.write(fixtures.profile_record("softmax", status="failed", reason="killed", **nothing))
    assert names(write_report(tmp_path)) == {"index.html", "costs.md", "costs.csv"}
    assert "killed" in (tmp_path / "costs.md").read_text()


def test_other_machines_get_files_of_their_own(tmp_path):
    store = Store(tmp_path)
    gpu = fixtures.CPU.model_copy(update={"device": "NVIDIA H200", "device_kind": "cuda"})
    fixtures.write_profiles(store, ["softmax", "retnet"])
    fixtures.write_profiles(store, ["softmax", "retnet"], seconds=(10.0, 60.0), environment=gpu)
    fixtures.write_runs(store, ["softmax", "retnet"])
    costs = ("latency", "memory", "pareto", "pareto_memory")
    expected = {name for cost in costs for name in (cost, f"{cost}-nvidia-h200")}
    assert set(drawn(store)) == expected | {"forest", "recall"}


def test_synthetic_corpora_are_drawn_only_alone_and_say_so(tmp_path):
    store = Store(tmp_path)
    fixtures.write_synthetic(store)
    fixtures.write_profiles(store, ["softmax", "retnet"])
    for name, figure in drawn(store).items():
        assert any("synthetic corpus: smoke test" in text for text in texts(figure)) == (
            name not in ("latency", "memory")
        )
    fixtures.write_runs(store, ["softmax"])
    assert not any("synthetic" in text for figure in drawn(store).values() for text in texts(figure))


def test_every_line_is_labelled_where_it_ends(page):
    latency = page["latency"]
    mixer, encoder = ({text.get_text().split("  ")[0] for text in axes.texts} for axes in latency.axes)
    trained = {label for label, *_ in fixtures.SYSTEMS.values()}
    assert encoder == trained
    assert mixer == trained - {"Mamba-2 ×3 + Softmax"} | {"Softmax (unfused)"}


@pytest.mark.parametrize("name", ["latency", "memory", "pareto"])
def test_labels_do_not_overlap_and_stay_on_the_page(page, name):
    figure = page[name]
    figure.canvas.draw()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        for index, box in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
            assert not any(box.overlaps(other) for other in boxes[:index])


def test_a_curve_that_ran_out_of_memory_says_where(tmp_path):
    store = Store(tmp_path)
    fixtures.write_profiles(store, ["softmax"], seconds=(1.0, 10.0, 60.0))
    nothing = {"median_ms": None, "median_low_ms": None, "median_high_ms": None, "peak_bytes": None}
    store.write(
        fixtures.profile_record("softmax_unfused", "mixer", 60.0, status="oom", reason="x", **nothing)
    )
    shown = texts(drawn(store)["latency"])
    assert any(text.startswith("Softmax  T") for text in shown)
    (unfused,) = (text for text in shown if text.startswith("Softmax (unfused)"))
    assert unfused.endswith("  out of memory at 1 min")


def test_the_pareto_front_is_that_of_a_plain_loop():
    rng = np.random.default_rng(0)
    cost, score = pd.Series(rng.integers(0, 9, 40)), pd.Series(rng.integers(0, 9, 40))
    points = list(zip(cost, score, strict=True))
    expected = [not any(c <= x and s >= y and (c, s) != (x, y) for c, s in points) for x, y in points]
    assert on_front(cost, score).tolist() == expected
    assert 0 < sum(expected) < 40


def test_recall_cells_hold_the_rounded_numbers_of_the_table(results, page):
    table = accuracy_table(Store(results))
    real = table[~table["synthetic"]]
    shown = {text.get_text() for axes in page["recall"].axes for text in axes.texts}
    for emotion in fixtures.EMOTIONS:
        assert {f"{100 * value:.0f}" for value in real[f"recall_{emotion}"]} <= shown


def test_the_users_own_matplotlib_settings_change_nothing(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ["softmax", "gsa"], folds=(0, 1))
    plain = figures.save(drawn(store)["recall"], tmp_path / "plain")
    with mpl.rc_context({"font.size": 30, "savefig.dpi": 10, "axes.facecolor": "red", "text.color": "green"}):
        loud = figures.save(drawn(store)["recall"], tmp_path / "loud")
    assert [path.read_bytes() for path in plain] == [path.read_bytes() for path in loud]


def test_the_report_imports_no_torch_no_mixers_and_no_pyplot():
    code = (
        "import sys, bench.report.figures, bench.report.leaderboard, bench.evidence.bootstrap\n"
        "heavy = {'torch', 'lightning', 'mixers', 'bench.model', 'bench.training', 'matplotlib.pyplot'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
