"""Records: the JSON on disk from which every table and figure is made (design §5).

    RunRecord       one trained cell            results/runs/<id>.json
    ProfileRecord   one timed shape             results/profiles/<id>.json
    SweepRecord     one sweep of profiles       results/sweeps/<id>.json
    OpRecord        one op benchmark            results/ops/<id>.json
    KernelRecord    fla's kernels on one GPU    results/kernels/<id>.json    (bench.evidence.kernels)
    CohortRecord    training steps on one GPU   results/cohorts/<id>.json    (bench.evidence.cohorts)
    ExportRecord    one exported file checked   results/exports/<id>.json
    predictions     per-utterance logits        results/predictions/<run or export id>.parquet

Predictions have the columns `split` ("dev", and "test" or "test1", "test2", …), `utterance`, `speaker`,
`gender`, `duration_s`, `label`; where emotions are trained one `logit_<emotion>` float column a class; where
attributes are trained `<attribute>` (the truth, NaN where unknown) and `predicted_<attribute>`, both on the
corpus's scale. Those of an export hold the file's outputs, and the checkpoint's in columns of the same names
after `reference_`. Reading and writing: `bench.evidence.store`.
This module and its neighbours import no torch.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bench.config import (
    AnyEncoder,
    AnyFeatures,
    Cell,
    DeviceKind,
    Engine,
    Later,
    OpBackend,
    OpName,
    OpShape,
    PositiveInt,
    Precision,
    ProfileTarget,
    Profiling,
    Settings,
    System,
    Task,
    Work,
    content_id,
)

SCHEMA_VERSION = 1
Count = Annotated[int, Field(ge=0, lt=2**63)]
Measured = Annotated[float, Field(ge=0)]  # seconds, ms, joules
Score = Annotated[float, Field(ge=-1, le=1)]  # CCC may be negative
Status = Literal["ok", "failed", "oom", "diverged"]
FINISHED = ("ok", "diverged", "oom")  # a failed cell is tried again


class Gpu(Settings):
    """A GPU as its driver describes it; None: not said."""

    name: str
    driver: str | None = None
    memory_bytes: int | None = None
    power_limit_w: float | None = None
    ecc: bool | None = None
    sm_clock_mhz: int | None = None  # the highest
    memory_clock_mhz: int | None = None  # the highest


class Environment(Settings):
    """Where a number was made. What the system does not say, or an older record did not ask, is empty."""

    device: str  # the processor's or GPU's model name: how hardware is named in tables
    device_kind: Literal["cpu", "cuda"]
    cores: int
    threads: int
    memory_bytes: int
    operating_system: str
    python: str
    packages: dict[str, str]  # name → version
    git_commit: str = ""
    git_dirty: bool = False
    processes: int = 1  # that shared the work
    cpu: str = ""  # the processor's model name, also where `device` is a GPU
    cpu_flags: tuple[str, ...] = ()  # vector and matrix instructions that decide a kernel's speed
    physical_cores: int | None = None
    usable_cores: int | None = None  # that this process may run on
    cpu_max_mhz: float | None = None
    cpu_governor: str = ""
    load_1min: float | None = None  # mean number of runnable processes in the minute before
    memory_limit_bytes: int | None = None  # set by a control group
    container: str = ""  # "docker", "podman", "kubernetes"
    gpu: Gpu | None = None


class Label(Settings):
    """How a system is shown: mixer names in the layout, its text, its paper."""

    text: str  # "RetNet", "Mamba-2 ×3 + softmax"
    mixers: tuple[str, ...]  # distinct mixer names, in layout order
    paper: str = ""


class Parameters(Settings):
    """Parameters of a model as it is shipped, low-rank updates merged."""

    total: Count
    mixers: Count
    feedforward_width: Count
    trained: Count | None = None  # numbers learned, low-rank updates included; None: all of the total


class Epoch(Settings):
    """One line of the learning curve; None: not trained, or not defined on dev."""

    epoch: Count
    train_loss: float
    dev_uar: Score | None = None
    dev_macro_f1: Score | None = None
    dev_ccc: Score | None = None  # mean over the attributes
    further_losses: dict[str, float] = Field(default_factory=dict)  # in training, unweighted, beyond those


class Cost(Settings):
    """What training took. A cohort's step time is attributed to its students one by one."""

    train_s: Measured  # seconds in this student's own forward, backward and optimiser
    cohort_wall_s: Measured  # wall time of the whole cohort, shared by all its students
    cohort: tuple[str, ...]  # layouts trained side by side
    epochs: Count
    waiting_share: float | None = None  # of training's time, for batches to be read
    feature_plan: str = ""  # of hidden states: "fly" or "cache"; "" where not known
    kernels: tuple[str, ...] = ()  # of fla, that recurrences could run on
    deterministic: bool = False  # torch was asked for deterministic algorithms
    nondeterministic: tuple[str, ...] = ()  # operations that have none


