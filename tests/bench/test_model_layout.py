"""Layouts: one string, one spelling, one name a layer."""

import pytest

import mixers
from bench.errors import SuiteError
from bench.model import layout
from mixers import registry


def test_a_hybrid_names_one_mixer_a_layer():
    assert layout.expand("mamba2*3 softmax", 4) == ("mamba2", "mamba2", "mamba2", "softmax")


def test_a_short_pattern_repeats_until_it_fills_the_layers():
    assert layout.expand("mamba2 softmax", 4) == ("mamba2", "softmax", "mamba2", "softmax")
    assert layout.expand("gsa", 3) == ("gsa",) * 3


@pytest.mark.parametrize(
    ("text", "spelling"),
    [("  softmax ", "softmax"), ("softmax*4", "softmax"), ("mamba2 mamba2*2 softmax*1", "mamba2*3 softmax")],
)
def test_equal_layouts_have_one_spelling(text, spelling):
    assert layout.canonical(text) == spelling


@pytest.mark.parametrize("text", ["", "softmax*", "softmax*0", "soft max!", "nosuch", "mamba2*3,softmax"])
def test_a_bad_layout_is_one_sentence_that_names_it(text):
    with pytest.raises(SuiteError, match="layout") as error:
        layout.canonical(text)
    assert "\n" not in str(error.value)


def test_a_pattern_that_does_not_fill_the_layers_is_refused():
    with pytest.raises(SuiteError, match="3 layers"):
        layout.expand("mamba2*2 softmax", 4)


def test_a_label_shows_every_mixer_once_with_its_count():
    label = layout.label("mamba2*3 softmax")
    assert label.mixers == ("mamba2", "softmax")
    assert "×3" in label.text
    assert mixers.info("softmax").label in label.text


def test_the_standard_layouts_are_the_systems_of_the_study():
    study = {"softmax", "retnet", "lightnet", "gsa", "fox", "kda", "mamba2", layout.HYBRID}
    assert set(layout.standard()) == study
    assert layout.standard()[-1] == layout.HYBRID


def test_a_mixer_that_registers_joins_the_standard_layouts_unless_it_is_extra(monkeypatch):
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    for name, extra in (("mean", False), ("rarity", True)):
        mixers.register(name, label=name, extra=extra)(type(name, (mixers.TokenMixer,), {}))
    assert "mean" in layout.standard()
    assert "rarity" not in layout.standard()
    assert layout.canonical("rarity") == "rarity"
