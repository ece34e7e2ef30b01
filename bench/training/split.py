"""The labelled utterances of one split, and the padded batches made of them.

    train = Split.of(manifest, store, assignment, "train")
    for batch in Batches(train, buckets(train.lengths, 32, rng)):
        batch.frames, batch.mask, batch.labels, batch.attributes

A split knows its own labels alone: code that is handed the train and dev splits cannot read a test label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from bench.attributes import ATTRIBUTES, to_unit
from bench.config import WaveformAugmentation
from bench.corpora.manifest import Manifest
from bench.evidence.groups import GENDERS
from bench.features.cache import FeatureStore
from bench.training import ranks, streams
from bench.training.waveform import altered

BUCKET_BATCHES = 8  # batches' worth of shuffled utterances that are sorted by length together, and more
BUCKET_SHARE = 32  # of a large corpus: one batch in so many


class Batch(NamedTuple):
    """Padded log-mels (B, T, M) float32, mask (B, T) bool, labels (B,) int64, positions in the split (B,).

    `attributes` (B, 3) float32: arousal, valence, dominance as `bench.attributes.to_unit` scales them, NaN
    where unknown. Instead of log-mels there may be hidden states (B, T, L, M) float16 or samples (B, T)
    float32 (`bench.training.listening`), with `transcripts`, or their states `text` (B, W, D) float16.
    """

    frames: Tensor
    mask: Tensor
    labels: Tensor
    attributes: Tensor
    positions: Tensor
    transcripts: tuple[str, ...] = ()
    text: Tensor | None = None
    text_mask: Tensor | None = None

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """The same on another device."""
        moved: dict[str, Any] = {
            name: part.to(device, non_blocking=non_blocking)
            for name, part in self._asdict().items()
            if isinstance(part, Tensor)
        }
        return self._replace(**moved)


class Split:
    """Utterances of one split, with labels as class indices and attributes (N, 3) as a batch has them.

    `genders` (N,) int64 are places in `bench.evidence.groups.GENDERS`, −1 where unknown.
    """

    def __init__(
        self,
        store: FeatureStore,
        table: pd.DataFrame,
        emotions: Sequence[str],
        attribute_names: Sequence[str] = (),
        texts: Mapping[str, NDArray] | None = None,
    ) -> None:
        """`table` holds the manifest rows of this split alone; attributes not named count as unknown.

        `texts` are the transcripts' cached states (W, D), where there are any.
        """
        self.table = table.assign(duration_s=table["utterance"].map(store.durations_s)).reset_index(drop=True)
        self.emotions = tuple(emotions)
        self.labels = (
            self.table["emotion"].map({name: i for i, name in enumerate(emotions)}).to_numpy(np.int64)
        )
        self.attribute_names = tuple(attribute_names)
        self.attributes = np.full((len(self.table), len(ATTRIBUTES)), np.nan, np.float32)
        for name in attribute_names:
            self.attributes[:, ATTRIBUTES.index(name)] = to_unit(self.table[name].to_numpy(np.float64))
        self.genders = pd.Index(GENDERS).get_indexer(pd.Index(self.table["gender"])).astype(np.int64)
        self.lengths = np.array([store.frames[name] for name in self.table["utterance"]], dtype=np.int64)
        self.texts = texts
        self._store = store

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        store: FeatureStore,
        assignment: pd.Series[str],
        name: str,
        texts: Mapping[str, NDArray] | None = None,
    ) -> Split:
        """The split `name` of an assignment, less the files that could not be read."""
        chosen = manifest.table["utterance"].map(assignment).eq(name) & manifest.table["utterance"].isin(
            store.frames
        )
        return cls(store, manifest.table[chosen], manifest.emotions, manifest.attributes, texts)

    def __len__(self) -> int:
        return len(self.table)

    def frames(self, position: int) -> np.ndarray:
        """Log-mel (T, M) of one utterance; or what else the store holds."""
        return self._store[str(self.table["utterance"].iat[position])]

    def class_weights(self) -> Tensor:
        """1 / relative frequency, scaled to mean 1 over utterances; 0 for a class that is absent."""
        counts = np.bincount(self.labels, minlength=len(self.emotions))
        weights = np.where(counts > 0, len(self) / np.maximum(counts, 1), 0.0) / max((counts > 0).sum(), 1)
        return torch.from_numpy(weights.astype(np.float32))


def buckets(lengths: np.ndarray, batch_size: int, rng: np.random.Generator | None = None) -> list[np.ndarray]:
    """Positions grouped into batches of like length, every one once.

    With `rng` for training: utterances are shuffled, sorted by length within a window of several
    batches, and the batches shuffled. Without, for scoring: sorted by length throughout. On a large corpus
    the windows are longer, as they are still many: at MSP-Podcast's size padding is under 5 % of frames.
    """
    if rng is None:
        order = np.argsort(lengths, kind="stable")
        return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    shuffled = rng.permutation(len(lengths))
    span = window_span(len(lengths), batch_size)
    windows = [shuffled[i : i + span] for i in range(0, len(shuffled), span)]
    order = np.concatenate([window[np.argsort(lengths[window], kind="stable")] for window in windows])
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def shuffled(count: int, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Positions 0 to `count` − 1 in batches drawn at random, every one once."""
    order = rng.permutation(count)
    return [order[i : i + batch_size] for i in range(0, count, batch_size)]


def window_span(utterances: int, batch_size: int) -> int:
    """How many utterances are sorted by length together: several batches of them."""
    return batch_size * max(BUCKET_BATCHES, utterances // (batch_size * BUCKET_SHARE))


class Batches(Dataset[Batch]):
    """One item a batch: padded on the right, cropped at random where longer than `crop_frames`.

    Where an utterance's rows are samples, `hop` of them lie between two frames, and a frame sees `field`;
    they may be augmented, after they are cropped.
    Of processes that share the work (`bench.training.ranks`) each reads its own part of every batch.
    """

    def __init__(
        self,
        split: Split,
        groups: list[np.ndarray],
        crop_frames: int | None = None,
        seed: int = 0,
        hop: int = 1,
        field: int = 1,
        waveform: WaveformAugmentation | None = None,
    ) -> None:
        self.split, self.groups, self.crop_frames, self.seed = split, groups, crop_frames, seed
        self.hop, self.field = hop, field
        self.waveform = waveform or WaveformAugmentation()

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`; the same crops whenever it is asked for."""
        if number >= len(self.groups):
            raise IndexError(number)
        group = ranks.share(self.groups[number])
        starts = dict(zip(self.groups[number], self._starts(number), strict=True))
        cropped = [self._cropped(self.split.frames(position), starts[position]) for position in group]
        rows = [
            altered(row, self.waveform, self.seed, number, int(position))
            for row, position in zip(cropped, group, strict=True)
        ]
        frames, mask = _padded(rows)
        positions = torch.from_numpy(group.astype(np.int64))
        labels, attributes = (
            torch.from_numpy(targets[group]) for targets in (self.split.labels, self.split.attributes)
        )
        spoken = self.split.table.iloc[group]
        texts = self.split.texts
        text = (None, None) if texts is None else _padded([texts[name] for name in spoken["utterance"]])
        return Batch(frames, mask, labels, attributes, positions, tuple(spoken["transcript"]), *text)

    def _cropped(self, rows: NDArray, start: int) -> NDArray:
        """The rows of `crop_frames` frames from number `start` on."""
        if self.crop_frames is None:
            return rows
        return rows[start * self.hop :][: (self.crop_frames - 1) * self.hop + self.field]

    def _starts(self, number: int) -> list[int]:
        """The first frame to read of every utterance of batch `number`, whoever reads it."""
        rng = streams.generator("crop", self.seed, number)
        spare = self.split.lengths[self.groups[number]] - (self.crop_frames or np.inf)
        return [int(rng.integers(n + 1)) if n > 0 else 0 for n in spare]


def _padded(rows: Sequence[NDArray]) -> tuple[Tensor, Tensor]:
    """Rows (T_i, …) as (B, T, …) of their type, zeros where padded, and their mask (B, T); (0, 1) of none."""
    if not rows:
        return torch.zeros(0, 1), torch.zeros(0, 1, dtype=torch.bool)
    longest = max(map(len, rows))
    mask = torch.arange(longest) < torch.tensor([len(row) for row in rows])[:, None]
    padded = np.zeros((len(rows), longest, *rows[0].shape[1:]), rows[0].dtype)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return torch.from_numpy(padded), mask
