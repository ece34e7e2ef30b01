"""Every registered mixer and the LSTM baselines export as streams; a Mamba hybrid whole too.

Most of an export is spent on what stands around a mixer, so several go into one encoder, a layer each. A file
that cannot be written names the layer; one that disagrees is taken apart by exporting its mixers alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from export_fixtures import SMALL, noise, write_checkpoint

import mixers
from bench.model.layout import WHOLE
from bench.training import checkpoint

pytest.importorskip("onnxruntime", reason="the export extra is not installed")
pytest.importorskip("onnxscript", reason="the export extra is not installed")

from bench.export.exporting import Order, export
from bench.export.modules import Whole
from bench.export.runtime import Exported

HYBRID = "mamba2 softmax"
LAYERS = 5  # mixers in one encoder
FRAMES = (1, 3, 77, 700)  # of 700, more than the window of sliding-window attention


def together(names: Sequence[str]) -> list[str]:
    """Layouts that hold every mixer once."""
    return [" ".join(names[start : start + LAYERS]) for start in range(0, len(names), LAYERS)]


def agrees_at_every_length(tmp_path, layout: str, order: Order, direction: str = "causal") -> None:
    encoder = None if layout in WHOLE else SMALL.model_copy(update={"num_layers": len(layout.split())})
    path = write_checkpoint(tmp_path, layout, direction=direction, encoder=encoder)
    export(path, tmp_path / "model.onnx", order)
    exported, module = Exported.load(tmp_path / "model.onnx"), Whole(checkpoint.load(path)).eval()
    for frames in FRAMES:
        x = noise(frames, exported.cell.features.width)
        with torch.inference_mode():
            expected = module(torch.from_numpy(x))[0].numpy()
        np.testing.assert_allclose(exported.outputs(x)["logits"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("layout", [*together(mixers.available()), "reslstm_sa", "lstm_sa"])
def test_a_streaming_file_ends_with_the_numbers_of_torch(tmp_path, layout):
    agrees_at_every_length(tmp_path, layout, Order(streaming=True))


@pytest.mark.slow
def test_a_file_of_the_bidirectional_hybrid_gives_the_numbers_of_torch(tmp_path):
    """Of whole utterances: `tests/mixers/test_mixers_export.py` has every mixer alone, in both directions."""
    agrees_at_every_length(tmp_path, HYBRID, Order(), "bidirectional")
