"""A torch module as an ONNX graph, its constants folded; or one sentence that names the layer that cannot be.

    write(module, (frames,), path, ({0: OPEN, 1: OPEN},))       # batch and length left open
    write(module, inputs, path, axes, ["frames"], ["logits"])

The exporter traces the module once. What fails on the way is blamed on the innermost layer then running; an
operator that ONNX does not have is looked up in the traced program, whose nodes know their layer.
"""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.errors import SuiteError
from bench.export.compress import plain
from bench.export.recurrences import whole_lstms

OPEN: Any = torch.export.Dim.DYNAMIC  # an axis of any length
Axes = Any  # for each input, in its nesting: {axis: OPEN}, or None


class CannotExport(SuiteError):
    """A layer that has no ONNX graph."""


def write(
    module: nn.Module,
    inputs: tuple[Any, ...],
    path: Path,
    axes: Axes,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> None:
    """Write `module`, in evaluation mode, traced with `inputs`; CannotExport names the layer at fault."""
    import onnx

    module.eval()
    with quiet(), whole_lstms(module):
        try:
            program = torch.onnx.export(
                module,
                inputs,
                dynamo=True,
                dynamic_shapes=axes,
                input_names=input_names,
                output_names=output_names,
                verbose=False,
            )
        except RuntimeError as error:  # the exporter's own errors are of this kind
            raise _refusal(module, inputs, axes, error) from error
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="serbench-") as folder:
        raw = Path(folder) / "raw.onnx"
        program.save(raw)
        onnx.save(plain(raw), raw)
        _fold(raw, path)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of exporter and quantiser, which tell of their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _fold(source: Path, target: Path) -> None:
    """The same graph with what depends on weights alone computed once, by ONNX Runtime; standard operators.

    An LSTM's weights, which torch orders in another way, are constants then, and can be quantised.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _refusal(module: nn.Module, inputs: tuple[Any, ...], axes: Axes, error: BaseException) -> CannotExport:
    """What to tell of a failed export."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    missing = re.search(r"op='(?:\w+)\.(\w+)'", reason)
    if missing:
        layer = _using(missing[1], module, inputs, axes)
        reason = f"ONNX has no operator {missing[1]}"
    else:
        layer = _running(module, cause)
    where = f"layer {layer} ({type(module.get_submodule(layer)).__name__})" if layer else "the model"
    return CannotExport(
        f"export: {where} has no ONNX graph: {reason}; write it with operators that the exporter knows"
    )


def _running(module: nn.Module, error: BaseException) -> str:
    """The name of the innermost layer one of whose methods was running when `error` was raised; or ""."""
    names, found = {id(part): name for name, part in module.named_modules()}, ""
    trace = error.__traceback__
    while trace is not None:
        found = names.get(id(trace.tb_frame.f_locals.get("self")), "") or found
        trace = trace.tb_next
    return found


def _using(operator: str, module: nn.Module, inputs: tuple[Any, ...], axes: Axes) -> str:
    """The name of the innermost layer around the first use of an operator; "" where it cannot be found."""
    try:
        program = torch.export.export(module, inputs, dynamic_shapes=axes, strict=False).run_decompositions()
    except Exception:
        return ""
    for node in program.graph.nodes:
        if operator in str(node.target):
            names = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
            return next((name for name in reversed(names) if name), "")
    return ""
