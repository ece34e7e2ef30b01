"""Every mixer exports to ONNX, batch and length left open, and onnxruntime computes the same numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mixer_contract_checks import noise
from torch import Tensor, nn

import mixers

onnxruntime = pytest.importorskip("onnxruntime", reason="the export extra is not installed")
pytest.importorskip("onnxscript", reason="the export extra is not installed")

WIDTH, HEADS = 16, 2
TRACED = (2, 20)
SHAPES = ((1, 1), (3, 17), (2, 77), (1, 300))  # none of them the traced one


class WithMask(nn.Module):
    """The mixer with its mask as an input of the graph."""

    def __init__(self, mixer: mixers.TokenMixer) -> None:
        super().__init__()
        self.mixer = mixer

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.mixer(x, mask)


def inputs(batch: int, frames: int) -> tuple[Tensor, Tensor]:
    """Frames, and a mask in which utterances have different lengths; the last is padded on the left."""
    real = torch.arange(frames) < torch.tensor([max(1, frames - 3 * row) for row in range(batch)])[:, None]
    real[-1] = real[-1].flip(0)
    return noise(batch, frames, WIDTH), real


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """`exported(mixer)` → an onnxruntime session of it."""
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}

    def export(mixer: mixers.TokenMixer):
        path: Path = tmp_path_factory.mktemp("onnx") / "mixer.onnx"
        shapes = {"x": free, "mask": free}
        program = torch.onnx.export(
            WithMask(mixer), inputs(*TRACED), dynamo=True, dynamic_shapes=shapes, verbose=False
        )
        program.save(path)
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    return export


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
@pytest.mark.parametrize("name", mixers.available())
def test_onnxruntime_agrees_at_every_batch_and_length(name, direction, exported):
    torch.manual_seed(0)
    agrees_everywhere(mixers.build(name, WIDTH, HEADS, direction).eval(), exported)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("direction", ["causal", "bidirectional"])
def test_fox_whose_query_heads_share_keys_and_values_exports_too(direction, exported):
    torch.manual_seed(0)
    agrees_everywhere(mixers.build("fox", WIDTH, HEADS, direction, query_heads=8).eval(), exported)


def agrees_everywhere(mixer: mixers.TokenMixer, exported) -> None:
    session = exported(mixer)
    names = [argument.name for argument in session.get_inputs()]
    for shape in SHAPES:
        x, mask = inputs(*shape)
        (y,) = session.run(None, dict(zip(names, (x.numpy(), mask.numpy()), strict=True)))
        expected = mixer(x, mask)
        torch.testing.assert_close(torch.from_numpy(y)[mask], expected[mask], rtol=1e-4, atol=1e-4)
