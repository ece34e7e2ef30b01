"""Hidden states of frozen encoders over a whole corpus: as recordings to encode later, or cached in float16.

    recordings(manifest, cache)                        # utterance → samples (N,), read when asked for
    cached = Cached.of(manifest, features, cache)      # which shards there would be
    cached.build(encoders)                             # those that are missing
    cached.store(), cached.texts()                     # utterance → (T, L, D), (W, D) float16

Cached states are computed in float32, whatever the precision of training, and rounded to float16. The key
of a cache holds the encoder's digest and every file's size and time of change (a transcript's words), so
that no other model's states, and no edited recording's, are ever read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.config import Pretrained
from bench.corpora.manifest import Manifest
from bench.errors import Problem, SuiteError
from bench.features import headers
from bench.features.audio import AudioError, read
from bench.features.backbones import SAMPLE_RATE_HZ
from bench.features.cache import FeatureStore, Lazily, joined, listed
from bench.features.encoders import Encoders
from bench.features.shards import Shards, grouped
from bench.features.speech import frames_of
from bench.progress import track

VERSION = 1  # of what is in a shard; raised when the same settings would give other numbers
CLIPS = 16  # encoded at a time
LARGEST = float(np.finfo(np.float16).max)  # states beyond it are clipped
BYTES = 2  # of a number
LETTERS_A_TOKEN = 4  # about; by which the size of cached texts is guessed
Rows = dict[str, NDArray[np.float16] | str]  # of each name, or why there are none


def recordings(manifest: Manifest, cache: Path, *, skip_bad: bool = False) -> FeatureStore:
    """Utterance → samples (N,) float32 at 16 kHz, decoded when asked for.

    `frames` are the hidden states that they will have, by the files' headers.
    Files whose header tells that they cannot be used are as in `bench.features.cache.prepare`; to skip them
    all are decoded once, as damage that a header hides would stop training later.
    """
    if manifest.parts:
        return joined({part.corpus: recordings(part, cache, skip_bad=skip_bad) for part in manifest.parts})
    found = headers.scan(manifest, cache, decoded=skip_bad)
    good = found[found["samples"] > 0]
    skipped = listed(manifest, _problems(found), skip_bad and len(good) > 0)
    paths = dict(zip(good["utterance"], good["path"], strict=True))
    return FeatureStore(
        tuple(paths),
        dict(zip(paths, map(frames_of, good["samples"].tolist()), strict=True)),
        dict(zip(paths, good["duration_s"].tolist(), strict=True)),
        skipped,
        Lazily(paths, lambda utterance: _samples(manifest.root / paths[utterance])),
    )


@dataclass(frozen=True)
class Cached:
    """The shards of a corpus and of its parts, with what they are made of."""

    manifest: Manifest
    found: pd.DataFrame  # of `headers.scan`; empty where the manifest joins others
    speech: Shards
    written: Shards | None  # of transcripts
    parts: tuple[Cached, ...] = ()

    @classmethod
    def of(cls, manifest: Manifest, features: Pretrained, cache: Path) -> Cached:
        """Those of the resolved `features`; reads headers alone."""
        texts = _text_shards(manifest, features, cache)
        if manifest.parts:
            parts = tuple(
                cls.of(part, features.model_copy(update={"text": None}), cache) for part in manifest.parts
            )
            return cls(manifest, pd.DataFrame(), Shards(cache, ()), texts, parts)
        found = headers.scan(manifest, cache)
        rows = [frames_of(samples) if samples else 0 for samples in found["samples"]]
        groups = grouped(found["utterance"].tolist(), rows, features.num_states * features.width * BYTES)
        stamps = found[["utterance", *headers.STAMP]].to_csv(index=False)
        folder = cache / "hidden" / _key(features.speech.digest, _layers(features), stamps)
        return cls(manifest, found, Shards(folder, groups), texts)

    def complete(self) -> bool:
        """Whether nothing is missing."""
        return all(shards.complete() for shards in self._every())

    def share_left(self) -> float:
        """Share of the shards that are missing."""
        every = list(self._every())
        return sum(len(shards.missing()) for shards in every) / max(
            1, sum(len(shards.groups) for shards in every)
        )

    def build(
        self, encoders: Callable[[], Encoders], verify: bool = False, own: int = 0, count: int = 1
    ) -> None:
        """Compute what is missing (with `verify`, or damaged); of `count` processes, the share of one.

        `encoders` is called where there is something to compute. SuiteError where the disk is full.
        """
        for part in self.parts:
            part.build(encoders, verify, own, count)
        paths = dict(zip(self.found.get("utterance", ()), self.found.get("path", ()), strict=True))
        corpus, texts = self.manifest.corpus, _transcripts(self.manifest)

        def encoded_speech(names: Sequence[str]) -> Rows:
            return _encoded_speech({name: self.manifest.root / paths[name] for name in names}, encoders())

        def encoded_texts(names: Sequence[str]) -> Rows:
            return _encoded_texts({name: texts[name] for name in names}, encoders())

        todo = self.speech.missing(verify)[own::count]
        _fill(self.speech, todo, encoded_speech, f"hidden states of {corpus}")
        if self.written is not None:
            todo = self.written.missing(verify)[own::count]
            _fill(self.written, todo, encoded_texts, f"encoded texts of {corpus}")

    def store(self, skip_bad: bool) -> FeatureStore:
        """Utterance → states (T, L, D) float16, read-only; problems as in `bench.features.cache.prepare`."""
        if self.parts:
            return joined({part.manifest.corpus: part.store(skip_bad) for part in self.parts})
        lengths, views = self.speech.lengths(), self.speech.views()
        bad = self.speech.problems()
        reasons = self.found.assign(problem=[bad.get(name, "") for name in self.found["utterance"]])
        skipped = listed(self.manifest, _problems(reasons), skip_bad and len(views) > 0)
        seconds = dict(zip(self.found["utterance"], self.found["duration_s"], strict=True))
        names = tuple(views)
        return FeatureStore(
            names,
            {name: lengths[name] for name in names},
            {name: seconds[name] for name in names},
            skipped,
            views,
        )

    def texts(self) -> Lazily | None:
        """Utterance → states of its transcript (W, D) float16; None where no text is read."""
        return self.written.views() if self.written is not None else None

    def _every(self) -> Iterator[Shards]:
        yield self.speech
        if self.written is not None:
            yield self.written
        for part in self.parts:
            yield from part._every()


def _fill(shards: Shards, todo: Sequence[int], encode: Callable[[Sequence[str]], Rows], what: str) -> None:
    """Write the shards `todo`; those that another process is at come last, and are waited for."""
    theirs = []
    for number in track(todo, what, len(todo)):
        with shards.turn(number) as needed:
            if needed:
                shards.write(number, encode(shards.groups[number]))
        if needed is None:
            theirs.append(number)
    for number in theirs:
        with shards.turn(number, wait=True) as needed:
            if needed:
                shards.write(number, encode(shards.groups[number]))


def speech_bytes(features: Pretrained, frames: Iterable[int]) -> int:
    """Size of the cached states of clips of so many frames."""
    return sum(frames) * features.num_states * features.width * BYTES


def text_bytes(features: Pretrained, manifest: Manifest) -> int:
    """About the size of the cached texts."""
    if features.text is None:
        return 0
    return sum(map(_tokens, _transcripts(manifest).values())) * features.text.width * BYTES


def _tokens(text: str) -> int:
    """About how many tokens a transcript has, with those that mark both ends."""
    return 3 + len(text) // LETTERS_A_TOKEN


def _text_shards(manifest: Manifest, features: Pretrained, cache: Path) -> Shards | None:
    if features.text is None:
        return None
    texts = _transcripts(manifest)
    groups = grouped(list(texts), [_tokens(text) for text in texts.values()], features.text.width * BYTES)
    key = _key(features.text.digest, "text", json.dumps(texts))
    return Shards(cache / "hidden" / key, groups)


def _transcripts(manifest: Manifest) -> dict[str, str]:
    return dict(zip(manifest.table["utterance"], manifest.table["transcript"], strict=True))


def _layers(features: Pretrained) -> str:
    """What is kept of a frame; both kinds of weighted sum read the same states."""
    return "all" if features.num_states > 1 else str(features.layers)


def _key(*parts: Any) -> str:
    return hashlib.sha256("\0".join(map(str, (VERSION, *parts))).encode()).hexdigest()[:16]


def _samples(path: Path) -> NDArray[np.float32]:
    """Samples (N,) at 16 kHz; SuiteError where they are not what the header had promised."""
    try:
        return read(path, SAMPLE_RATE_HZ)
    except AudioError as error:
        raise SuiteError(
            f"{path}: {error}; mend or remove it (`serbench corpora check` decodes every file)"
        ) from error


def _problems(found: pd.DataFrame) -> tuple[Problem, ...]:
    bad = found[found["problem"] != ""]
    return tuple(Problem(Path(path), why) for path, why in zip(bad["path"], bad["problem"], strict=True))


def _encoded_speech(paths: Mapping[str, Path], encoders: Encoders) -> Rows:
    """States (T, L, D) of each recording, clips of like length together; or why there are none."""
    found: Rows = {}
    clips: dict[str, Tensor] = {}
    for name, path in paths.items():
        try:
            clips[name] = torch.from_numpy(read(path, SAMPLE_RATE_HZ))
        except AudioError as error:
            found[name] = str(error)
    names = sorted(clips, key=lambda name: len(clips[name]))
    for at in range(0, len(names), CLIPS):
        some = names[at : at + CLIPS]
        found |= _rows(some, *encoders.speech([clips[name] for name in some]))
    return found


def _encoded_texts(texts: Mapping[str, str], encoders: Encoders) -> Rows:
    found: Rows = {}
    names = sorted(texts, key=lambda name: len(texts[name]))
    assert encoders.text is not None
    for at in range(0, len(names), CLIPS):
        some = names[at : at + CLIPS]
        found |= _rows(some, *encoders.text([texts[name] for name in some]))
    return found


def _rows(names: Sequence[str], states: Tensor, mask: Tensor) -> dict[str, NDArray[np.float16]]:
    narrow = states.clamp(-LARGEST, LARGEST).half().cpu().numpy()
    return {name: row[:length] for name, row, length in zip(names, narrow, mask.sum(1).tolist(), strict=True)}
