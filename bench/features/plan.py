"""How hidden states of frozen encoders reach training: computed on the fly, or once and cached.

    decision = decide(manifest, features, folders, passes=21)     # before anything starts
    print(decision.sentence)                                      # bytes, hours, and what is done
    if decision.choice == "cache":
        build(manifest, features, folders)
    source = open_source(manifest, features, folders)             # in each cohort

On the fly, the encoders run once a batch for the whole cohort, on recordings that are read ahead. Cached,
they run once over the corpus, in float32, and batches are read from float16 shards (`bench.features.shards`).
Both give the same batches and, to float16 rounding, the same numbers, but for training utterances longer than
the recipe's `max_train_s`: both crop the same frames, and on the fly the encoder hears the crop alone, as in
arXiv 2603.15120, while cached frames have seen the whole utterance. All layers of a large encoder take 2.5 MB
a second of speech: so unless told otherwise small corpora are cached and large ones are not.

Log-mels and cepstra are always cached (`bench.features.cache`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bench.config import AnyFeatures, Pretrained
from bench.corpora.manifest import Manifest
from bench.errors import SuiteError
from bench.features import cache as feature_cache
from bench.features.backbones import SAMPLE_RATE_HZ
from bench.features.cache import FeatureStore
from bench.features.encoders import Encoders
from bench.features.hidden import Cached, recordings, speech_bytes, text_bytes
from bench.folders import Folders

Choice = Literal["cache", "fly"]
CACHED_BYTES = 64e9  # a larger cache is made only where it is asked for
SPARED = 0.1  # share of the free space that a cache leaves
MEASURED = 4  # clips on which the encoders are timed


@dataclass(frozen=True)
class Source:
    """What batches are made of: frames, or samples for `encoders` to run on; and texts, where cached."""

    store: FeatureStore
    texts: Mapping[str, NDArray] | None = None
    encoders: Encoders | None = None
    plan: Literal["", "cache", "fly"] = ""  # of hidden states


@dataclass(frozen=True)
class Decision:
    """What will be done, and why, in a sentence."""

    choice: Choice
    sentence: str


def decide(
    manifest: Manifest, features: Pretrained, folders: Folders, passes: float, device: torch.device
) -> Decision:
    """The plan for a corpus that training would hear `passes` times; `features` are resolved.

    UnusableFiles as in `hidden.recordings`. SuiteError where a cache is asked for that does not fit the disk.
    """
    store = recordings(manifest, folders.cache, skip_bad=folders.skip_bad)
    planned = Cached.of(manifest, features, folders.cache)
    subject = f"{manifest.corpus}: hidden states of {_names(features)}"
    if features.tuned != "nothing":
        if folders.feature_plan == "cache":
            raise SuiteError(f"{subject} change as the encoder is trained; choose --feature-plan fly or auto")
        return Decision("fly", f"{subject} are computed by each student, which trains the encoder")
    if folders.feature_plan != "fly" and planned.complete():
        return Decision("cache", f"{subject} are cached")
    every = speech_bytes(features, store.frames.values()) + text_bytes(features, manifest)
    left = every * planned.share_left()
    free = _free(folders.cache)
    hours = (
        sum(store.durations_s.values())
        / 3600
        * _cost(store, Encoders.load(features, folders.models).to(device))
    )
    sizes = f"{_size(every)} in float16 ({_size(free)} free), {_hours(hours * planned.share_left())}"
    fits = left <= (1 - SPARED) * free
    if folders.feature_plan == "cache" and not fits:
        raise SuiteError(
            f"{subject} would take {_size(left)} more in {folders.cache}, where {_size(free)} are free; name "
            "another folder (--cache), one layer (--features.layers last) or --feature-plan fly"
        )
    if folders.feature_plan == "cache" or (folders.feature_plan == "auto" and fits and every <= CACHED_BYTES):
        return Decision(
            "cache", f"{subject} are cached first: {sizes}; on the fly up to {_hours(passes * hours)}"
        )
    return Decision(
        "fly",
        f"{subject} on the fly, once a batch: up to {_hours(passes * hours)}; a cache would take {sizes}",
    )


def build(
    manifest: Manifest,
    features: Pretrained,
    folders: Folders,
    device: torch.device,
    own: int = 0,
    count: int = 1,
) -> None:
    """Compute what the cache lacks, and again what is damaged; of `count` processes, the share of one.

    A build that was killed goes on where it was. UnusableFiles as in `bench.features.cache.prepare`;
    SuiteError where the disk is full.
    """
    planned = Cached.of(manifest, features, folders.cache)
    planned.build(_once(features, folders.models, device), verify=True, own=own, count=count)


def open_source(manifest: Manifest, features: AnyFeatures, folders: Folders, device: torch.device) -> Source:
    """Where a cohort's batches come from; `features` are resolved.

    Hidden states come from the cache where that is complete or asked for (and then what it lacks is
    computed), and else on the fly. Problems as in `bench.features.cache.prepare`.
    """
    if not isinstance(features, Pretrained):
        return Source(feature_cache.prepare(manifest, features, folders.cache, skip_bad=folders.skip_bad))
    fly = folders.feature_plan == "fly" or features.tuned != "nothing"
    planned = None if fly else Cached.of(manifest, features, folders.cache)
    if planned is None or (folders.feature_plan == "auto" and not planned.complete()):
        store = recordings(manifest, folders.cache, skip_bad=folders.skip_bad)
        return Source(store, encoders=Encoders.load(features, folders.models), plan="fly")
    planned.build(_once(features, folders.models, device))
    return Source(planned.store(folders.skip_bad), planned.texts(), plan="cache")


def _once(features: Pretrained, models: Path | None, device: torch.device) -> Callable[[], Encoders]:
    """The encoders, loaded when they are first asked for."""
    return once(lambda: Encoders.load(features, models).to(device))


def _cost(store: FeatureStore, encoders: Encoders) -> float:
    """Seconds of computing a second of speech, on a few clips of median length; the first warms up."""
    names = sorted(store, key=lambda name: store.frames[name])
    middle = max(0, len(names) // 2 - MEASURED // 2)
    clips = [torch.from_numpy(np.array(store[name])) for name in names[middle : middle + MEASURED]]
    encoders.speech(clips[:1])
    started = time.perf_counter()
    states, _ = encoders.speech(clips)
    float(states.flatten()[0])  # until the device is done
    return (time.perf_counter() - started) * SAMPLE_RATE_HZ / sum(map(len, clips))


def _free(folder: Path) -> int:
    """Bytes free where `folder` is or will be."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def _names(features: Pretrained) -> str:
    return " and ".join(each.name for each in (features.speech, features.text) if each is not None)


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{max(1, round(hours * 60))} min"
