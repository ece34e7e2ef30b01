"""An exported graph with smaller weights: half precision, or int8 with dynamic or static activations.

    halve(source, target)                       # weights float16, arithmetic float32
    quantise_dynamic(source, target)            # int8 weights; activations scaled as they come
    quantise_static(source, target, batches)    # int8 weights and activations, scaled on calibration inputs

int8 weights are per channel and symmetric. Dynamic: matrix products and LSTMs compute in int8; kernels of
convolutions are stored in int8 and computed in float32, since ONNX Runtime's integer convolution takes
several times as long on a CPU. Static: products and convolutions with weights compute in int8; LSTMs stay
dynamic, for there is no static one. Recurrences, attention between activations, norms and softmax stay in
float32.

Half precision is for storage: a CPU has few operators in it and would convert back and forth. Imports no
torch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import SuiteError

Feed = Mapping[str, NDArray[Any]]  # one call's inputs by name
PRODUCTS = ["MatMul", "Gemm"]
HIGHEST = 127  # of symmetric int8


def halve(source: Path, target: Path) -> None:
    """Write `source` with its weight matrices and kernels in float16, brought to float32 as it is loaded."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(source)
    casts = []
    for weight in _weights(model.graph):
        values = numpy_helper.to_array(weight).astype(np.float16)
        half = numpy_helper.from_array(values, f"{weight.name}_half")
        casts.append(helper.make_node("Cast", [half.name], [weight.name], to=TensorProto.FLOAT))
        model.graph.initializer.remove(weight)
        model.graph.initializer.append(half)
    _prepend(model.graph, casts)
    onnx.save(model, target)


def quantise_dynamic(source: Path, target: Path) -> None:
    """Write `source` with int8 weights, activations quantised as they come."""
    import onnx

    model = plain(source)
    _store_kernels(model.graph)
    onnx.save(model, target)
    _dynamic(target, [*PRODUCTS, "LSTM"])


def quantise_static(source: Path, target: Path, batches: Iterable[Feed]) -> None:
    """Write `source` with int8 weights and activations, whose ranges are those met in `batches`.

    SuiteError where there is no batch.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = plain(source)
    with tempfile.TemporaryDirectory(prefix="serbench-") as folder:
        floating = Path(folder) / "floating.onnx"
        onnx.save(model, floating)
        if any(node.op_type == "LSTM" for node in model.graph.node):
            _dynamic(floating, ["LSTM"])
        quantize_static(
            floating,
            target,
            _reader(batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*PRODUCTS, "Conv"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            extra_options={"MatMulConstBOnly": True},
        )


def _dynamic(path: Path, operators: list[str]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        plain(path), path, op_types_to_quantize=operators, per_channel=True, weight_type=QuantType.QInt8
    )


def _reader(batches: Iterable[Feed]) -> Any:
    """What ONNX Runtime's calibration reads its inputs from."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest: Iterator[Feed] = iter(batches)
            self.first = next(self.rest, None)
            if self.first is None:
                raise SuiteError("export: nothing to calibrate on; name a task with recordings (--calibrate)")

        def get_next(self) -> Feed | None:
            given, self.first = self.first or next(self.rest, None), None
            return given

    return Reader()


def plain(path: Path) -> Any:
    """The model in a file less what torch's exporter noted beside it: shapes inside the graph, source lines.

    Some of the shapes are those of the traced example where the graph leaves them open, and the quantiser
    rejects others; whoever reads the file infers its own.
    """
    import onnx

    model = onnx.load(path)
    for part in (model.graph, *model.functions):
        _forget_notes(part)
    return model


def _forget_notes(graph: Any) -> None:
    del graph.value_info[:]
    del graph.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    _forget_notes(inner)


def _weights(graph: Any) -> list[Any]:
    """The float32 constants of two or more axes."""
    from onnx import TensorProto

    floats = (each for each in graph.initializer if each.data_type == TensorProto.FLOAT)
    return [each for each in floats if len(each.dims) > 1]


def _store_kernels(graph: Any) -> None:
    """Convolution kernels as int8 with a scale an output channel, dequantised where they are used."""
    from onnx import helper, numpy_helper

    kernels = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    nodes = []
    for weight in [each for each in _weights(graph) if each.name in kernels]:
        values = numpy_helper.to_array(weight)
        scale = np.abs(values).reshape(len(values), -1).max(axis=1) / HIGHEST
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        whole = np.rint(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
        parts = [numpy_helper.from_array(whole, f"{weight.name}_int8")]
        parts.append(numpy_helper.from_array(scale, f"{weight.name}_scale"))
        inputs = [part.name for part in parts]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [weight.name], axis=0))
        graph.initializer.remove(weight)
        graph.initializer.extend(parts)
    _prepend(graph, nodes)


def _prepend(graph: Any, nodes: list[Any]) -> None:
    """Put nodes before all others: a graph's nodes stand in the order of computation."""
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
