"""Recordings for the tests of corpora and features: the real ones, and small ones made on the spot."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import settings

settings.register_profile("suite", deadline=None)  # no test asserts a time
settings.load_profile("suite")

MakeCorpus = Callable[..., Path]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real corpora; the test is skipped where there is none."""
    named = os.environ.get("SER_DATA_ROOT")
    if not named:
        pytest.skip("SER_DATA_ROOT is not set: no real recordings")
    return Path(named)


@pytest.fixture
def make_corpus(tmp_path: Path) -> MakeCorpus:
    """make_corpus("name", ["a/b.wav", …]) → folder with a second of noise of its own in each file."""

    def make(name: str, paths: list[str], seconds: float = 1.0) -> Path:
        root = tmp_path / name
        for number, path in enumerate(paths):
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(number)
            soundfile.write(file, 0.1 * rng.standard_normal(int(16_000 * seconds)), 16_000)
        root.mkdir(parents=True, exist_ok=True)
        return root

    return make


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with a tiny random encoder of every family, named by its kind."""
    from pretrained_fixtures import write_models

    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def largest_file() -> Callable[[int], AbstractContextManager[None]]:
    """`with largest_file(bytes):` the system refuses to let any file grow beyond so many bytes (EFBIG)."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit
