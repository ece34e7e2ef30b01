"""An exported recogniser, run by ONNX Runtime and numpy: neither torch nor a checkpoint is needed.

exported = Exported.load(Path("model.onnx"))
exported.recognise(waveform)                    # emotion → probability, attribute → value
exported.hear(waveform)                         # features (T, M), or the samples (N,) themselves
exported.outputs(heard)                         # a batch of these → {"logits": (B, C), "probabilities": …}

stream = Stream(exported)                       # of a file exported with --streaming
for frames in microphone:                       # (n, M): any number of frames at a time
    said = stream.push(frames)                  # outputs so far; None before the first full chunk
said = stream.end()
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.config import Cell
from bench.errors import SuiteError
from bench.export.card import Card, StateTensor, parse
from bench.features.audio import AudioError
from bench.features.spectra import frames_of

Outputs = dict[str, NDArray[np.float32]]
State = list[NDArray[Any]]


def session(path: Path, threads: int = 1) -> Any:
    """An ONNX Runtime session on the CPU; SuiteError where that is not installed or the file is no graph."""
    try:
        import onnxruntime
    except ImportError as error:
        raise SuiteError("running an exported file needs onnxruntime; pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if not path.is_file():
            raise SuiteError(
                f"no exported file {path}; write one with `serbench export CHECKPOINT`"
            ) from error
        reason = str(error).strip().splitlines()[0]
        raise SuiteError(f"{path}: ONNX Runtime cannot read it ({reason}); export it anew") from error


@dataclass(frozen=True)
class Exported:
    """A recogniser in a file; for prediction it has what `bench.training.checkpoint.Trained` has."""

    session: Any
    card: Card

    @classmethod
    def load(cls, path: Path, threads: int = 1) -> Exported:
        """SuiteError where the file cannot be run, or is not one of `serbench export`."""
        opened = session(path, threads)
        return cls(opened, parse(opened.get_modelmeta().custom_metadata_map, path))

    @property
    def cell(self) -> Cell:
        """The settings that it was trained with."""
        return self.card.cell

    @property
    def emotions(self) -> tuple[str, ...]:
        """Classes; none where attributes alone are trained."""
        return self.card.emotions

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes that are predicted."""
        return self.card.attributes

    @property
    def reads_text(self) -> bool:
        """Whether transcripts have a say: never, as what reads text is not exported."""
        return False

    def recognise(self, waveform: NDArray[np.float32], transcript: str = "") -> dict[str, float]:
        """Probability of every emotion, then every attribute on its corpus's scale, of one utterance.

        `waveform` is mono float32 at `cell.features.sample_rate_hz`; `transcript` has no say. AudioError as
        in `hear`.
        """
        outputs = self.outputs(self.hear(waveform)[None])
        found: dict[str, float] = {}
        for names, key in ((self.emotions, "probabilities"), (self.attributes, "attributes")):
            found |= dict(zip(names, outputs[key][0].tolist(), strict=True)) if names else {}
        return found

    @property
    def given(self) -> str:
        """The name of the graph's first input: "frames" of features, or "samples"."""
        return "frames" if self.card.clip is None else "samples"

    def hear(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the graph is given of one utterance: features (T, M), or the samples (N,) themselves.

        AudioError where it hears samples, and these are too few or too many.
        """
        if self.card.clip is None:
            return frames_of(self.cell.features, waveform)
        if reason := self.unfit(len(waveform)):
            raise AudioError(reason)
        return waveform

    def unfit(self, length: int) -> str:
        """Why the graph cannot hear so many samples, or frames; "" where it can."""
        clip, rate = self.card.clip, self.cell.features.sample_rate_hz
        if clip is None or clip.shortest <= length <= clip.longest:
            return ""
        return (
            f"{length / rate:.3g} s long, and this model hears {clip.shortest / rate:g} to "
            f"{clip.longest / rate:.3g} s at once"
        )

    def outputs(self, heard: NDArray[np.float32]) -> Outputs:
        """The graph's outputs by name, of what `hear` gives of B utterances, B = 1 for a streaming file."""
        if self.card.stream is not None:
            return self._streamed(heard)
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, {self.given: heard}), strict=True))

    def _streamed(self, frames: NDArray[np.float32]) -> Outputs:
        if len(frames) != 1:
            raise SuiteError(f"a streaming file hears one utterance at a time, not {len(frames)}")
        stream = Stream(self)
        for chunk in self.seconds(frames[0]):
            stream.push(chunk)
        return stream.end()

    def seconds(self, frames: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Features (T, M) a second at a time, or what of it is a whole number of chunks."""
        rate = self.card.stream.rate if self.card.stream else 1
        step = max(1, round(1000 / self.cell.features.hop_ms) // rate) * rate
        return (frames[start : start + step] for start in range(0, len(frames), step))


class Stream:
    """One stream of features through a streaming file; what fills no chunk waits for the next frames."""

    def __init__(self, exported: Exported) -> None:
        """SuiteError where the file was not exported for streams."""
        if exported.card.stream is None:
            raise SuiteError(
                "this file hears whole utterances; export it with --streaming to feed it in chunks"
            )
        self.exported, self.card = exported, exported.card.stream
        self.state: State = [_first(each) for each in self.card.state]
        self.said: Outputs | None = None
        self.waiting = np.empty((0, exported.cell.features.width), np.float32)

    def push(self, frames: NDArray[np.float32]) -> Outputs | None:
        """Hear features (n, M) → the outputs so far, by name; None while no chunk is full."""
        self.waiting = np.concatenate([self.waiting, frames])
        full = len(self.waiting) // self.card.rate * self.card.rate
        if full:
            self._hear(self.waiting[:full])
            self.waiting = self.waiting[full:]
        return self.said

    def end(self) -> Outputs:
        """The outputs of all that was heard, what waits included; nothing is to be pushed after it.

        SuiteError where nothing was heard.
        """
        if len(self.waiting):
            self._hear(self.waiting)
            self.waiting = self.waiting[:0]
        if self.said is None:
            raise SuiteError("a stream ended before its first frame")
        return self.said

    def call(self, frames: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """The graph's inputs for a chunk (n, M) heard next, by name."""
        named = zip(self.card.state, self.state, strict=True)
        return {"frames": frames[None]} | {tensor.name: value for tensor, value in named}

    def _hear(self, frames: NDArray[np.float32]) -> None:
        names = [output.name for output in self.exported.session.get_outputs()]
        results = self.exported.session.run(names, self.call(frames))
        said = len(names) - len(self.state)
        self.said = dict(zip(names[:said], results[:said], strict=True))
        self.state = results[said:]


def _first(tensor: StateTensor) -> NDArray[Any]:
    """A state's tensor before the first frame."""
    return np.full(tensor.shape, tensor.fill, tensor.dtype)
