"""The named profiles: plans that train nothing and say what to time, with their command and time.

    plan = profiles.build("quick")
    scope = profiles.kernel_scope("cuda")      # what `serbench profile kernels` compares

A profile is a starting point, as a preset is: every field is also a flag.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.config import Bare, DeviceKind, Encoder, KernelScope, Plan, Profiling
from bench.errors import SuiteError


def quick() -> Plan:
    """Every mixer and encoder on this CPU, to 8,192 encoder frames.

    serbench profile quick

    Time: 1 min 52 s on two cores.
    """
    profiling = Profiling(seconds=(1.0, 10.0, 60.0, 180.0, 655.36), time_limit_s=0.3, cell_limit_s=60.0)
    return Plan(name="quick", tasks=(), profiling=profiling)


def full() -> Plan:
    """Every mixer, encoder and model from 1 s to 1 h of speech in both directions, in every way.

    serbench profile full

    Training, streams, throughput and ragged batches, bfloat16, torch.compile and ONNX Runtime each alone.
    Time: hours on two cores; `--dry-run` says what it takes at least.
    """
    profiling = Profiling(
        seconds=(1.0, 10.0, 60.0, 600.0, 3600.0),
        directions=("bidirectional", "causal"),
        targets=("mixer", "encoder", "model"),
        works=("forward", "training", "frame", "second"),
        batches=(1, "throughput", "ragged"),
        dtypes=("float32", "bfloat16"),
        engines=("eager", "compile", "onnx", "onnx-int8"),
    )
    return Plan(name="full", tasks=(), profiling=profiling)


def paper() -> Plan:
    """The efficiency figure of arXiv 2603.15120 with the line that it lacks: fused softmax beside unfused.

    serbench profile paper --device cuda

    One mixer of published size, D = 1024, 4 heads, batch 1, float32, 10 to 400 s of frames at 50 Hz. In both
    directions, as the study ran softmax bidirectional and the others causal. Unfused softmax holds 13 GB at
    400 s.
    """
    profiling = Profiling(
        seconds=(10.0, 25.0, 50.0, 100.0, 200.0, 400.0),
        directions=("bidirectional", "causal"),
        targets=("mixer",),
    )
    return Plan(name="paper", tasks=(), encoder=Bare(d_model=1024), profiling=profiling)


def gpu() -> Plan:
    """Speech of 1 to 30 s on one GPU: encoders of 4 layers of width 512, 50 to 1,500 frames, bfloat16.

    serbench profile gpu --minutes 10

    On fla's kernels, beside fla's own layers, run eagerly; then in the fastest batch, compiled, as a CUDA
    graph and on torch ops, each alone. Ten minutes at a time: the same command goes on where it stopped, and
    what one slice has compiled or tuned the next finds in the kernels' cache. No call is timed before its
    shape has run.
    """
    profiling = Profiling(
        seconds=(1.0, 3.0, 10.0, 30.0),
        directions=("bidirectional", "causal"),
        targets=("mixer", "fla_layer", "encoder"),
        batches=(1, "throughput"),
        dtypes=("bfloat16",),
        engines=("eager", "compile", "graph"),
        backends=("fla", "torch"),
        device="cuda",
        time_limit_s=0.5,
        relative_interval=0.01,
        minutes=10.0,
    )
    return Plan(name="gpu", tasks=(), encoder=Encoder(d_model=512, subsampling=1), profiling=profiling)


def kernel_scope(device: DeviceKind) -> KernelScope:
    """What `serbench profile kernels` compares: all of it on a GPU, small sizes of everything on a CPU.

    serbench profile kernels

    Time: a minute on a CPU core that was shared; on a GPU not known yet.
    """
    if device == "cuda":
        return KernelScope()
    return KernelScope(
        lengths=(1, 17, 65),
        head_sizes=((16, 16), (13, 19)),
        mixer_lengths=(1, 37),
        widths=(32,),
        stock_width=64,
        dtypes=("float32",),
        device="cpu",
    )


PROFILES: dict[str, Callable[[], Plan]] = {
    "quick": quick,
    "full": full,
    "paper": paper,
    "gpu": gpu,
}


def build(name: str) -> Plan:
    """The profile of this name, a plan that trains nothing; SuiteError where there is none."""
    if name not in PROFILES:
        known = ", ".join([*PROFILES, "ops", "kernels"])
        raise SuiteError(f"no profile {name!r}; there is {known}, or none named for mixers and encoders")
    return PROFILES[name]()
