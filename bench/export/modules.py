"""What of a trained recogniser becomes a graph: its normaliser, its model, and what is read of its outputs.

    whole = Whole(trained)                      # features (B, T, M) → logits, probabilities, attributes
    chunk = Chunk(trained)                      # features (B, n, M) and a state → the same so far, next state
    whole.names, chunk.names                    # of these outputs

The features stay outside: numpy computes them (`bench.features.spectra`), so that the graph needs no Fourier
transform in float64. A model that trained its own speech encoder hears samples (B, N) instead, and all of it
is in the graph. A batch holds utterances of equal length; others go one at a time, as a mask would cost every
call a quarter more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from bench.attributes import ATTRIBUTES, from_unit
from bench.errors import SuiteError
from bench.export.card import StateTensor
from bench.export.graph import OPEN
from bench.features.backbones import Waves
from bench.features.normaliser import Normaliser
from bench.model.streaming import StreamingRecogniser
from bench.model.tuned import Tuned
from bench.training.checkpoint import Trained
from bench.training.losses import parts


class Scaled(nn.Module):
    """(frames − mean) / std, as the checkpoint's normaliser."""

    mean: Tensor
    std: Tensor

    def __init__(self, normaliser: Normaliser) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(normaliser.mean))
        self.register_buffer("std", torch.from_numpy(normaliser.std))

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, M) → (B, T, M)."""
        return (frames - self.mean) / self.std


def hearing(trained: Trained) -> nn.Module:
    """What stands before the model: its normaliser, or nothing where it hears samples.

    SuiteError where what the model hears cannot be computed in a graph.
    """
    if isinstance(trained.model, Tuned):
        if not isinstance(trained.model.speech.backbone, Waves):
            raise SuiteError(
                "export: Whisper reads a spectrum that is computed outside of it; export a model that "
                "trained an encoder of samples, as DistilHuBERT"
            )
        return nn.Identity()
    if trained.normaliser is None:
        raise SuiteError(
            "export: a model of frozen encoders cannot run without them, and they are no part of its "
            "checkpoint; export one of log-mels or cepstra, or one that trained its encoder"
        )
    return Scaled(trained.normaliser)


class Readout(nn.Module):
    """Outputs (B, C + 3) → logits and probabilities (B, C), attributes (B, A) on the corpus's scale.

    Of emotions and attributes those that are trained; `names` says which there are.
    """

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.widths = parts(trained.cell.recipe, len(trained.emotions))
        self.places = [ATTRIBUTES.index(name) for name in trained.attributes]
        self.names = (
            *(("logits", "probabilities") if trained.emotions else ()),
            *(("attributes",) if trained.attributes else ()),
        )

    def forward(self, outputs: Tensor) -> tuple[Tensor, ...]:
        """As many tensors as `names`."""
        logits, scaled = outputs.split(self.widths, -1)
        found = (logits, logits.softmax(-1)) if self.widths[0] else ()
        return (*found, *((from_unit(scaled[:, self.places]),) if self.places else ()))


class Whole(nn.Module):
    """Features of whole utterances, as they come from `bench.features`, or samples → what `Readout` gives."""

    def __init__(self, trained: Trained) -> None:
        """SuiteError as in `hearing`."""
        super().__init__()
        self.hearing, self.model, self.readout = hearing(trained), trained.model, Readout(trained)
        self.names = self.readout.names

    def forward(self, heard: Tensor) -> tuple[Tensor, ...]:
        """(B, T, M), or samples (B, N) → as many tensors as `names`."""
        return self.readout(self.model(self.hearing(heard)))


class Chunk(nn.Module):
    """A chunk of features and the tensors of a state → what `Readout` gives of all so far, and the next."""

    def __init__(self, trained: Trained) -> None:
        """SuiteError where the model cannot stream, or as in `hearing`."""
        super().__init__()
        if isinstance(trained.model, Tuned):
            raise SuiteError("export: a speech encoder hears whole utterances; leave --streaming out")
        self.hearing, self.readout = hearing(trained), Readout(trained)
        self.stream = StreamingRecogniser(trained.model)
        self.names = self.readout.names
        self.nesting = pytree.tree_structure(self.stream.init_state(1))

    def forward(self, frames: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """(B, n, M), n a multiple of the stream's rate (any in the last chunk), and the state's tensors."""
        nested = pytree.tree_unflatten(list(state), self.nesting)
        outputs, after = self.stream(self.hearing(frames), nested)
        return (*self.readout(outputs), *pytree.tree_leaves(after))

    def first(self, batch: int) -> list[Tensor]:
        """The state's tensors before the first frame."""
        return pytree.tree_leaves(self.stream.init_state(batch))

    @torch.no_grad()
    def heard(self, frames: Tensor) -> list[Tensor]:
        """The state's tensors after so many features (B, n, M)."""
        return list(self(frames, *self.first(len(frames)))[len(self.names) :])

    def open_axes(self, frames: Tensor) -> tuple[dict[int, Any], ...]:
        """Axes of the state's tensors that depend on the batch, or on how much was heard: by trying them.

        `frames`: features (B, n, M) of two utterances or more, and of two chunks or more.
        """
        half = frames.shape[1] // (2 * self.stream.rate) * self.stream.rate
        pairs = zip(self.heard(frames[1:, :half]), self.heard(frames), strict=True)
        return tuple(
            {
                axis: OPEN
                for axis, (was, now) in enumerate(zip(old.shape, new.shape, strict=True))
                if was != now
            }
            for old, new in pairs
        )

    def state_tensors(self) -> tuple[StateTensor, ...]:
        """What a stream starts from, for the card; SuiteError where that is not one number throughout."""
        pairs = zip(self.first(1), self.first(2), strict=True)
        return tuple(_described(f"state_{i}", one, two) for i, (one, two) in enumerate(pairs))


def _described(name: str, one: Tensor, two: Tensor) -> StateTensor:
    """A tensor of the state before the first frame, of one utterance and of two."""
    fill = float(one.flatten()[0]) if one.numel() else 0.0
    if not bool((one == fill).all()):
        raise SuiteError("export: a mixer's first state is not one number all over; export it whole")
    batch = next(axis for axis in range(one.dim()) if one.shape[axis] != two.shape[axis])
    dtype = str(one.dtype).removeprefix("torch.")
    return StateTensor(name=name, shape=tuple(one.shape), batch_axis=batch, dtype=dtype, fill=fill)
