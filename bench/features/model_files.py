"""A pretrained model's folder looked into: what it holds, whether it is whole, its digest, the model itself.

    files = look("microsoft/wavlm-large", models=None, use="speech")
    files.kind, files.config.hidden_size, digest(files)
    model = load_model(files)

Configurations, vocabulary and weights make the digest, so that other weights under the same name are
noticed. Whatever a damaged file makes transformers raise becomes a SuiteError that names the folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from bench.errors import SuiteError
from bench.features import hub
from bench.features.hub import first_line
from bench.features.kinds import KINDS, Use, known

BOOKKEEPING = {"_name_or_path", "transformers_version"}  # of a configuration: they change no output
UNUSED = ("masked_spec_embed", "pooler.")  # weights that a checkpoint may lack, as no output here needs them
DIGEST_DIGITS = 16


@dataclass(frozen=True)
class Files:
    """A model's folder, looked into: its configuration and the names of its weight files."""

    name: str  # as the user knows it
    folder: Path
    config: Any  # as transformers reads it
    weights: tuple[str, ...]

    @property
    def subject(self) -> str:
        """What an error's sentence starts with."""
        return _subject(self.name, self.folder)

    @property
    def kind(self) -> str:
        """Its architecture."""
        return str(self.config.model_type)

    @property
    def use(self) -> Use:
        """What it encodes."""
        return KINDS[self.kind]


def look(name: str, models: Path | None, use: Use | None = None) -> Files:
    """The files behind `name`; SuiteError where they cannot be had or are no encoder of `use`."""
    need_transformers()
    folder = hub.find(name, models)
    subject = _subject(name, folder)
    kind = _kind(folder, subject)
    if use is not None and KINDS[kind] != use:
        raise SuiteError(
            f"{subject} holds a {KINDS[kind]} encoder ({kind}), and one for {use} is asked for; "
            f"name one of {known(use)}"
        )
    names = {path.name for path in folder.iterdir()}
    if KINDS[kind] == "text" and not hub.vocabulary(names):
        raise SuiteError(
            f"{subject} has no tokenizer (tokenizer.json or vocab.txt); save the model's own there"
        )
    weights = hub.weight_files(names)
    if not weights:
        raise SuiteError(
            f"{subject} holds no weights (model.safetensors or pytorch_model.bin); "
            "write them with save_pretrained"
        )
    files = Files(name, folder, _config(folder, subject), tuple(weights))
    _check_whole(files)
    return files


def load_model(files: Files) -> Any:
    """The model in float32, all its weights from the files; SuiteError where some are missing or damaged."""
    from transformers import AutoModel

    safe = files.weights[0].startswith(hub.STEMS[".safetensors"] + ".")
    with explained(files.subject, "its weights cannot be loaded"), quiet():
        model, report = AutoModel.from_pretrained(
            files.folder,
            dtype=torch.float32,
            use_safetensors=safe,
            weights_only=True,
            output_loading_info=True,
        )
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(UNUSED))
    if missing:
        raise SuiteError(
            f"{files.subject} lacks the weights of {len(missing)} tensors of a {files.kind} model "
            f"({', '.join(missing[:3])}, …); fetch or save it again"
        )
    return model


def digest(files: Files) -> str:
    """First 16 hex digits of the SHA-256 of configurations, vocabulary and weights."""
    names = {path.name for path in files.folder.iterdir()}
    inputs = hub.vocabulary(names) if files.use == "text" else tuple(n for n in hub.INPUTS if n in names)
    stamps = [_stamp(files.folder / name) for name in (hub.CONFIG, *inputs, *files.weights)]
    return _hashed(tuple(stamps))


def need_transformers() -> None:
    """SuiteError where transformers is not installed."""
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise SuiteError(
            "pretrained encoders need transformers; install it with `pip install serbench[pretrained]`"
        ) from error


@contextmanager
def explained(subject: str, what: str) -> Iterator[None]:
    """Whatever damaged files make a reader raise, as a SuiteError."""
    try:
        yield
    except Exception as error:
        raise SuiteError(f"{subject}: {what} ({first_line(error)}); fetch or save it again") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and its reports on weights that are not used."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _subject(name: str, folder: Path) -> str:
    return f"model {name}: {folder}"


def _kind(folder: Path, subject: str) -> str:
    path = folder / hub.CONFIG
    if not path.is_file():
        raise SuiteError(f"{subject} has no {hub.CONFIG}; write a model there with save_pretrained")
    kind = _json(path).get("model_type")
    if kind not in KINDS:
        raise SuiteError(
            f"{subject} is of the architecture {kind!r}, and supported are {known('speech')} for speech and "
            f"{known('text')} for text; choose one of these"
        )
    return str(kind)


def _config(folder: Path, subject: str) -> Any:
    from transformers import AutoConfig

    with explained(subject, "its configuration cannot be read"), quiet():
        return AutoConfig.from_pretrained(folder)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SuiteError(f"{path}: not readable as JSON ({error}); fetch or save the model again") from error
    return content if isinstance(content, dict) else {}


def _check_whole(files: Files) -> None:
    """SuiteError where a shard is not there or a safetensors file is cut short: seen in its header."""
    from safetensors import safe_open

    shards = files.weights
    if len(shards) > 1 or shards[0].endswith(".json"):
        index, *found = shards
        needed = set(_json(files.folder / index).get("weight_map", {}).values())
        if not needed or needed - set(found):
            lacking = ", ".join(sorted(needed - set(found))) or "the names of its shards"
            raise SuiteError(f"{files.subject} lacks {lacking}; fetch it again")
        shards = tuple(found)
    with explained(files.subject, "its weights cannot be loaded"):
        for name in shards:
            if name.endswith(".safetensors"):
                with safe_open(files.folder / name, framework="np"):
                    pass


def _stamp(path: Path) -> tuple[Path, int, int]:
    found = path.stat()
    return path, found.st_size, found.st_mtime_ns


@lru_cache
def _hashed(stamps: tuple[tuple[Path, int, int], ...]) -> str:
    """Of files as they are, told by size and time of change: a process reads the weights once for it."""
    sha = hashlib.sha256()
    for path, _, _ in stamps:
        sha.update(path.name.encode() + b"\0")
        for block in _content(path):
            sha.update(block)
    return sha.hexdigest()[:DIGEST_DIGITS]


def _content(path: Path) -> Iterable[bytes]:
    if path.name in (hub.CONFIG, *hub.INPUTS):
        kept = {key: value for key, value in _json(path).items() if key not in BOOKKEEPING}
        return [json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()]
    return _blocks(path)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            yield block
