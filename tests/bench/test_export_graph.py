"""What cannot become an ONNX graph is told in one sentence that names the layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from export_fixtures import SMALL, cell_of
from torch import Tensor, nn

from bench.model.model import build

onnxruntime = pytest.importorskip("onnxruntime", reason="the export extra is not installed")
pytest.importorskip("onnxscript", reason="the export extra is not installed")

from bench.export.graph import OPEN, CannotExport, write  # noqa: E402

BOTH = {0: OPEN, 1: OPEN}


class Bessel(nn.Module):
    """An operator that ONNX does not have."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


class Branch(nn.Module):
    """A program that depends on numbers, not on shapes."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x if x.sum() > 0 else x


class Aside(nn.Module):
    """The same, in a method other than forward, as a mixer's `extend` is."""

    def forward(self, x: Tensor) -> Tensor:
        return self.extend(x)

    def extend(self, x: Tensor) -> Tensor:
        return 2 * x if x.sum() > 0 else x


class Around(nn.Module):
    """A layer inside others."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.before = nn.Linear(4, 4)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), layer)])

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks[0](self.before(x))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Bessel(), "ONNX has no operator bessel_j0"),
        (Branch(), "Could not guard on data-dependent expression"),
        (Aside(), "Could not guard on data-dependent expression"),
    ],
)
def test_the_layer_at_fault_is_named_with_the_reason(layer, reason, tmp_path):
    with pytest.raises(CannotExport) as refused:
        write(Around(layer), (torch.randn(2, 5, 4),), tmp_path / "x.onnx", (BOTH,))
    told = str(refused.value)
    assert f"layer blocks.0.1 ({type(layer).__name__}) has no ONNX graph: {reason}" in told
    assert "\n" not in told
    assert not list(tmp_path.iterdir())


def test_a_mixer_that_cannot_be_exported_is_named_by_its_layer(tmp_path):
    cell = cell_of("softmax", encoder=SMALL)
    model = build(cell.features, cell.encoder, cell.system, 3).eval()
    model.encoder.blocks[0].mixer.out = nn.Sequential(model.encoder.blocks[0].mixer.out, Branch())
    with pytest.raises(CannotExport, match=r"layer encoder\.blocks\.0\.mixer\.out\.1 \(Branch\)"):
        write(model, (torch.randn(2, 40, 9),), tmp_path / "x.onnx", (BOTH,))


def test_what_depends_on_weights_alone_is_a_constant_of_the_file(tmp_path: Path):
    import onnx

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(200, 100))

        def forward(self, x: Tensor) -> Tensor:
            return x @ (2 * self.weight).T.contiguous()

    module, x = Turned(), torch.randn(2, 5, 100)
    write(module, (x,), tmp_path / "x.onnx", (BOTH,), ["x"], ["y"])
    assert [node.op_type for node in onnx.load(tmp_path / "x.onnx").graph.node] == ["MatMul"]
    (y,) = onnxruntime.InferenceSession(tmp_path / "x.onnx").run(None, {"x": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(y), module(x).detach(), rtol=1e-5, atol=1e-4)


class Hearing(nn.Module):
    """An LSTM from a state, and another from none."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.LSTM(4, 6, batch_first=True)
        self.second = nn.LSTM(6, 3, batch_first=True)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, (hidden, cell) = self.first(x, (hidden, cell))
        return self.second(y)[0], hidden, cell


def test_an_lstm_is_one_operator_at_every_length_and_stays_as_it_was(tmp_path):
    import onnx

    torch.manual_seed(0)
    module, state = Hearing(), (torch.randn(1, 2, 6), torch.randn(1, 2, 6))
    axes = (BOTH, {1: OPEN}, {1: OPEN})
    for again in range(2):  # an export leaves nothing behind that changes the next
        file = tmp_path / f"{again}.onnx"
        write(module, (torch.randn(2, 7, 4), *state), file, axes, ["x", "h", "c"])
        operators = [node.op_type for node in onnx.load(file).graph.node]
        assert operators.count("LSTM") == 2
        assert not {"Loop", "Scan", "Concat"} & set(operators)
        for frames in (1, 7, 40):
            inputs = (torch.randn(2, frames, 4), *state)
            given = dict(zip("xhc", (each.numpy() for each in inputs), strict=True))
            found = onnxruntime.InferenceSession(file).run(None, given)
            for ours, theirs in zip(found, module(*inputs), strict=True):
                torch.testing.assert_close(torch.from_numpy(ours), theirs.detach(), rtol=1e-5, atol=1e-5)
