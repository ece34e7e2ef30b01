"""What each command takes on its line: typed settings, from which tyro makes the flags and their help.

flags = parse(RunFlags, "serbench run demo", ["--seeds", "0", "1"], RunFlags(plan=presets.build("demo")))
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro
from pydantic import Field, ValidationError

from bench.cluster.settings import Slurm
from bench.config import (
    AnyEncoder,
    AnyFeatures,
    Direction,
    Encoder,
    Features,
    KernelScope,
    OpShape,
    Plan,
    PositiveInt,
    Profiling,
    Recipe,
    Settings,
)
from bench.errors import SuiteError
from bench.evidence.records import Weights
from bench.features.kinds import MadeKind, MadeSize
from bench.folders import FeaturePlan, Folders, cache_folder, data_folder, models_folder

BARE = tyro.conf.arg(name="")  # this group's flags stand without a prefix
CHOSEN = (
    tyro.conf.AvoidSubcommands,
)  # of several kinds of features or encoder, the default's gives the flags


class Places(Settings):
    """Where things are read and written."""

    results: Path = Path("results")  # records, leaderboard and figures
    data_root: Path | None = None  # folder that holds the corpora; else SER_DATA_ROOT
    cache: Path | None = None  # cached features; else SER_CACHE, else ~/.cache/serbench
    skip_bad: bool = False  # go on without recordings that cannot be read (recorded in every result)
    models: Path | None = None  # folder that holds pretrained encoders; else SER_MODELS
    feature_plan: FeaturePlan = "auto"  # hidden states: cached once, on the fly, or chosen by size

    def folders(self) -> Folders:
        """The same, with the cache resolved."""
        cache = self.cache or cache_folder()
        return Folders(self.results, cache, self.data_root, self.skip_bad, self.models, self.feature_plan)


class RunFlags(Settings):
    """Train every cell of a preset that has no record yet, profile, and write the report."""

    plan: Annotated[Plan, BARE]
    places: Annotated[Places, BARE] = Places()
    workers: int | None = Field(
        default=None, ge=1
    )  # cohorts at once; else one a core, of frozen encoders one
    profile: bool = True  # measure latency and memory after training
    deterministic: bool = False  # torch's deterministic algorithms, where it has any (slower on a GPU)
    launcher: Literal["local", "slurm"] = "local"  # processes on this machine, or jobs of a cluster
    slurm: Slurm = Slurm()

    def folders(self) -> Folders:
        """Where the run reads and writes, and how."""
        return replace(self.places.folders(), deterministic=self.deterministic)


class StatusFlags(Settings):
    """How far the latest run of a preset is: its cells done, running, failed with reason, waiting."""

    preset: tyro.conf.Positional[str]
    results: Path = Path("results")

    def folders(self) -> Folders:
        """The results folder, and a cache that is not looked into."""
        return Folders(self.results, cache_folder())


class PlanFlags(Settings):
    """What a preset costs, and how long it takes: on this machine, on a node of 4 and on 32 like it.

    A few steps of its cohort are measured here, on the GPU where there is one, on noise and, where the preset
    names a published encoder, with random weights of its size: the same work. The rest is arithmetic.
    """

    plan: Annotated[Plan, BARE]
    places: Annotated[Places, BARE] = Places()
    hours: float | None = Field(default=None, gt=0)  # of speech a corpus; else its own, of MSP-Podcast 400
    devices: tuple[PositiveInt, ...] = (1, 4, 32)
    gpus: PositiveInt = 8  # that one cohort may share, at most
    price: float | None = Field(default=None, gt=0)  # of one device for an hour, in any currency
    save: Path | None = None  # keep the measurement in this file
    measured: Path | None = None  # take the measurement from such a file, of another machine


class TrainFlags(Settings):
    """Train one system on one fold."""

    layout: str = "softmax"  # a mixer, or a layout like "mamba2*3 softmax"
    direction: Direction = "bidirectional"
    task: str = "ravdess/luna"  # CORPUS/PROTOCOL
    fold: int = 0
    seed: int = 0
    corpus_options: dict[str, int] = Field(default_factory=dict)  # as the size and seed of a generated corpus
    features: Features = Features()
    encoder: Encoder = Encoder()
    recipe: Recipe = Recipe()
    places: Annotated[Places, BARE] = Places()
    deterministic: bool = False  # torch's deterministic algorithms, where it has any (slower on a GPU)

    def folders(self) -> Folders:
        """Where the training reads and writes, and how."""
        return replace(self.places.folders(), deterministic=self.deterministic)

    def plan(self) -> Plan:
        """A plan of this one cell."""
        return Plan(
            name="train",
            tasks=(self.task,),
            folds=(self.fold,),
            seeds=(self.seed,),
            layouts=(self.layout,),
            directions=(self.direction,),
            corpus_options=self.corpus_options,
            features=self.features,
            encoder=self.encoder,
            recipe=self.recipe,
        )


class ProfileFlags(Settings):
    """Latency and peak memory of every mixer and encoder, against length, on this machine.

    What is measured already is left alone: the same command goes on where it stopped. Named profiles, as in
    `serbench profile quick`: quick (every mixer and encoder on the CPU, to 8,192 frames, in three minutes);
    full (1 s to 1 h of speech, training, streams, throughput, bfloat16, torch.compile, ONNX Runtime); paper
    (one mixer of published size, D = 1024, 10 to 400 s, with fused softmax); gpu (1 to 30 s of speech on a
    GPU, ten minutes at a time); ops (the recurrences alone: frame loops, fla's references, fused softmax);
    kernels (whether fla's kernels are right on this GPU).
    """

    layouts: tuple[str, ...] = ()  # none named: every mixer but the extra ones, and the Mamba hybrid
    profiling: Annotated[Profiling, BARE] = Profiling()
    features: AnyFeatures = Features()
    encoder: AnyEncoder = Encoder()
    corpus: str = ""  # whose utterances a ragged batch is as long as; else a log-normal's
    data_root: Path | None = None  # folder that holds it; else SER_DATA_ROOT
    results: Path = Path("results")
    dry_run: bool = False  # list what would be measured and for how long, and measure nothing

    @classmethod
    def of(cls, plan: Plan) -> ProfileFlags:
        """The flags of a named profile."""
        return cls(
            layouts=plan.layouts, profiling=plan.profiling, features=plan.features, encoder=plan.encoder
        )

    def plan(self) -> Plan:
        """A plan that trains nothing; a corpus named is opened for the lengths of its utterances."""
        return Plan(
            name="profile",
            tasks=(),
            layouts=self.layouts,
            features=self.features,
            encoder=self.encoder,
            profiling=self._profiling(),
        )

    def _profiling(self) -> Profiling:
        if not self.corpus:
            return self.profiling
        from bench import corpora
        from bench.measuring.utterances import of_corpus

        drawn = of_corpus(corpora.load(self.corpus, self.data_root))
        return self.profiling.model_copy(update={"utterances_s": drawn, "drawn_from": self.corpus})


class OpsFlags(Settings):
    """Time the recurrences alone against their frame loops, fla's references and fused softmax."""

    shape: Annotated[OpShape, BARE] = Field(default_factory=OpShape)
    time_limit_s: float = Field(default=3.0, gt=0)  # sampling of one comparison stops here, converged or not
    relative_interval: float = Field(default=0.03, gt=0)  # of each median, at which sampling stops
    results: Path = Path("results")


class KernelFlags(Settings):
    """Compare fla's kernels, and the mixers that run them, with the torch ops: forward and gradients.

    Without a GPU the torch ops are compared with frame loops in float64, which says nothing about kernels.
    What is compared already is left alone: the same command goes on where it stopped.
    """

    scope: Annotated[KernelScope, BARE] = Field(default_factory=KernelScope)
    minutes: float | None = Field(default=None, gt=0)  # no new comparison after so many; run again to go on
    again: bool = False  # make those again whose process ended without an answer
    results: Path = Path("results")


class GpuFlags(Settings):
    """Measure on a GPU all that the suite has to say about one, some minutes at a time.

    Kernels, the cost of speech of 1 to 30 s, the published figure, training steps, and accuracy: what has a
    record is left alone, and the same command goes on where it stopped.
    """

    slices: tuple[str, ...] = ()  # by name, or how it begins ("kernels", "paper"); none named: all in order
    minutes: float = Field(default=10.0, ge=5)  # the call ends within so many
    again: bool = False  # try again what has failed
    kernel_cache: Path | None = None  # where Triton and Inductor keep what they compiled; carry it along
    places: Annotated[Places, BARE] = Places()
    dry_run: bool = False  # list the slices, and measure nothing


class ReportFlags(Settings):
    """Write leaderboard, model card and figures from the records; needs no data, model or torch."""

    results: Path = Path("results")
    baseline: str = "softmax"  # the layout that every system is compared with, in its direction


class FiguresFlags(Settings):
    """Draw figures from the records, as the report does or for a paper: at the width of a venue's column.

    For a venue, finding and circumstances stand in NAME.tex, a float to \\input, instead of on the figure.
    """

    names: tyro.conf.Positional[tuple[str, ...]] = ()  # see --list; none named: all that the records allow
    list: bool = False  # say what there is, and draw nothing
    venue: str = ""  # interspeech, icassp, ieee, acl, each also as NAME-double, or neurips; none: a page
    format: tuple[Literal["png", "pdf", "svg"], ...] = ()  # else all three, for a venue PDF
    out: Path | None = None  # else figures/ in the results folder, for a venue figures/VENUE/
    results: Path = Path("results")
    baseline: str = "softmax"  # the layout that every system is compared with, in its direction


class MergeFlags(Settings):
    """Copy the records of another results folder; what is there already is never overwritten."""

    source: tyro.conf.Positional[Path]  # the other folder
    results: Path = Path("results")


class VerifyFlags(Settings):
    """Recompute every metric from the stored predictions and check that ids are hashes of settings."""

    results: Path = Path("results")


class ScrubFlags(Settings):
    """Take host and user names and absolute paths out of records and predictions; ids stay as they are."""

    results: Path = Path("results")
    check: bool = False  # change nothing: exit code 2 where something would be


class MixersFlags(Settings):
    """List the registered token mixers with their size and cost."""

    d_model: int = Field(default=512, ge=1)
    num_heads: int = Field(default=4, ge=1)


class CorporaFlags(Settings):
    """Read corpora by name; without a name, those that have a folder in the data folder."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    features: Features = Features()
    places: Annotated[Places, BARE] = Places()


class FetchFlags(Settings):
    """Download open corpora; a stopped download goes on where it was."""

    names: tyro.conf.Positional[tuple[str, ...]]
    data_root: Path | None = None  # folder that will hold them; else SER_DATA_ROOT

    def folder(self) -> Path:
        """The data folder; SuiteError where none is given."""
        folder = self.data_root or data_folder()
        if folder is None:
            raise SuiteError("corpora fetch: no data folder given; set SER_DATA_ROOT or --data-root")
        return folder


class MakeFlags(Settings):
    """Write a synthetic corpus in the layout of a licensed one, with the oddities of that."""

    name: tyro.conf.Positional[Literal["msp_podcast"]]
    release: str = "2.0"  # 1.11, 1.12 or 2.0
    turns: int = 2_000  # those without labels too
    seed: int = 0
    out: Path = Path("msp_podcast")  # a new or an empty folder
    audio: bool = True  # recordings and transcripts too, not the tables alone


class ModelMakeFlags(Settings):
    """Write a model with random weights in the layout of a pretrained one: to try the pipeline."""

    name: tyro.conf.Positional[str]  # of its folder in the models folder
    kind: MadeKind
    size: MadeSize = "tiny"  # width 32 and 2 layers, or the largest published
    width: int | None = Field(default=None, ge=1)  # else that of the size
    layers: int | None = Field(default=None, ge=1)  # else those of the size
    seed: int = Field(default=0, ge=0)
    models: Path | None = None  # folder that holds pretrained encoders; else SER_MODELS

    def folder(self) -> Path:
        """Where it will be; SuiteError where no models folder is given, or the name leads out of it."""
        root = self.models or models_folder()
        if root is None:
            raise SuiteError("models make: no models folder given; set SER_MODELS or --models")
        if Path(self.name).is_absolute() or not Path(self.name).name or ".." in Path(self.name).parts:
            raise SuiteError(f"models make: {self.name!r} is no name of a folder in {root}; choose another")
        return root / self.name


class ModelCheckFlags(Settings):
    """Read pretrained encoders by the name of their folder or on the Hugging Face hub."""

    names: tyro.conf.Positional[tuple[str, ...]]
    models: Path | None = None  # folder that holds pretrained encoders; else SER_MODELS


class ExportFlags(Settings):
    """Write trained checkpoints as ONNX files, for `serbench predict --model`.

    A file goes from features on; of a model that trained its speech encoder, from the waveform on. It carries
    classes, settings and licence, and agrees with the checkpoint to 1e-4 in float32; with --check, what
    smaller weights lose and gain is measured on the test split and recorded. Of several checkpoints, what is
    there already is left alone: the same command goes on where it stopped.
    """

    checkpoints: tyro.conf.Positional[tuple[Path, ...]]  # files, or folders of them (results/checkpoints)
    out: Path | None = None  # of one; else beside the checkpoint, named after it and what it holds
    int8: Literal["dynamic", "static"] | None = None  # activations scaled as they come, or calibrated
    fp16: bool = False  # weights stored in half precision
    streaming: bool = False  # chunk and state in, outputs so far and next state out; for causal models
    calibrate: str = ""  # CORPUS/PROTOCOL whose training split --int8 static is calibrated on; else its own
    check: str = ""  # CORPUS/PROTOCOL on whose test split a file is held against its checkpoint, or "own"
    places: Annotated[Places, BARE] = Places()

    def weights(self) -> Weights:
        """What the file's weights are; SuiteError for two at once, or a calibration that nothing asks for."""
        if self.int8 and self.fp16:
            raise SuiteError("export: --int8 and --fp16 exclude each other; choose one")
        if self.calibrate and self.int8 != "static":
            raise SuiteError("export: --calibrate is for --int8 static; add that or leave it out")
        if self.int8:
            return "int8-dynamic" if self.int8 == "dynamic" else "int8-static"
        return "float16" if self.fp16 else "float32"

    def file(self, checkpoint: Path) -> Path:
        """Where the file of a checkpoint goes."""
        weights = "" if self.weights() == "float32" else f".{self.weights()}"
        kind = ".streaming" if self.streaming else ""
        return self.out or checkpoint.with_name(f"{checkpoint.stem}{kind}{weights}.onnx")


class PredictFlags(Settings):
    """Emotion probabilities of recordings, and their attributes where these are trained."""

    files: tyro.conf.Positional[tuple[Path, ...]]  # wav or flac, any sampling rate
    checkpoint: Path | None = None  # else the best on its dev split of those in results/checkpoints
    model: Path | None = None  # a file of `serbench export` instead: runs without torch
    results: Path = Path("results")
    models: Path | None = None  # folder that holds pretrained encoders; else SER_MODELS
    transcripts: Path | None = None  # folder of FILE's text as STEM.txt, for a model that reads text

    def named(self) -> Path | None:
        """The checkpoint or exported file asked for, if any; SuiteError where both are."""
        if self.model and self.checkpoint:
            raise SuiteError("predict: --model and --checkpoint exclude each other; choose one")
        if self.model and self.model.suffix != ".onnx":
            raise SuiteError(f"predict: {self.model} is no .onnx file; name checkpoints with --checkpoint")
        return self.model or self.checkpoint


Flags = TypeVar("Flags", bound=Settings)


def parse(kind: type[Flags], command: str, arguments: list[str], default: Flags | None = None) -> Flags:
    """The flags of one command line; a bad flag or value ends with exit code 2 and a sentence."""
    try:
        if default is None:
            return tyro.cli(kind, prog=command, args=arguments, description=kind.__doc__, config=CHOSEN)
        return tyro.cli(
            kind, prog=command, args=arguments, default=default, description=kind.__doc__, config=CHOSEN
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SuiteError(f"{command}: {where}: {first['msg']} (got {first['input']!r})") from error
