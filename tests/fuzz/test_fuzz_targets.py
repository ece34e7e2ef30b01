"""Crashes that fuzzing has found stay mended; good files with a few bytes changed are read or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seeds import seeds
from targets import TARGETS

CRASHES = sorted((Path(__file__).parent / "crashes").glob("*.bin"))


@pytest.mark.parametrize("file", CRASHES, ids=lambda file: file.stem)
def test_a_file_that_once_crashed_a_reader_no_longer_does(file, tmp_path):
    TARGETS[file.stem.partition("-")[0]](file.read_bytes(), tmp_path)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_some_bytes_changed_is_read_or_refused(name, tmp_path, data):
    content = data.draw(st.sampled_from(list(seeds(name))))
    edits = st.lists(st.tuples(st.integers(0, len(content) - 1), st.binary(max_size=4)), max_size=5)
    for place, change in data.draw(edits):
        content = content[:place] + change + content[place + len(change) :]
    TARGETS[name](content, tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_good_files(name, tmp_path):
    """A fuzzer that starts from files which are refused at once sees little of a reader."""
    assert list(seeds(name))
    for content in seeds(name):
        TARGETS[name](content, tmp_path)
