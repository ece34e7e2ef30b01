"""Corpora: one a file, all giving one `Manifest`. Reads names and label files, never audio, never torch.

    names()                                              # ("emodb", "ravdess", "synthetic")
    load("ravdess", Path("/data"))                       # /data/ravdess, or /data itself
    load("synthetic", None, {"speakers": 12})            # generated once, in the cache
    load("table:mine", Path("/data"))                    # /data/mine.csv, and the recordings that it names
    load("ravdess-to-emodb", Path("/data"))              # both: train on the one, test on the other

A corpus is a module of this package that defines NAME, TITLE, LICENCE, EMOTIONS, PROTOCOLS and
`load(root, **options) -> Manifest`; nothing else need be edited to add one. A corpus that defines

- GENERATED = True makes its own recordings under `root`, which then lies in the cache;
- SOURCE (an Archive or LfsRepository of `bench.corpora.fetch`) can be downloaded by anyone;
- `locate(data_root, which) -> Path` is a family, whose members are named `NAME:which`;
- takes `cache` in `load` is given the cache's folder.

How several corpora are named as one stands in `bench.corpora.combination`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache as once
from pathlib import Path
from types import ModuleType

from bench.corpora.combination import JOINT, Combination, parse
from bench.corpora.fetch import Source
from bench.corpora.joining import join
from bench.corpora.manifest import Fold, Manifest, OwnSplits
from bench.errors import SuiteError
from bench.folders import cache_folder, data_folder

__all__ = [
    "Fold",
    "Manifest",
    "OwnSplits",
    "downloadable",
    "find",
    "installed",
    "licence",
    "load",
    "names",
    "options",
    "parts",
    "source",
]


def names() -> tuple[str, ...]:
    """The names of all corpora, sorted."""
    return tuple(_corpora())


def installed(data_root: Path | None) -> tuple[str, ...]:
    """The names of the generated corpora and of those with a folder of their own in the data folder."""
    root = data_root or data_folder()
    return tuple(
        name
        for name, corpus in _corpora().items()
        if getattr(corpus, "GENERATED", False) or (root is not None and _own_folder(name, root))
    )


def find(name: str) -> ModuleType:
    """The module of a corpus (NAME, TITLE, LICENCE, …); SuiteError listing the names for an unknown one."""
    family, colon, _ = name.partition(":")
    corpus = _corpora().get(family)
    if corpus is None or (colon and not hasattr(corpus, "locate")):
        raise SuiteError(f"no corpus {name!r}; there is {', '.join(names())}")
    return corpus


def licence(name: str) -> str:
    """Title and licence of a corpus; of a combination, those of all its parts."""
    combination = parse(name, names())
    parts = map(find, combination.corpora if combination else (name,))
    return "; ".join(f"{part.TITLE}: {part.LICENCE}" for part in parts)


def downloadable() -> tuple[str, ...]:
    """The names of the corpora that anyone may download."""
    return tuple(name for name, corpus in _corpora().items() if hasattr(corpus, "SOURCE"))


def source(name: str) -> Source:
    """Where anyone may download a corpus from; SuiteError with its licence for one that has no such place."""
    corpus = find(name)
    if not hasattr(corpus, "SOURCE"):
        free = ", ".join(downloadable())
        raise SuiteError(f"{name} has no open download ({corpus.LICENCE}); those that have one: {free}")
    found: Source = corpus.SOURCE
    return found


def options(name: str) -> tuple[str, ...]:
    """The names of the options that a corpus takes; of a combination, those that any of its parts does."""
    combination = parse(name, names())
    if combination:
        return tuple(dict.fromkeys(option for part in combination.corpora for option in options(part)))
    parameters = inspect.signature(find(name).load).parameters
    return tuple(parameter for parameter in parameters if parameter not in ("root", "cache"))


def parts(name: str) -> tuple[str, ...]:
    """The corpora that a name stands for: several where it joins some."""
    combination = parse(name, names()) if JOINT.search(name) else None
    return combination.corpora if combination else (name,)


def load(
    name: str,
    data_root: Path | None,
    options: Mapping[str, int] | None = None,
    cache: Path | None = None,
) -> Manifest:
    """The manifest of corpus `name`.

    Its folder is `data_root/<name>` in any case of letters, or `data_root` itself (a family's member is
    where the family says); without
    `data_root`, `$SER_DATA_ROOT` is taken. A generated corpus lies under `cache` instead (default:
    `bench.folders.cache_folder()`). `options` go to the corpus; of a combination, to each part those that it
    takes. SuiteError where the corpus, an option or the folder is unknown, or corpora cannot be combined.
    """
    given, cache = dict(options or {}), cache or cache_folder()
    _check_options(name, given)
    combination = parse(name, names())
    if combination:
        return _load_combination(combination, data_root, given, cache)
    corpus = find(name)
    if getattr(corpus, "GENERATED", False):
        root = cache / "corpora" / name
    elif hasattr(corpus, "locate"):
        root = corpus.locate(_data_root(name, data_root), name.partition(":")[2])
    else:
        root = _folder(name, data_root)
    place = {"cache": cache} if "cache" in inspect.signature(corpus.load).parameters else {}
    manifest: Manifest = corpus.load(root, **given, **place)
    return manifest


def _load_combination(
    combination: Combination, data_root: Path | None, given: Mapping[str, int], cache: Path
) -> Manifest:
    loaded = {}
    for part in combination.corpora:
        own = {option: value for option, value in given.items() if option in options(part)}
        loaded[part] = load(part, data_root, own, cache)
    return join(combination, loaded)


@once
def _corpora() -> dict[str, ModuleType]:
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    found = {module.NAME: module for module in modules if hasattr(module, "NAME")}
    return dict(sorted(found.items()))


def _check_options(name: str, given: Mapping[str, int]) -> None:
    known = options(name)
    for option in given:
        if option not in known:
            offered = f"its options are {', '.join(known)}" if known else "it has no options"
            raise SuiteError(f"{name}: no option {option!r}; {offered}")


def _folder(name: str, data_root: Path | None) -> Path:
    root = _data_root(name, data_root)
    return _own_folder(name, root) or root


def _own_folder(name: str, root: Path) -> Path | None:
    inside = sorted(path for path in root.glob("*") if path.is_dir() and path.name.lower() == name)
    return inside[0] if inside else None


def _data_root(name: str, data_root: Path | None) -> Path:
    root = data_root or data_folder()
    if root is None:
        raise SuiteError(
            f"{name}: no data folder given; set SER_DATA_ROOT or --data-root to the folder that holds {name}/"
        )
    if not root.is_dir():
        raise SuiteError(f"{name}: the data folder {root} does not exist; set SER_DATA_ROOT or --data-root")
    return root