class RunRecord(Settings):
    """One trained cell.

    `metrics[split][name]`: uar, macro_f1, wa and recall_<emotion> as fractions where emotions are trained;
    ccc (the mean) and ccc_<attribute> where attributes are.
    """

    kind: Literal["run"] = "run"
    schema_version: Literal[1] = 1
    id: str
    preset: str
    config: Cell
    label: Label
    synthetic: bool
    corpus_title: str
    emotions: tuple[str, ...]  # told apart; none where attributes alone are trained
    attributes: tuple[str, ...] = ()  # predicted
    status: Status
    reason: str = ""  # why, where status is not "ok"
    utterances: dict[str, Count] = Field(default_factory=dict)  # per split
    skipped_files: tuple[str, ...] = ()
    best_epoch: Count | None = None
    metrics: dict[str, dict[str, Score]] = Field(default_factory=dict)
    curve: tuple[Epoch, ...] = ()
    parameters: Parameters | None = None
    cost: Cost | None = None
    environment: Environment


class Shape(Settings):
    """What is timed, and on what: all that identifies a profile."""

    target: ProfileTarget
    system: System
    seconds: float  # of an utterance (of a ragged batch's longest); in a stream, of speech heard before
    features: AnyFeatures
    encoder: AnyEncoder
    batch: PositiveInt | Literal["throughput"] = 1  # "throughput": found by measuring, see the record
    dtype: Precision = "float32"
    device: str  # Environment.device
    threads: int
    device_kind: Later[DeviceKind] = "cpu"
    work: Later[Work] = "forward"
    engine: Later[Engine] = "eager"
    utterances_s: Later[tuple[float, ...]] = ()  # a ragged batch's lengths
    drawn_from: Later[str] = ""  # what these are drawn from
    backend: Later[OpBackend] = "torch"  # of the recurrences

    @property
    def id(self) -> str:
        """Hash of the shape; the record's file name."""
        return content_id(self)


class ProfileRecord(Settings):
    """Latency and memory of one shape.

    `peak_bytes` is the peak above resident weights and inputs; `state_bytes` what a causal stream
    keeps (None where the mixer does not say), in a stream what it was seen to keep. `flops` are those of the
    whole batch, None where they are not known.
    """

    kind: Literal["profile"] = "profile"
    schema_version: Literal[1] = 1
    id: str
    shape: Shape
    label: Label
    status: Status
    reason: str = ""
    frames: Count
    samples_ms: tuple[Measured, ...] = ()
    median_ms: Measured | None = None
    median_low_ms: Measured | None = None  # 95 % interval of the median
    median_high_ms: Measured | None = None
    converged: bool = False
    peak_bytes: Count | None = None
    state_bytes: Count | None = None
    flops: Count | None = None
    parameters: Count | None = None
    environment: Environment
    batch: int | None = None  # utterances of one call; None in records of batch 1 before it was kept
    sweep: str = ""  # id of the SweepRecord that it came in; none before there were any
    p20_ms: Measured | None = None  # 20 % of the samples took less
    p80_ms: Measured | None = None
    p95_ms: Measured | None = None
    warm: bool | None = None  # whether the warm-up came to rest
    disturbed: tuple[bool, ...] = ()  # samples during which the machine was disturbed; empty: nobody watched
    disturbances: tuple[str, ...] = ()  # by what
    median_over: Literal["undisturbed", "all"] | None = None  # samples that the numbers above are taken over
    joules: Measured | None = None  # of one call; None where no counter can be read
    energy_source: str = ""
    reserved_bytes: Count | None = None  # by CUDA's allocator, at the peak
    graph_ms: Measured | None = None  # CUDA graph replay, median
    graph_failure: str = ""  # why there is none
    kernel_ms: Measured | None = None  # all kernels of a call added up
    launch_bound: float | None = None  # 1 − kernel / wall

    @property
    def trusted_ms(self) -> tuple[float, ...]:
        """The samples that the median is taken over."""
        if self.median_over != "undisturbed":
            return self.samples_ms
        pairs = zip(self.samples_ms, self.disturbed, strict=True)
        return tuple(sample for sample, disturbed in pairs if not disturbed)


class Ceilings(Settings):
    """The most that a machine was seen to do in a sweep."""

    flops_per_s: dict[Precision, float]  # of the fastest square matrix product
    copy_bytes_per_s: float  # read and written, far beyond the caches


class Control(Settings):
    """A/A control: one shape measured twice, as if it were two systems, so that their ratio should be 1.

    `error` is what the sweep states of such a ratio: the half widths of both medians' relative intervals
    together, or the interval that sampling aims at where this is wider.
    """

    shape: Shape
    label: Label
    status: Status
    reason: str = ""
    samples_ms: tuple[tuple[float, ...], ...] = ()  # of the first and the second time
    ratio: float | None = None  # the second median over the first
    error: float | None = None

    @property
    def within(self) -> bool:
        """Whether the ratio is 1 within the stated error."""
        return self.ratio is not None and self.error is not None and abs(self.ratio - 1) <= self.error


