"""The size track: a file's own score, size and time, across sizes; what cannot be compared says so."""

from __future__ import annotations

import io
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import report_fixtures as fixtures
from report_fixtures import EMOTIONS
from size_fixtures import PARAMETERS, write_file, write_files
from sklearn.metrics import balanced_accuracy_score

from bench.config import SIZES, Encoder, Recipe, Task
from bench.evidence.store import Store
from bench.report import figure_entries, sizes, write_tables
from bench.report.figures.sizes import named

LAYOUTS = ("softmax", "kda")
LOGITS = [f"logit_{emotion}" for emotion in EMOTIONS]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Two mixers in three sizes, ResLSTM-SA and DistilHuBERT, in float32 and int8, on two folds."""
    made = Store(tmp_path_factory.mktemp("results"))
    write_files(made, LAYOUTS, kinds=("float32", "int8-dynamic"))
    return made


@pytest.fixture(scope="module")
def files(store) -> pd.DataFrame:
    return sizes.size_table(store)


def copy_of(store: Store, folder) -> Store:
    shutil.copytree(store.root, folder / "copy")
    return Store(folder / "copy")


def test_there_is_a_row_a_system_size_and_kind_of_file(files):
    assert len(files) == 2 * (len(LAYOUTS) * len(SIZES) + 2)
    assert files["comparable"].all()
    assert set(files["parameters"]) == {*PARAMETERS.values(), 46_772, 23_600_000}


def test_a_score_is_that_of_the_files_own_answers_over_all_folds(store, files):
    for weights in ("float32", "int8-dynamic"):
        answers = pd.concat(
            store.predictions(record.id)
            for record in store.exports()
            if record.setting.weights == weights
            and record.setting.cell.system.layout == "kda"
            and record.setting.cell.encoder.size == "500k"
        )
        said = np.array(EMOTIONS)[answers[LOGITS].to_numpy().argmax(axis=1)]
        rows = files[(files["weights"] == weights) & (files["layout"] == "kda")]
        (row,) = (row for _, row in rows.iterrows() if row["parameters"] == PARAMETERS["500k"])
        assert row["uar"] == pytest.approx(balanced_accuracy_score(answers["label"], said))
        assert row["uar_low"] < row["uar"] < row["uar_high"]
        assert (row["folds"], row["utterances"]) == (2, len(answers))


def test_size_is_the_largest_and_time_the_median_over_folds(store, tmp_path):
    copy = copy_of(store, tmp_path)
    table, cell = fixtures.manifest(), fixtures.ravdess_cell("kda", 1, encoder=Encoder().sized("5M"))
    label = fixtures.label_of("kda")
    write_file(copy, cell, fixtures.fold_part(table, 1), "float32", label, 5_020_000, 1.5, 99.0, file_bytes=7)
    rows = sizes.size_table(copy)
    large = rows[(rows["layout"] == "kda") & (rows["weights"] == "float32")]
    row = large.iloc[large["parameters"].argmax()]
    assert row["file_bytes"] == 20_000 + 4 * 5_020_000
    other = 27.0 * (5_020_000 / 48_300) ** 0.6 / 4
    assert row["exported_ms"] == pytest.approx((99.0 + other) / 2)


@pytest.mark.parametrize("cost", sizes.FRONTS)
def test_fronts_hold_what_no_other_file_of_the_kind_betters(files, cost):
    for _, rows in files.groupby("weights"):
        points = rows[[cost, "uar"]].to_numpy()
        better = [
            any((a <= x and b >= y) and (a, b) != (x, y) for a, b in points.tolist())
            for x, y in points.tolist()
        ]
        assert rows[f"front_{cost}"].tolist() == [not each for each in better]


def test_a_line_joins_the_sizes_of_one_system_and_no_other_recipe(store, files, tmp_path):
    by_line = files.groupby("line")
    assert by_line["layout"].nunique().max() == len(LAYOUTS)  # of one recipe
    assert by_line.get_group(files.loc[files["layout"] == "kda", "line"].iloc[0])["parameters"].nunique() == 3
    copy = copy_of(store, tmp_path)
    for fold in (0, 1):
        other = fixtures.ravdess_cell(
            "kda", fold, encoder=Encoder().sized("50k"), recipe=Recipe(averaging=0.9)
        )
        rows = fixtures.fold_part(fixtures.manifest(), fold)
        write_file(copy, other, rows, "int8-dynamic", fixtures.label_of("kda"), 48_300, 1.9, 2.0)
    table = named(sizes.size_table(copy))
    names = set(table["name"])
    assert {name for name in names if name.startswith("KDA")} == {
        f"KDA ({line[:4]})" for line in table.loc[table["layout"] == "kda", "line"]
    }
    assert "Softmax" in names


def test_a_file_that_was_not_checked_on_every_fold_keeps_a_row_without_a_place(store, tmp_path):
    copy = copy_of(store, tmp_path)
    for record in copy.exports():
        cell = record.setting.cell
        if cell.system.layout == "pooled" and cell.task.fold == 1:
            copy.export_path(record.id).unlink()
            copy.predictions_path(record.id).unlink()
    table = sizes.size_table(copy)
    rows = table[table["layout"] == "pooled"]
    assert rows["note"].tolist() == ["checked on 1 fold of 2"] * 2
    assert not rows[["comparable", "front_file_bytes", "front_exported_ms"]].to_numpy().any()
    assert "| checked on 1 fold of 2 |" in _board(sizes.sections(table))
    (entry,) = (entry for entry in figure_entries(copy.root) if entry.name == "sizes")
    assert "distilhubert" not in entry.draw().finding


def _board(sections) -> str:
    from bench.report.leaderboard import _section

    return "\n".join(_section(section, "###") for section in sections)


def test_files_scored_on_other_clips_are_not_compared(store, tmp_path):
    copy = copy_of(store, tmp_path)
    cell = fixtures.ravdess_cell("kda", 1, encoder=Encoder(d_model=16))  # alone in its comparison
    table, label = fixtures.manifest(), fixtures.label_of("kda")
    for fold, rows in ((0, fixtures.fold_part(table, 0)), (1, fixtures.fold_part(table, 1).iloc[1:])):
        alone = cell.model_copy(update={"task": cell.task.model_copy(update={"fold": fold})})
        write_file(copy, alone, rows, "float32", label, 48_300, 1.5, 1.0)
    notes = sizes.size_table(copy)["note"]
    assert sorted(set(notes)) == ["", "checked on 599 clips, others on 600"]


def test_streams_and_checks_on_other_tasks_are_left_out(store, files, tmp_path):
    copy = copy_of(store, tmp_path)
    for record in store.exports()[:2]:
        changed = {"streaming": True}, {"checked_on": Task(corpus="emodb", protocol="loso")}
        for update in changed:
            setting = record.setting.model_copy(update=update)
            copy.write(record.model_copy(update={"id": setting.id, "setting": setting}))
    assert len(sizes.size_table(copy)) == len(files)


def test_the_table_goes_from_small_to_large_with_both_files_in_a_row(files):
    (section,) = sizes.sections(files)
    counts = [int(row.cells["Parameters (k)"].replace(",", "")) for row in section.rows]
    assert counts == sorted(counts) == [47, 48, 48, 478, 478, 5020, 5020, 23600]
    first = section.rows[0].cells
    assert (first["System"], first["float32 file"], first["int8 file"]) == ("ResLSTM-SA", "207 kB", "67 kB")
    assert re.fullmatch(r"\d\d\.\d \[\d\d\.\d, \d\d\.\d\]", first["UAR % of int8"])
    assert section.rows[-1].cells["Fronts"] == "size, time"


@pytest.fixture(scope="module")
def report(store, tmp_path_factory):
    """A report of the files and of the runs that they come from."""
    copy = copy_of(store, tmp_path_factory.mktemp("report"))
    for record in store.exports():
        if record.setting.weights == "float32":
            cell = record.setting.cell
            rows = fixtures.fold_part(fixtures.manifest(), cell.task.fold)
            fixtures.write_run(copy, cell, rows, label=record.label)
    fixtures.write_runs(copy, ("retnet",), folds=(0, 1))
    write_tables(copy.root)
    return copy.root


def test_the_leaderboard_shows_the_bytes_of_a_systems_files(report, files):
    text = (report / "leaderboard.md").read_text()
    assert "| float32 file | int8 file |" in text
    assert "| 20 MB | 5 MB |" in text
    assert "## Size track\n\nExported files of all sizes" in text
    table = pd.read_csv(report / "leaderboard.csv")
    keys = ["comparison", "layout", "direction"]
    for weights, name in sizes.FILES.items():
        expected = files[files["weights"] == weights].set_index(keys)["file_bytes"]
        found = table.set_index(keys)[f"{name}_bytes"]
        assert found.dropna().sort_index().tolist() == expected.sort_index().tolist()
        assert found.isna().sum() == 1  # RetNet has no file
    board = json.loads((report / "leaderboard.json").read_text())
    found = {system.get("int8_bytes") for one in board["comparisons"] for system in one["systems"]}
    assert found == {*files.loc[files["weights"] == "int8-dynamic", "file_bytes"], None}


def test_the_page_and_a_csv_file_have_them_too(report, files):
    page = (report / "index.html").read_text()
    assert '"files":{"float32":207088,"int8":66772}' in page.replace(" ", "")
    table = pd.read_csv(io.StringIO((report / "sizes.csv").read_text()))
    np.testing.assert_allclose(table["uar"], files["uar"], rtol=1e-5)
    assert table["line"].tolist() == files["line"].tolist()


def test_a_report_without_files_has_no_column_and_no_section(tmp_path):
    fixtures.write_runs(Store(tmp_path), ("softmax",), folds=(0,))
    write_tables(tmp_path)
    text = (tmp_path / "leaderboard.md").read_text()
    assert "float32 file" not in text
    assert "Size track" not in text
    assert not (tmp_path / "sizes.csv").exists()
    assert "int8_bytes" not in (tmp_path / "leaderboard.json").read_text()


def test_int8_files_are_drawn_first_and_float32_beside_them(store):
    entries = [entry for entry in figure_entries(store.root) if entry.kind == "sizes"]
    assert [entry.name for entry in entries] == ["sizes", "sizes-float32"]
    picture = entries[0].draw()
    assert "files are worth their size" in picture.finding
    shown = {text.get_text() for axes in picture.axes for text in axes.texts}
    assert shown == {"Softmax", "KDA", "ResLSTM-SA, causal", "distilhubert, pooled"}
