"""One tree of typed, frozen settings; what a run depends on, and nothing else.

A `Plan` (one preset, possibly overridden by flags) expands into `Cell`s: mixer layout × corpus ×
protocol × fold × seed, each holding its fully resolved settings. A cell's id is a hash of those
settings, so a finished cell is never run twice and an edited default never relabels an old result.

    plan = presets.build("open")
    [cell.id for cell in grid.cells(plan, folds_of)]
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Direction = Literal["causal", "bidirectional"]
PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Settings(BaseModel):
    """Base of every settings class: frozen, and no field that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def content_id(settings: BaseModel) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON of `settings`."""
    canonical = json.dumps(settings.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class Features(Settings):
    """Log-mel front end (Slaney mel scale and norm, as librosa's default)."""

    sample_rate_hz: PositiveInt = 16_000
    window_ms: float = 40.0
    hop_ms: float = 20.0  # 50 frames a second, as the pretrained speech encoders have
    num_mels: PositiveInt = 64
    min_hz: float = 20.0
    max_hz: float = 8_000.0
    floor: float = 1e-7  # mel power is clamped here before the logarithm: quieter is silence


class Augmentation(Settings):
    """Masking and stretching of the log-mel in training (SpecAugment, Park et al. 2019); 0 is off."""

    time_masks: int = 2
    time_mask_s: float = 0.3  # longest
    mel_masks: int = 2
    mel_mask_bins: int = 10  # widest
    mel_shift_bins: int = 3  # random shift along the mel axis: pitch and vocal tract length
    time_stretch: float = 0.2  # random rate in 1 ± this
    gain_db: float = 2.0  # random level in ± this: small, as loudness carries emotion


class Encoder(Settings):
    """The encoder that all mixers share; `match` is what is equal: parameters, or the published layers."""

    d_model: PositiveInt = 64
    num_layers: PositiveInt = 4
    num_heads: PositiveInt = 4
    front_channels: PositiveInt = 16  # of the first convolution over the log-mel; the second has twice
    subsampling: Literal[1, 2, 4] = 4  # frames of log-mel to one encoder frame
    position_kernel: PositiveInt = 15  # depthwise-convolution position encoding
    feedforward_ratio: float = 2.0  # hidden width of the softmax encoder's feed-forward over d_model
    dropout: Fraction = 0.1
    match: Literal["params", "stock"] = "params"


class Recipe(Settings):
    """How every student is trained; the same for all mixers of a comparison."""

    epochs: PositiveInt = 40
    batch_size: PositiveInt = 16
    peak_lr: float = 6e-3
    weight_decay: float = 0.05
    warmup_fraction: Fraction = 0.1
    clip_norm: float = 1.0
    label_smoothing: Fraction = 0.1
    class_weights: bool = True
    max_train_s: float = 6.0  # longer utterances are cropped at random in training
    augmentation: Augmentation = Augmentation()


class System(Settings):
    """What is compared: a layout of mixers ("softmax", "mamba2*3 softmax") and its direction."""

    layout: str
    direction: Direction = "bidirectional"


class Task(Settings):
    """What a cell is trained and scored on."""

    corpus: str
    protocol: str
    fold: Annotated[int, Field(ge=0)] = 0
    corpus_options: dict[str, int] = {}  # settings of a generated corpus (size, seed); empty for real ones


class Cell(Settings):
    """One trained model: everything that its result depends on."""

    task: Task
    seed: int
    system: System
    features: Features = Features()
    encoder: Encoder = Encoder()
    recipe: Recipe = Recipe()

    @property
    def id(self) -> str:
        """Hash of the resolved settings; the record's file name."""
        return content_id(self)


class Profiling(Settings):
    """What to time: forward passes at these lengths of speech, batch 1."""

    seconds: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0)
    directions: tuple[Direction, ...] = ("bidirectional",)
    targets: tuple[Literal["mixer", "encoder"], ...] = ("mixer", "encoder")
    threads: PositiveInt = 1
    time_limit_s: float = 2.0  # sampling of one cell stops here, converged or not
    relative_interval: float = 0.03  # of the median, at which sampling stops


OpName = Literal["scalar_gate", "channel_gate", "kda", "gsa", "fox"]


def _ascending(lengths: tuple[int, ...]) -> tuple[int, ...]:
    """Each length once, shortest first; ValueError where fewer than two differ."""
    ordered = tuple(sorted(set(lengths)))
    if len(ordered) < 2:
        raise ValueError("should hold at least two different lengths")
    return ordered


Lengths = Annotated[tuple[PositiveInt, ...], AfterValidator(_ascending)]  # frames


class OpShape(Settings):
    """What the op benchmark times: the recurrences alone, batch 1, float32."""

    ops: tuple[OpName, ...] = get_args(OpName)
    frames: PositiveInt = 4096  # at which an op meets its loop, fla's reference and its own backward pass
    crossover: Lengths = (128, 256, 512, 768, 1024, 2048, 3072, 4096, 8192)  # beside fused softmax
    growth: Lengths = (2048, 4096, 8192, 16_384, 32_768)  # O(T²) ops stop with the crossover lengths
    num_heads: PositiveInt = 4
    head_dim: PositiveInt = 64
    threads: PositiveInt = Field(default_factory=lambda: min(2, os.cpu_count() or 1))


class Plan(Settings):
    """A preset: which cells to train and what to profile."""

    name: str
    tasks: tuple[str, ...]  # CORPUS/PROTOCOL, as "ravdess/luna"
    folds: tuple[int, ...] = ()  # none named: all folds of each protocol
    seeds: tuple[int, ...] = (0,)
    layouts: tuple[str, ...] = ()  # none named: every mixer but the extra ones, and the Mamba hybrid
    directions: tuple[Direction, ...] = ("bidirectional",)
    synthetic: dict[str, int] = {}  # options of the synthetic corpus
    features: Features = Features()
    encoder: Encoder = Encoder()
    recipe: Recipe = Recipe()
    profiling: Profiling = Profiling()
