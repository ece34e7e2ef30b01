"""Names, discovery and plugins of the mixer registry."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mixers
from mixers import TokenMixer, registry


@pytest.fixture(autouse=True)
def forgets(monkeypatch):
    """What a test registers is gone after it."""
    mixers.available()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    yield
    registry._load_plugins.cache_clear()


def test_the_mixers_of_the_study_are_there_softmax_first():
    names = mixers.available()
    assert names[0] == "softmax"
    assert list(names[1:]) == sorted(names[1:])
    assert {"retnet", "lightnet", "gsa", "fox", "kda", "mamba2", "softmax_unfused"} <= set(names)


def test_a_twin_names_the_mixer_that_it_doubles():
    twins = {name: mixers.info(name).twin_of for name in mixers.available() if mixers.info(name).twin_of}
    assert twins["softmax_unfused"] == "softmax"
    assert set(twins.values()) <= set(mixers.available()) - set(twins)


def test_every_entry_says_how_it_is_shown():
    for name in mixers.available():
        entry = mixers.info(name)
        assert entry.label
        assert entry.complexity in {"O(T)", "O(T²)"}


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown mixer 'mamba3'; known are softmax, .*fox, .*retnet"):
        mixers.build("mamba3", 32)


def test_two_mixers_of_one_name_are_refused():
    class Rival(TokenMixer):
        pass

    twice = r"'softmax' is registered twice, by mixers\.softmax\.Softmax and .*Rival"
    with pytest.raises(ValueError, match=twice):
        mixers.register("softmax", label="Rival")(Rival)


def test_a_class_defined_again_replaces_itself():
    def define() -> type[TokenMixer]:
        class Again(TokenMixer):
            pass

        return mixers.register("again", label="Again")(Again)

    define()
    second = define()
    assert mixers.info("again").cls is second


@pytest.mark.parametrize("name", ["Mean", "2fast", "a b", "mamba2*3", ""])
def test_a_name_that_a_layout_cannot_hold_is_refused(name):
    with pytest.raises(ValueError, match="use a lower-case word"):
        mixers.register(name, label="x")(TokenMixer)


def test_only_token_mixers_register():
    with pytest.raises(ValueError, match="int is not a subclass"):
        mixers.register("number", label="Number")(int)


class FakePoint:
    name, value = "toy", "toy_package.mixers"

    def __init__(self, load):
        self.load = load


def test_an_installed_plugin_is_found(monkeypatch):
    def load() -> None:
        mixers.register("from_a_plugin", label="Plugin")(type("Plugin", (TokenMixer,), {}))

    registry._load_plugins.cache_clear()
    points = {"serbench.mixers": [FakePoint(load)]}
    monkeypatch.setattr(registry, "entry_points", lambda group: points[group])
    assert "from_a_plugin" in mixers.available()


def test_a_plugin_that_fails_is_named(monkeypatch):
    def load() -> None:
        raise ImportError("No module named 'toy_kernels'")

    registry._load_plugins.cache_clear()
    monkeypatch.setattr(registry, "entry_points", lambda group: [FakePoint(load)])
    with pytest.raises(ValueError, match=r"'toy' \(toy_package\.mixers\) cannot be imported: No module"):
        mixers.available()


def test_the_package_knows_nothing_of_the_suite_nor_of_kernels():
    code = (
        "import sys, mixers; mixers.available(); "
        "print([m for m in sys.modules if m.split('.')[0] in ('bench', 'fla', 'triton', 'lightning')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
