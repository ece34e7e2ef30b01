"""Published numbers: the committed file holds, and one that does not is refused with all its bad lines."""

from pathlib import Path

import pytest

from bench.errors import SuiteError
from bench.evidence.reported import Reported, read

COMMITTED = Path(__file__).parents[2] / "results" / "reported.csv"
HEAD = ",".join(Reported.model_fields)
GOOD = "ResLSTM-SA,ravdess,,luna,test,uar,0.6232,0.0119,arXiv 2606.03359,tuned on test folds"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "reported.csv"
    path.write_text("\n".join([HEAD, *lines]) + "\n", encoding="utf-8")
    return path


def test_a_row_is_read_as_it_stands(tmp_path):
    (number,) = read(write(tmp_path, GOOD))
    assert (number.system, number.value, number.spread) == ("ResLSTM-SA", 0.6232, 0.0119)
    assert number.caveat == "tuned on test folds"


def test_the_committed_numbers_hold_and_say_where_they_come_from():
    numbers = read(COMMITTED)
    assert len(numbers) > 50
    by_key = {(n.system, n.corpus, n.split, n.metric): n.value for n in numbers}
    assert by_key["Softmax", "msp_podcast", "test1", "macro_f1"] == 0.3642
    assert by_key["KDA", "", "", "latency_400s_ms"] == 5.96
    assert all(n.caveat for n in numbers if n.source == "arXiv 2603.15120")


def test_all_bad_lines_are_listed_at_once(tmp_path):
    path = write(
        tmp_path,
        GOOD,
        "A,ravdess,,luna,test,uar,62.32,,x,",
        "B,ravdess,,luna,test,glee,0.5,,x,",
        "C,ravdess,,luna,test,uar,good,,x,",
        "D,ravdess,,luna,test,uar,0.5,,,",
        "E,ravdess,,luna,test,uar,0.5,-1,x,",
        GOOD,
    )
    with pytest.raises(SuiteError) as caught:
        read(path)
    text = " ".join(str(caught.value).split())
    assert "rows that do not hold: 6" in text
    for part in ("line 3 uar 62.32 is not between 0 and 1", "line 4 metric", "line 5 value"):
        assert part in text
    for part in ("line 6 source", "line 7 spread", "ResLSTM-SA stands twice"):
        assert part in text


def test_other_columns_are_refused_with_those_that_should_be_there(tmp_path):
    path = tmp_path / "reported.csv"
    path.write_text("system,value\nA,1\n")
    with pytest.raises(SuiteError, match="the columns should be system,corpus"):
        read(path)


@pytest.mark.parametrize("line", ["A,ravdess", GOOD + ",more"])
def test_a_row_of_another_length_is_refused(tmp_path, line):
    with pytest.raises(SuiteError, match="rows that do not hold: 1"):
        read(write(tmp_path, line))
