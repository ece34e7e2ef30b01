"""The formats hold the same numbers; costs, published numbers, synthetic rows and cards are as promised."""

import io
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import report_fixtures as fixtures

from bench.evidence.reported import read
from bench.evidence.store import Store
from bench.report import costs, data_files, latex, leaderboard, model_card, write_report
from bench.report.tables import accuracy_table, profile_table, score_tables

REPORTED = """system,corpus,release,protocol,split,metric,value,spread,source,caveat
ResLSTM-SA,ravdess,,luna,test,uar,0.6232,0.0119,arXiv 2606.03359,tuned on test folds
KDA,,,mixer alone,,latency_400s_ms,5.96,,arXiv 2603.15120,(digest)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("results"))
    fixtures.write_runs(store, ["softmax", "retnet", "gsa", "mamba2"])
    fixtures.write_synthetic(store)
    fixtures.write_profiles(store, seconds=(1.0, 10.0, 30.0, 600.0))
    gpu = fixtures.CPU.model_copy(update={"device": "NVIDIA H200", "device_kind": "cuda"})
    store.write(fixtures.profile_record("gsa", environment=gpu))
    (store.root / "reported.csv").write_text(REPORTED, encoding="utf-8")
    write_report(store.root)
    return store.root


@pytest.fixture(scope="module")
def tables(results):
    accuracy, groups = score_tables(Store(results), Store(results).runs())
    return accuracy, groups, profile_table(Store(results))


def real(accuracy: pd.DataFrame) -> pd.DataFrame:
    return accuracy[~accuracy["synthetic"]]


def test_the_nearest_measured_length_stands_for_one_that_was_not_and_is_named(results, tables):
    accuracy, _, profiles = tables
    found = costs.costs(real(accuracy), profiles)
    lengths = found[found["hardware"] == "AMD EPYC 7R13, 1 thread"].groupby("asked_s")["seconds"].unique()
    assert {asked: seconds.tolist() for asked, seconds in lengths.items()} == {10: [10], 60: [30], 400: [600]}
    text = (results / "leaderboard.md").read_text()
    assert "Latency at 10 s | Latency at 30 s (for 1 min) | Latency at 10 min (for 400 s)" in text
    assert "10 min stands for 400 s." in (results / "leaderboard.tex").read_text()


def test_the_pareto_mark_is_that_of_a_plain_loop(tables):
    accuracy, _, profiles = tables
    rows = real(accuracy)
    found = costs.costs(rows, profiles)
    score = rows.set_index("layout")["uar"]
    for _, some in found.groupby(["hardware", "asked_s"]):
        points = {row["layout"]: (row["median_ms"], score[row["layout"]]) for _, row in some.iterrows()}
        measured = {name: point for name, point in points.items() if not np.isnan(point[0])}
        front = {
            name
            for name, (ms, uar) in measured.items()
            if not any(a <= ms and b >= uar and (a, b) != (ms, uar) for a, b in measured.values())
        }
        assert set(some.loc[some["front"], "layout"]) == front


def test_every_machine_has_its_costs_under_its_own_name(results):
    text = (results / "leaderboard.md").read_text()
    assert "Latency and memory: AMD EPYC 7R13, 1 thread." in text
    assert "On NVIDIA H200:" in text


def test_energy_has_columns_only_where_it_was_measured(tables):
    accuracy, _, profiles = tables
    assert "Energy" not in leaderboard.markdown(accuracy, profiles)
    assert "energy" not in data_files.csv(accuracy, profiles)
    measured = profiles.assign(energy_j=0.25)
    text = leaderboard.markdown(accuracy, measured)
    assert "Energy at 10 s" in text
    assert "| 250 mJ |" in text
    assert "energy_10s_j_1" in data_files.csv(accuracy, measured)
    assert '"energy_j": 0.25' in data_files.json_text(accuracy, pd.DataFrame(), measured)


def test_json_and_csv_hold_the_same_numbers(results, tables):
    board = json.loads((results / "leaderboard.json").read_text())
    table = pd.read_csv(io.StringIO((results / "leaderboard.csv").read_text()))
    systems = [
        system for kind in ("comparisons", "synthetic") for one in board[kind] for system in one["systems"]
    ]
    assert [system["layout"] for system in systems] == table["layout"].tolist()
    for system, (_, row) in zip(systems, table.iterrows(), strict=True):
        assert system["scores"]["uar"]["low"] == pytest.approx(row["uar_low"], rel=1e-5)
        assert system["scores"]["recall_sad"]["value"] == pytest.approx(row["recall_sad"], rel=1e-5)
        assert system["rank"]["group"] == row["rank_group"]
        adjusted = system["difference"]["p_adjusted"]
        assert (adjusted is None) == np.isnan(row["p_adjusted"])
        first = [cost for cost in system["costs"] if cost["hardware"] == row["hardware_1"]]
        assert first[2]["median_ms"] == pytest.approx(row["latency_400s_ms_1"], rel=1e-5)
        assert first[2]["seconds"] == row["measured_400s_s_1"] == 600
        assert first[2]["front"] == row["pareto_400s_1"]


def test_json_has_no_nan_and_keeps_synthetic_corpora_in_a_list_of_their_own(results):
    board = json.loads((results / "leaderboard.json").read_text(), parse_constant=pytest.fail)
    assert [one["corpus"] for one in board["comparisons"]] == ["ravdess"]
    assert [one["corpus"] for one in board["synthetic"]] == ["synthetic"]
    groups = board["comparisons"][0]["systems"][0]["groups"]
    assert {group["kind"] for group in groups} == {"length", "corpus"}


def test_synthetic_tables_are_labelled_in_latex(results):
    text = (results / "leaderboard.tex").read_text()
    captions = re.findall(r"\\caption\{(.*)\}\\smallskip", text)
    assert ["Synthetic corpus (smoke test, not a result)" in caption for caption in captions] == [
        False,
        True,
        False,
        False,
    ]


def test_published_numbers_stand_in_tables_of_their_own_after_ours(results, tables):
    text = (results / "leaderboard.md").read_text()
    ours, theirs = text.split("## Published numbers")
    assert "ResLSTM" not in ours
    assert "| ResLSTM-SA | luna, test | UAR % | 62.32 ± 1.19 | 1 | arXiv 2606.03359 |" in theirs
    assert "1. tuned on test folds" in theirs
    assert "| KDA | mixer alone | Latency at 400 s | 6 ms | 1 | arXiv 2603.15120 |" in theirs
    for name in ("leaderboard.csv", "leaderboard.json", "MODEL_CARD.md"):
        assert "ResLSTM" not in (results / name).read_text()


def test_scores_of_the_first_group_alone_are_bold_in_latex(results, tables):
    rows = real(tables[0])
    text = (results / "leaderboard.tex").read_text().split(r"\end{table*}")[0]
    bold = re.findall(r"^(.*?)(?:\\dag\{\})? &.*\\textbf", text, flags=re.MULTILINE)
    assert bold == rows.loc[rows["rank_group"] == 1, "name"].tolist()
    assert 0 < len(bold) < len(rows)


def test_every_latex_row_has_as_many_cells_as_columns(results):
    text = (results / "leaderboard.tex").read_text()
    for alignment, body in re.findall(
        r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}(.*?)\\end\{tabular\}", text, re.DOTALL
    ):
        rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(alignment)}
        assert all(rule in body for rule in (r"\toprule", r"\midrule", r"\bottomrule"))


def test_what_latex_reads_otherwise_is_escaped():
    assert latex.escaped("50 % of a_b & {c} #1 $x ~^\\") == (
        r"50 \% of a\_b \& \{c\} \#1 \$x \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert latex.escaped("−1.2 × 3 µs") == r"$-$1.2 $\times$ 3 $\mu$s"


def has_latex() -> bool:
    """Whether pdflatex and booktabs are there."""
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_latex(), reason="needs LaTeX with booktabs")
def test_the_latex_tables_compile(results, tmp_path):
    document = (
        "\\documentclass{article}\\usepackage[utf8]{inputenc}\\usepackage{booktabs}"
        f"\\begin{{document}}\\input{{{results / 'leaderboard'}}}\\end{{document}}"
    )
    (tmp_path / "paper.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")


def with_dev(store: Store, dev: dict[str, float]) -> None:
    """Give the runs of a system the development score that it is chosen by."""
    for run in store.runs():
        score = dev[run.config.system.layout] + 0.01 * (run.config.task.fold == 3)
        metrics = {"dev": {"uar": score}, "test": {"uar": 0.5}}
        store.write(run.model_copy(update={"metrics": metrics, "best_epoch": 7}))


def card(store: Store) -> str:
    return model_card.markdown(*score_tables(store, store.runs()), store.runs())


def test_the_card_is_of_the_checkpoint_that_is_best_on_development_speakers(tmp_path):
    store = Store(tmp_path)
    fixtures.write_runs(store, ["softmax", "gsa"])
    with_dev(store, {"softmax": 0.6, "gsa": 0.7})
    text = card(store)
    best = fixtures.ravdess_cell("gsa", 3).id
    assert accuracy_table(store)["layout"].tolist() == ["softmax", "gsa"]
    assert "## GSA: RAVDESS, protocol luna" in text
    assert (
        f"fold 3, seed 0 (`checkpoints/{best}.pt`) is the best of its own there: 71.0 % UAR, epoch 7." in text
    )


def test_the_card_tells_task_data_licence_groups_emotions_and_limits(results, tables):
    accuracy, groups, _ = tables
    text = model_card.markdown(accuracy, groups, Store(results).runs())
    rows = real(accuracy).set_index("layout").loc["gsa"]
    assert "## GSA: RAVDESS" in text
    assert "no development score was recorded" in text
    assert "RAVDESS: CC BY-NC-SA 4.0" in text
    assert "which of neutral, calm, happy" in text
    assert f"| sad | 192 | {100 * rows['recall_sad']:.1f} [{100 * rows['recall_sad_low']:.1f}, " in text
    assert "| Length: 2 to 4 s | 1,440 | 24 | 8 |" in text
    for part in ("**Intended use.**", "**Not for.**", "**Limits.**"):
        assert part in text


def test_a_synthetic_corpus_has_no_card(tmp_path):
    store = Store(tmp_path)
    fixtures.write_synthetic(store)
    assert card(store) == ""
    assert "MODEL_CARD.md" not in {path.name for path in write_report(tmp_path)}


def test_a_report_without_published_numbers_says_nothing_of_them(tables):
    assert "Published" not in leaderboard.markdown(tables[0], tables[2])


def test_published_numbers_are_read_as_the_report_reads_them(results):
    assert [number.system for number in read(results / "reported.csv")] == ["ResLSTM-SA", "KDA"]
