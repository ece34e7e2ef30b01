"""The list of token mixers: what registers one, and how it is found, named and built.

    @register("mean", label="Running mean", paper="arXiv …")
    class RunningMean(TokenMixer): ...

    available()                     # every name, softmax first
    info("mean").label              # how it is shown
    build("mean", d_model=96)       # the module

Found without another edit: every public module in the `mixers` folder, and every entry point of the group
`serbench.mixers` in an installed package. Both are looked for when a name is first asked for, so that
a mixer's own file can import `mixers` freely.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeVar

from mixers.contract import Direction, TokenMixer

ENTRY_POINTS = "serbench.mixers"
SHARED = {"contract", "registry", "parts", "stock", "ops"}  # modules of the package that hold no mixer

Mixer = TypeVar("Mixer", bound=type[TokenMixer])


@dataclass(frozen=True)
class Entry:
    """One registered mixer. `twin_of` names the mixer that computes the same numbers another way.

    `extra`: left out where no mixers are named. What registers is compared by default, so that a new file
    needs no other edit; the package's own mixers beyond those of the study are extra, so that a preset
    trains the systems of the study.
    """

    name: str
    label: str
    paper: str
    complexity: str
    twin_of: str | None
    extra: bool
    cls: type[TokenMixer]


_entries: dict[str, Entry] = {}


def register(
    name: str,
    *,
    label: str,
    paper: str = "",
    complexity: str = "O(T)",
    twin_of: str | None = None,
    extra: bool = False,
) -> Callable[[Mixer], Mixer]:
    """Class decorator that adds a mixer; `complexity` is its time in the number of frames T; see `Entry`.

    ValueError where the name is taken by another class, is no lower-case word, or the class is no
    TokenMixer. A class defined again under the same module and name (a notebook cell run twice) replaces
    itself.
    """

    def add(cls: Mixer) -> Mixer:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"mixer name {name!r}: use a lower-case word of letters, digits and underscores")
        if not issubclass(cls, TokenMixer):
            raise ValueError(f"mixer {name!r}: {cls.__name__} is not a subclass of mixers.TokenMixer")
        known = _entries.get(name)
        if known is not None and _origin(known.cls) != _origin(cls):
            raise ValueError(
                f"mixer {name!r} is registered twice, by {_origin(known.cls)} and {_origin(cls)}; rename one"
            )
        _entries[name] = Entry(name, label, paper, complexity, twin_of, extra, cls)
        return cls

    return add


def available() -> tuple[str, ...]:
    """Names of all mixers, twins too: softmax first, then alphabetical."""
    _discover()
    return tuple(sorted(_entries, key=lambda name: (name != "softmax", name)))


def info(name: str) -> Entry:
    """The entry of one mixer; ValueError for an unknown name."""
    names = available()
    if name not in _entries:
        raise ValueError(f"unknown mixer {name!r}; known are {', '.join(names)}")
    return _entries[name]


def build(
    name: str, d_model: int, num_heads: int = 4, direction: Direction = "bidirectional", **options: Any
) -> TokenMixer:
    """A mixer of width `d_model`; `options` are its own keyword arguments.

    ValueError for an unknown name, direction, or a width that the heads do not divide.
    """
    return info(name).cls(d_model, num_heads, direction, **options)


def _origin(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _discover() -> None:
    """Import every module that may register a mixer; those already imported cost nothing."""
    package = importlib.import_module("mixers")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_") and module.name not in SHARED:
            importlib.import_module(f"mixers.{module.name}")
    _load_plugins()


@cache
def _load_plugins() -> None:
    """Import the plugins of installed packages, once."""
    for point in entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except Exception as error:
            raise ValueError(
                f"mixer plugin {point.name!r} ({point.value}) cannot be imported: {error}; mend or remove it"
            ) from error