class SweepSetting(Settings):
    """What one sweep was asked to do, on which machine and when: all that identifies it."""

    profiling: Profiling
    features: AnyFeatures
    encoder: AnyEncoder
    layouts: tuple[str, ...]
    device: str  # Environment.device
    started: str  # UTC, ISO 8601

    @property
    def id(self) -> str:
        """Hash of the setting; the record's file name."""
        return content_id(self)


class SweepRecord(Settings):
    """One sweep: the machine's ceilings and the A/A control, which its profiles are read beside.

    Either is None where the sweep ended before it; what could not be measured has its reason in `notes`.
    """

    kind: Literal["sweep"] = "sweep"
    schema_version: Literal[1] = 1
    id: str
    setting: SweepSetting
    ceilings: Ceilings | None = None
    control: Control | None = None
    notes: tuple[str, ...] = ()
    environment: Environment


OpRun = Literal["op", "loop", "loop_in_place", "reference", "softmax", "training"]
Comparison = Literal["loop", "loop_in_place", "reference", "softmax", "training", "growth"]


class OpSetting(OpShape):
    """An op benchmark and the machine it ran on: all that identifies it."""

    device: str  # Environment.device

    @property
    def id(self) -> str:
        """Hash of the setting; the record's file name."""
        return content_id(self)


class OpTiming(Settings):
    """One call, timed in turns with the others of its comparison.

    `run`: the chunkwise torch op ("op"); the same frame by frame ("loop"), or with its state overwritten
    ("loop_in_place"); fla's naive reference; fused bidirectional softmax attention; the op forward and
    backward ("training").
    """

    run: OpRun
    frames: int
    samples_ms: tuple[float, ...]
    median_ms: float = Field(gt=0)


class OpComparison(Settings):
    """The calls of one question: an op beside something else, or (growth) beside itself at other lengths."""

    op: OpName
    against: Comparison
    frames: int  # the longest
    status: Status
    reason: str = ""
    timings: tuple[OpTiming, ...] = ()
    converged: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.status == "ok" and len(self.timings) < 2:
            raise ValueError(f"an ok comparison holds at least two timings, this one {len(self.timings)}")
        return self


class OpMemory(Settings):
    """Peak memory of one forward pass above its inputs and output; None where the system cannot say."""

    op: OpName
    frames: int
    status: Status
    reason: str = ""
    peak_bytes: int | None = None


class OpRecord(Settings):
    """One op benchmark: every comparison with its raw samples; ratios are taken by those who read it."""

    kind: Literal["ops"] = "ops"
    schema_version: Literal[1] = 1
    id: str
    setting: OpSetting
    comparisons: tuple[OpComparison, ...]
    memory: tuple[OpMemory, ...]
    environment: Environment


Weights = Literal["float32", "float16", "int8-dynamic", "int8-static"]


class ExportSetting(Settings):
    """Which file was checked on what, and where: all that identifies a check."""

    cell: Cell  # of the checkpoint
    checkpoint: str  # first 16 hex digits of its SHA-256
    weights: Weights
    streaming: bool
    calibrated_on: str  # the task and split whose activations gave static int8 its ranges; "" for the others
    checked_on: Task
    device: str  # Environment.device
    threads: int

    @property
    def id(self) -> str:
        """Hash of the setting; the record's file name."""
        return content_id(self)


class Race(Settings):
    """The exported file and the torch module on the same frames, timed in turns; milliseconds.

    Whole utterances of `seconds`; in a stream one second after `heard_s` of speech (None: no stream).
    """

    seconds: float
    heard_s: float | None = None
    exported_samples_ms: tuple[float, ...]
    torch_samples_ms: tuple[float, ...]
    exported_ms: float = Field(gt=0)  # median
    torch_ms: float = Field(gt=0)
    converged: bool

    @property
    def ratio(self) -> float:
        """The exported file's time over torch's."""
        return self.exported_ms / self.torch_ms


class ExportRecord(Settings):
    """An exported file held against its checkpoint, on the same clips and in one process.

    `metrics["exported"]` and `metrics["torch"]` hold what a run's do of one split; `largest_gap` is the
    largest difference of a logit (or attribute, on the corpus's scale), `changed` the share of clips whose
    emotion is another one.
    """

    kind: Literal["export"] = "export"
    schema_version: Literal[1] = 1
    id: str
    setting: ExportSetting
    label: Label
    synthetic: bool
    corpus_title: str
    emotions: tuple[str, ...]
    attributes: tuple[str, ...]
    utterances: int
    metrics: dict[Literal["exported", "torch"], dict[str, float]]
    largest_gap: float
    changed: float | None = None  # None where no emotions are told apart
    file_bytes: int
    weights_bytes: int  # of the checkpoint's parameters in float32
    race: Race
    environment: Environment
