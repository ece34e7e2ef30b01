"""How a subject is run: eagerly, compiled, as a CUDA graph, or exported to ONNX Runtime.

    call = runner(subject, shape, scratch)
    call()                                      # one pass, and on CUDA waits for it

An exported graph (`bench.export`) has batch and length open, so one export serves all lengths of a sweep: it
is kept in `scratch`, and quantised from there (dynamic, int8 weights). What cannot be compiled or exported
raises, and is a row of the sweep with its reason.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.config import content_id
from bench.evidence.records import Shape
from bench.evidence.store import atomic
from bench.export import compress, graph
from bench.export.runtime import session
from bench.measuring.subjects import Subject, build
from mixers.ops import backend

Run = Callable[[], object]
TRACED_S = (2.0, 1.6)  # lengths of the two utterances that an export is traced with


def runner(subject: Subject, shape: Shape, scratch: Path | None) -> Run:
    """One pass of the subject in the shape's engine, ready to be called."""
    if shape.engine in ("onnx", "onnx-int8"):
        return _onnx(subject, shape, scratch or Path(tempfile.mkdtemp(prefix="serbench-")))
    if shape.engine == "compile":
        torch._inductor.config.compile_threads = 1  # helpers would outlive the cell
        subject.module.compile(dynamic=False)
    run = _training(subject) if shape.work == "training" else _inference(subject)
    if shape.engine == "graph":
        run = _graph(run)
    return _waiting(run) if shape.device_kind == "cuda" else run


def settle(shape: Shape) -> None:
    """Set what a process computes with: threads, kernels, and whether float32 products may be tf32.

    Kernels that were not found right on this GPU do not come here (`bench.measuring.profile`).
    """
    fix_threads(shape.threads)
    backend.trust(backend.KERNELS if shape.backend == "fla" else ())
    rounded = shape.dtype == "tf32"
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    torch.backends.cudnn.allow_tf32 = rounded
    os.environ.setdefault("TRITON_CACHE_AUTOTUNING", "1")  # what one cell has tuned, the next finds


def fix_threads(threads: int) -> None:
    """Threads inside an operator as asked, one operator at a time."""
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:  # may be set once only
        torch.set_num_interop_threads(1)


def _inference(subject: Subject) -> Run:
    @torch.inference_mode()
    def run() -> object:
        return subject.module(*subject.inputs)

    return run


def _training(subject: Subject) -> Run:
    """Forward and backward: gradients of all parameters, and of frames where a mixer is alone.

    Before a whole model stands nothing that is trained.
    """
    leaves: list[Tensor] = [parameter for parameter in subject.module.parameters() if parameter.requires_grad]
    x = subject.inputs[0]
    assert x is not None
    with torch.no_grad():
        y = subject.module(*subject.inputs)
    if y.shape == x.shape:
        leaves.append(x.requires_grad_())
    gradient = torch.randn_like(y)

    def run() -> object:
        return torch.autograd.grad(subject.module(*subject.inputs), leaves, gradient, allow_unused=True)

    return run


def _graph(run: Run) -> Run:
    """The kernels of one pass recorded once and replayed, so that launching them costs nothing."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        held = run()

    def replay() -> object:
        graph.replay()
        return held

    return replay


def _waiting(run: Run) -> Run:
    def wait() -> object:
        result = run()
        torch.cuda.synchronize()
        return result

    return wait


def _onnx(subject: Subject, shape: Shape, scratch: Path) -> Run:
    opened = session(_exported(shape, scratch), shape.threads)
    names = [argument.name for argument in opened.get_inputs()]
    values = [x.numpy() for x in subject.inputs if x is not None]
    feed = dict(zip(names, values, strict=True))
    return lambda: opened.run(None, feed)


def _exported(shape: Shape, scratch: Path) -> Path:
    """The file of the exported subject, made where no earlier length of the sweep has made it."""
    traced = shape.model_copy(
        update={
            "seconds": max(TRACED_S),
            "batch": 1 if shape.target == "model" else len(TRACED_S),
            "utterances_s": TRACED_S if shape.utterances_s else (),
            "engine": "onnx",
        }
    )
    path = scratch / f"{content_id(traced)}.onnx"
    if not path.is_file():
        with atomic(path) as temporary:
            _export(build(traced), temporary)
    if shape.engine == "onnx":
        return path
    quantised = path.with_suffix(".int8.onnx")
    if not quantised.is_file():
        with atomic(quantised) as temporary, graph.quiet():
            compress.quantise_dynamic(path, temporary)
    return quantised


def _export(subject: Subject, path: Path) -> None:
    axes: Any = tuple(_open(x) for x in subject.inputs)
    waveforms = subject.inputs[0].dim() == 1  # type: ignore[union-attr]
    graph.write(subject.module, subject.inputs, path, (axes,) if waveforms else axes)


def _open(x: Tensor | None) -> dict[int, Any] | None:
    """Batch and length of an input, both left open; of a waveform its one axis."""
    if x is None:
        return None
    return {axis: graph.OPEN for axis in range(min(x.dim(), 2))}
