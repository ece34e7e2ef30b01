"""Names of combined corpora: what each part is, and a sentence for every name that cannot be read."""

from __future__ import annotations

import re
import shlex

import pytest

from bench import corpora
from bench.corpora.combination import parse
from bench.errors import SuiteError

KNOWN = ("crema_d", "emodb", "iemocap", "msp_made", "msp_podcast", "ravdess", "table")


@pytest.mark.parametrize(
    ("name", "sources", "added", "target", "label_set"),
    [
        ("ravdess-to-emodb", ["ravdess"], [], "emodb", ""),
        ("ravdess+crema_d-to-emodb-as-four", ["ravdess", "crema_d"], [], "emodb", "four"),
        ("iemocap-with-crema_d", ["iemocap"], ["crema_d"], "", ""),
        (
            "iemocap-with-crema_d+emodb-to-ravdess-as-four",
            ["iemocap"],
            ["crema_d", "emodb"],
            "ravdess",
            "four",
        ),
        ("ravdess-as-four", ["ravdess"], [], "", "four"),
        ("table:mine-to-table:other", ["table:mine"], [], "table:other", ""),
        ("table:back-to-work+sad-with-emodb", ["table:back-to-work+sad"], ["emodb"], "", ""),
        ("emodb-to-table:a-as-b-as-four", ["emodb"], [], "table:a-as-b", "four"),
    ],
)
def test_a_name_says_which_corpora_train_are_added_and_are_tested(name, sources, added, target, label_set):
    found = parse(name, KNOWN)
    assert found is not None
    assert (list(found.sources), list(found.added)) == (sources, added)
    assert (found.target, found.label_set) == (target, label_set)
    assert shlex.quote(name) == name or ":" in name  # safe in a shell, but for shlex's own caution
    assert re.fullmatch(r"[\w:+-]+", name)


@pytest.mark.parametrize("name", ["ravdess", "msp_podcast", "table:mine", "table:back-to-work", "table:a+b"])
def test_a_corpus_alone_is_no_combination(name):
    assert parse(name, KNOWN) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ravdess-to-emodb-with-crema_d", r"-with- cannot follow -to-; the form is SOURCE"),
        ("ravdess-as-four-to-emodb", r"-to- cannot follow -as-"),
        ("ravdess-to-emodb-to-crema_d", r"-to- cannot follow -to-"),
        ("ravdess-to-emodb+crema_d", r"one target and one label set"),
        ("ravdess+emodb", r"say which corpus is tested on \(-to-TARGET\)"),
        ("ravdess+emodb-to-ravdess", r"ravdess stands in it twice"),
        ("ravdess-as-five", r"no label set 'five'; there is four"),
        ("msp_podcast-with-msp_made", r"releases of MSP-Podcast are never mixed"),
        ("ravdess-to-emdb", r"no corpus 'emdb'; there is crema_d"),
        ("ravdess-to-", r"a name is missing; the form is SOURCE"),
    ],
)
def test_a_name_that_cannot_be_read_is_refused_in_one_sentence(tmp_path, name, message):
    with pytest.raises(SuiteError, match=message):
        corpora.load(name, tmp_path)


def test_a_combination_takes_the_options_of_its_parts():
    assert corpora.options("ravdess-to-emodb") == ()
    assert corpora.options("synthetic-to-msp_made") == ("speakers", "per_speaker", "seed", "turns", "classes")
    with pytest.raises(SuiteError, match=r"no option 'size'; its options are speakers"):
        corpora.load("synthetic-to-msp_made", None, {"size": 3})
