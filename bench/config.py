"""One tree of typed, frozen settings; what a run depends on, and nothing else.

A `Plan` (one preset, possibly overridden by flags) expands into `Cell`s: mixer layout × corpus ×
protocol × fold × seed, each holding its fully resolved settings. A cell's id is a hash of those
settings, so a finished cell is never run twice and an edited default never relabels an old result.

    plan = presets.build("open")
    [cell.id for cell in grid.cells(plan, folds_of)]

A field that came after the first records is marked `Later`: its default is what those records did, for
good, and at its default it is left out of the id, so that their ids stay theirs.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bench.features.kinds import MadeKind, MadeSize

Direction = Literal["causal", "bidirectional"]
PositiveInt = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

LATER = object()  # marks a field as younger than the first records
Kind = TypeVar("Kind")
Later = Annotated[Kind, LATER]


class Settings(BaseModel):
    """Base of every settings class: frozen, no field that it does not know, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def content_id(settings: BaseModel) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON of `settings`."""
    canonical = json.dumps(_identity(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _identity(settings: BaseModel) -> dict[str, Any]:
    """The settings as JSON values, less `Later` fields that say what earlier records did."""
    values = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if LATER in field.metadata and value == field.default:
            del values[name]
        elif isinstance(value, BaseModel):
            values[name] = _identity(value)
    return values


class Features(Settings):
    """Log-mel (Slaney mel scale and norm, as librosa's default)."""

    sample_rate_hz: PositiveInt = 16_000
    window_ms: float = 40.0
    hop_ms: float = 20.0  # 50 frames a second, as the pretrained speech encoders have
    num_mels: PositiveInt = 64
    min_hz: float = 20.0
    max_hz: float = 8_000.0
    floor: float = 1e-7  # mel power is clamped here before the logarithm: quieter is silence

    @property
    def width(self) -> int:
        """Numbers a frame."""
        return self.num_mels


class Cepstra(Settings):
    """MFCCs and chroma, one row of both a frame: what ResLSTM-SA hears (arXiv 2606.03359)."""

    kind: Literal["cepstra"] = "cepstra"
    sample_rate_hz: PositiveInt = 16_000
    window_ms: float = 256 / 3  # 4,096 samples at 48 kHz
    hop_ms: float = 128 / 3
    num_mfcc: PositiveInt = 34
    num_chroma: PositiveInt = 12
    num_mels: PositiveInt = 128

    @property
    def width(self) -> int:
        """Numbers a frame."""
        return self.num_mfcc + self.num_chroma


class Extractor(Settings):
    """A frozen pretrained encoder. All but its name is read off its files when a run is planned."""

    name: str  # a folder of the models folder, or a name on the Hugging Face hub; "" where none is wanted
    digest: str = ""  # first 16 hex digits of the SHA-256 of its configuration and weights
    width: int = 0  # of a hidden state
    num_layers: int = 0  # transformer layers: it has one hidden state more


class Pretrained(Settings):
    """Hidden states of a speech encoder and, where `text` is given, of a frozen text encoder.

    `layers`: a learned weighted sum of the outputs of all transformer layers, its weights starting equal
    ("free": as they are, "softmax": through a softmax), or one layer alone ("last", or its number from 1).
    `tuned`: what of the speech encoder is trained with each student, all but its convolutions
    ("transformer", as wav2vec 2.0 is fine-tuned) or everything, unless `Recipe.lora` adapts it instead.
    """

    kind: Literal["pretrained"] = "pretrained"
    speech: Extractor
    layers: Literal["free", "softmax", "last"] | PositiveInt = "free"
    text: Extractor | None = None  # last hidden state, one row a token
    sample_rate_hz: Literal[16_000] = 16_000
    tuned: Later[Literal["nothing", "transformer", "all"]] = "nothing"

    @property
    def hop_ms(self) -> float:
        """Every speech encoder here gives 50 frames a second."""
        return 20.0

    @property
    def width(self) -> int:
        """Numbers a frame of speech, once the layers are one."""
        return self.speech.width

    @property
    def num_states(self) -> int:
        """Hidden states a frame that reach a model: those that are summed, or one."""
        return self.speech.num_layers if self.layers in ("free", "softmax") else 1


AnyFeatures = Features | Cepstra | Pretrained


class Augmentation(Settings):
    """Masking and stretching of log-mels or cepstra in training (SpecAugment, Park et al. 2019); 0 is off.

    What names mels or the gain acts on log-mels alone.
    """

    time_masks: int = 2
    time_mask_s: float = 0.3  # longest
    mel_masks: int = 2
    mel_mask_bins: int = 10  # widest
    mel_shift_bins: int = 3  # random shift along the mel axis: pitch and vocal tract length
    time_stretch: float = 0.2  # random rate in 1 ± this
    gain_db: float = 2.0  # random level in ± this: small, as loudness carries emotion
    speed: Later[Fraction] = 0.0  # played faster or slower, its logarithm random in ± this (Ko et al. 2015)


class WaveformAugmentation(Settings):
    """Effects on the samples of a training clip, in this order; each with its probability, 0 is off.

    What each does, and from which range it is drawn: `bench.training.waveform`.
    """

    speed: Probability = 0.0
    speed_change: Fraction = 0.1  # rate in 1 ± this, tempo and pitch together
    pitch: Probability = 0.0
    pitch_semitones: Positive = 2.0  # in ± this, at the same tempo
    reverberation: Probability = 0.0
    reverberation_s: Annotated[float, Field(ge=0.1)] = 0.6  # longest time to fall by 60 dB, from 0.1
    noise: Probability = 0.0
    noise_snr_db: tuple[float, float] = (5.0, 30.0)  # lowest and highest
    gain: Probability = 0.0
    gain_db: Positive = 6.0  # in ± this
    time_mask: Probability = 0.0
    time_mask_s: Positive = 0.3  # longest
    band_mask: Probability = 0.0
    band_mask_octaves: Positive = 1.0  # widest

    @property
    def chosen(self) -> tuple[str, ...]:
        """The effects that a clip may have, in order."""
        effects = ("speed", "pitch", "reverberation", "noise", "gain", "time_mask", "band_mask")
        return tuple(name for name in effects if getattr(self, name))


SizeName = Literal["50k", "500k", "5M"]
SIZES: dict[SizeName, tuple[int, int]] = {  # parameters on log-mels, within 5 %: width and layers
    "50k": (32, 3),
    "500k": (112, 4),
    "5M": (384, 4),
}


class Encoder(Settings):
    """The encoder that all mixers share; `match` is what is equal: parameters, or the published layers."""

    d_model: PositiveInt = 64
    num_layers: PositiveInt = 4
    num_heads: PositiveInt = 4
    front_channels: PositiveInt = 16  # of the first convolution over the log-mel; the second has twice
    subsampling: Literal[1, 2, 4] = 4  # frames to one of the encoder: convolved log-mels, mean hidden states
    position_kernel: PositiveInt = 15  # depthwise-convolution position encoding
    feedforward_ratio: float = 2.0  # hidden width of the softmax encoder's feed-forward over d_model
    dropout: Fraction = 0.1
    match: Literal["params", "stock"] = "params"

    @property
    def summary(self) -> str:
        """What a table's heading says of it."""
        matched = "matched in parameters" if self.match == "params" else "each at its published size"
        return f"{self.num_layers} layers of width {self.d_model}, {matched}"

    @property
    def size(self) -> SizeName | Literal[""]:
        """What a size of this width and depth is called; "" where it is none of `SIZES`."""
        return next((name for name, of in SIZES.items() if of == (self.d_model, self.num_layers)), "")

    def sized(self, name: SizeName) -> Encoder:
        """The same in another size."""
        width, layers = SIZES[name]
        return self.model_copy(update={"d_model": width, "num_layers": layers})


class Bare(Settings):
    """The model of arXiv 2603.15120: one mixer layer, no residual, norm or feed-forward, and a deep head.

    Every mixer has the size that the study gave it. `masked=False` as released: neither mixer nor pooling
    knows which frames are padding.
    """

    kind: Literal["bare"] = "bare"
    d_model: PositiveInt = 1024
    dropout: Fraction = 0.4  # of the frames that enter the mixer
    head_width: PositiveInt = 512
    head_layers: Annotated[int, Field(ge=0)] = 4  # after the first
    head_dropout: Fraction = 0.1
    masked: bool = False

    @property
    def num_heads(self) -> int:
        """Heads that every mixer of the study was asked for."""
        return 4

    @property
    def match(self) -> Literal["stock"]:
        """What is equal between two systems: see `Encoder`."""
        return "stock"

    @property
    def subsampling(self) -> int:
        """Frames to one encoder frame."""
        return 1

    @property
    def summary(self) -> str:
        """What a table's heading says of it."""
        return f"one bare layer of width {self.d_model}, each at its published size"


class Recurrent(Settings):
    """The whole-model baselines ResLSTM-SA and LSTM-SA (arXiv 2606.03359), which hold no mixer.

    Layouts: "reslstm_sa" and "lstm_sa".
    """

    kind: Literal["recurrent"] = "recurrent"
    hidden: PositiveInt = 64
    dropout: Fraction = 0.3

    @property
    def subsampling(self) -> int:
        """Frames to one encoder frame."""
        return 1

    @property
    def summary(self) -> str:
        """What a table's heading says of it."""
        return f"LSTMs of width {self.hidden}"


class Pooled(Settings):
    """Hidden states of a speech encoder, pooled over real frames, and a linear head: no mixer.

    Layout: "pooled". With DistilHuBERT it is the system of arXiv 2512.23435.
    """

    kind: Literal["pooled"] = "pooled"
    pooling: Literal["attentive", "mean"] = "attentive"
    dropout: Fraction = 0.1

    @property
    def subsampling(self) -> int:
        """Frames to one encoder frame."""
        return 1

    @property
    def summary(self) -> str:
        """What a table's heading says of it."""
        return f"hidden states, {self.pooling} pooling"


AnyEncoder = Encoder | Bare | Recurrent | Pooled


class Focal(Settings):
    """The focal loss of emotions; `gamma` 0 is the cross-entropy. See `bench.training.focal`."""

    gamma: Annotated[float, Field(ge=0)] = 0.0
    adaptive: bool = False  # each class's gamma follows its recall, up to this one


class Lora(Settings):
    """Low-rank adaptation of what was trained before; `rank` 0 is none. See `bench.model.lora`."""

    rank: Annotated[int, Field(ge=0)] = 0
    alpha: Positive = 16.0  # what is added to a weight is scaled by this over the rank


Weight = Annotated[float, Field(ge=0)]
SamplerName = Literal["uniform", "class_balanced", "curriculum", "diverse", "curriculum_diverse"]


class Stage(Settings):
    """A stretch of a curriculum: its share of the epochs, and what it multiplies each task's weight by."""

    share: Annotated[float, Field(gt=0, le=1)]
    emotion: Weight = 1.0
    attributes: Weight = 1.0
    gender: Weight = 1.0
    transcript: Weight = 1.0


def _whole(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """The stages; ValueError where their shares are not 1 together."""
    if not math.isclose(sum(stage.share for stage in stages), 1, abs_tol=1e-6):
        raise ValueError("should have shares that add up to 1")
    return stages


Stages = Annotated[tuple[Stage, ...], AfterValidator(_whole)]


class Recipe(Settings):
    """How every student is trained; the same for all mixers of a comparison.

    What the samplers do: `bench.training.samplers`. Tasks beside emotion: `bench.training.tasks`.
    """

    epochs: PositiveInt = 40
    batch_size: PositiveInt = 16
    peak_lr: float = 6e-3
    weight_decay: float = 0.05
    warmup_fraction: Fraction = 0.1
    clip_norm: float = 1.0  # of the gradient; 0: it is not clipped
    label_smoothing: Fraction = 0.1
    class_weights: bool = True
    max_train_s: float = 6.0  # longer utterances are cropped at random in training
    augmentation: Augmentation = Augmentation()
    optimiser: Later[Literal["adamw", "adam"]] = "adamw"
    beta2: Later[Fraction] = 0.98
    decayed: Later[Literal["matrices", "all"]] = "matrices"
    schedule: Later[Literal["cosine", "plateau", "restarts"]] = "cosine"
    select_by: Later[Literal["uar", "macro_f1", "ccc"]] = "uar"  # on the dev split
    emotion_weight: Later[Annotated[float, Field(ge=0)]] = 1.0  # of the cross-entropy in the loss
    attribute_weight: Later[Annotated[float, Field(ge=0)]] = 0.0  # of mean 1 − CCC of the attributes
    precision: Later[Literal["float32", "bfloat16"]] = "float32"  # autocast of forward and backward
    accumulate: Later[PositiveInt] = 1  # batches to one step of the optimiser
    bucketed: Later[bool] = True  # batches of like length, which waste less padding; or drawn at random
    averaging: Later[Fraction] = 0.0  # decay an epoch of the mean of weights that dev scores; 0: no mean
    sampler: Later[SamplerName] = "uniform"  # which utterances make a batch, and which tasks come when
    stages: Later[Stages] = (  # of a curriculum: what is said and by whom, the dimensions, the categories
        Stage(share=0.2, emotion=0.2, attributes=0.2),
        Stage(share=0.2, emotion=0.5, transcript=0.5),
        Stage(share=0.6, gender=0.5, transcript=0.2),
    )
    guide: Later[str] = "softmax"  # the layout in whose embeddings diverse batches are spread
    gender_weight: Later[Weight] = 0.0  # of the cross-entropy of the speaker's gender
    transcript_weight: Later[Weight] = 0.0  # of CTC on the characters of what is said
    teacher: Later[tuple[str, ...]] = ()  # checkpoints (one a fold), by path; in a record by digest
    temperature: Later[Annotated[float, Field(gt=0)]] = 2.0  # of the teacher's and the students' logits
    logit_weight: Later[Weight] = 1.0  # of the divergence from a teacher's probabilities
    feature_weight: Later[Weight] = 1.0  # of the squared distance to a teacher's pooled vector
    waveform: Later[WaveformAugmentation] = WaveformAugmentation()
    focal: Later[Focal] = Focal()
    lora: Later[Lora] = Lora()
    start: Later[str] = ""  # id of the run whose weights training starts from; "": random ones

    def settled(self) -> Recipe:
        """The same, with what its sampler does not use as it is by default: one training has one id."""
        unused = [
            name
            for name, word in (("stages", "curriculum"), ("guide", "diverse"))
            if word not in self.sampler
        ]
        return self.model_copy(update={name: type(self).model_fields[name].default for name in unused})

    @property
    def summary(self) -> str:
        """What a table's heading says of it."""
        tasks = {"gender": self.gender_weight, "transcript": self.transcript_weight}
        beside = " and ".join(name for name, weight in tasks.items() if weight)
        teachers = ", ".join(digest[:8] for digest in self.teacher)
        parts = [
            "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs",
            "" if self.sampler == "uniform" else f"{self.sampler.replace('_', '-')} sampling",
            f"learns {beside} beside" if beside else "",
            f"taught by {teachers}" if teachers else "",
            ("adaptive " if self.focal.adaptive else "") + "focal loss" if self.focal.gamma else "",
            f"starts from {self.start[:8]}" if self.start else "",
            f"adapted at rank {self.lora.rank}" if self.lora.rank else "",
        ]
        return "; ".join(filter(None, parts))


class System(Settings):
    """What is compared: a layout of mixers ("softmax", "mamba2*3 softmax") and its direction."""

    layout: str
    direction: Direction = "bidirectional"


class Task(Settings):
    """What a cell is trained and scored on."""

    corpus: str  # or several as one (bench.corpora.combination)
    protocol: str
    fold: Annotated[int, Field(ge=0)] = 0
    corpus_options: dict[str, int] = {}  # those that the corpus takes: size and seed of a generated one


class Cell(Settings):
    """One trained model: everything that its result depends on."""

    task: Task
    seed: int
    system: System
    features: AnyFeatures = Features()
    encoder: AnyEncoder = Encoder()
    recipe: Recipe = Recipe()

    @property
    def id(self) -> str:
        """Hash of the resolved settings; the record's file name."""
        return content_id(self)


# one layer; the same layer of fla; features to logits; waveform to logits
ProfileTarget = Literal["mixer", "fla_layer", "encoder", "model"]
Work = Literal["forward", "training", "frame", "second"]  # training: forward and backward; the rest: streams
Precision = Literal["float32", "tf32", "bfloat16", "float16"]
Engine = Literal["eager", "compile", "graph", "onnx", "onnx-int8"]  # graph: CUDA graph; onnx: ONNX Runtime
DeviceKind = Literal["cpu", "cuda"]
OpBackend = Literal["torch", "fla"]  # what the recurrences run on
STREAMS: tuple[Work, ...] = ("frame", "second")


class Profiling(Settings):
    """What to time, and for how long.

    Targets × directions × lengths, each in the first way named of working, batching, computing and running;
    then every other way named, one at a time, the rest staying at their first. With backend "fla", fla's
    kernels run where a system has any, and only where they were found right on this GPU. A batch is a number
    of utterances, "throughput" (the largest of 1, 2, 4, … that fits and does not slow the throughput) or
    "ragged" (utterances of the lengths `utterances_s`). Streams are of causal mixers, one frame or one second
    after `heard_s` of speech.
    """

    seconds: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0)
    directions: tuple[Direction, ...] = ("bidirectional",)
    targets: tuple[ProfileTarget, ...] = ("mixer", "encoder")
    works: tuple[Work, ...] = ("forward",)
    batches: tuple[PositiveInt | Literal["throughput", "ragged"], ...] = (1,)
    dtypes: tuple[Precision, ...] = ("float32",)
    engines: tuple[Engine, ...] = ("eager",)
    backends: Later[tuple[OpBackend, ...]] = ("torch",)
    device: DeviceKind = "cpu"
    heard_s: tuple[float, ...] = (60.0, 600.0, 3600.0)
    utterances_s: tuple[float, ...] = ()  # none: drawn from the log-normal of `bench.measuring.utterances`
    drawn_from: str = ""  # the corpus that they are of
    threads: PositiveInt = 1
    time_limit_s: float = 2.0  # sampling of one cell stops here, converged or not
    relative_interval: float = 0.03  # of the median, at which sampling stops
    cell_limit_s: float = Field(default=300.0, gt=0)  # a cell that takes longer is ended
    minutes: float | None = Field(default=None, gt=0)  # no new cell after so many; run again to go on


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
    threads: int = Field(ge=1, default_factory=lambda: min(2, os.cpu_count() or 1))


class KernelScope(Settings):
    """Which comparisons `serbench profile kernels` makes: fla's kernels, and the mixers that run them.

    On a CPU, where no kernel runs, the torch ops are compared with frame loops in float64 instead.
    """

    lengths: tuple[PositiveInt, ...] = (1, 2, 15, 16, 17, 63, 64, 65, 100, 257, 1000, 4096, 20_000)  # frames
    head_sizes: tuple[tuple[PositiveInt, PositiveInt], ...] = (  # of keys and values
        (64, 64),  # at every length, the others at 100 frames
        (13, 13),
        (43, 64),
        (85, 128),
        (128, 128),
    )
    mixers: tuple[str, ...] = ()  # none named: every one
    mixer_lengths: tuple[PositiveInt, ...] = (1, 64, 300, 4096, 20_000)
    widths: tuple[PositiveInt, ...] = (128, 256)  # the first at every length, all of them padded
    stock_width: PositiveInt = 1024  # of mixers of published size
    dtypes: tuple[Precision, ...] = ("float32", "bfloat16")
    device: DeviceKind = "cuda"


class CohortShape(Settings):
    """Which training steps are timed: all standard layouts side by side, and each alone.

    Batches have the shape of MSP-Podcast's in the preset `controlled`; a frozen speech encoder with random
    weights runs on the fly.
    """

    encoder_kind: MadeKind = "wavlm"
    encoder_size: MadeSize = "large"
    batch_size: PositiveInt = 32
    seconds: float = Field(default=5.5, gt=0)  # of every utterance
    steps: PositiveInt = 24  # an epoch
    epochs: Annotated[int, Field(ge=2)] = 4  # the first warms up and is not counted
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    layouts: tuple[str, ...] = ()  # none named: every mixer but the extra ones, and the Mamba hybrid
    device: DeviceKind = "cuda"


class Plan(Settings):
    """A preset: which cells to train and what to profile."""

    name: str
    tasks: tuple[str, ...]  # CORPUS/PROTOCOL, as "ravdess/luna"
    folds: tuple[int, ...] = ()  # none named: all folds of each protocol
    seeds: tuple[int, ...] = (0,)
    samplers: tuple[SamplerName, ...] = ()  # compared, each a recipe; none named: that of the recipe
    layouts: tuple[str, ...] = ()  # none named: every mixer but the extra ones, and the Mamba hybrid
    directions: tuple[Direction | Literal["published"], ...] = ("bidirectional",)  # as the study: see `grid`
    corpus_options: dict[str, int] = {}  # each goes to the corpora that take it (size, seed, classes)
    features: AnyFeatures = Features()
    encoder: AnyEncoder = Encoder()
    sizes: tuple[SizeName, ...] = ()  # of the encoder, compared; none named: its own width and depth
    recipe: Recipe = Recipe()
    profiling: Profiling = Profiling()
