"""A stream says at any moment what the whole recogniser says of the frames so far."""

from __future__ import annotations

import pytest
import torch

import mixers
from bench import config
from bench.errors import SuiteError
from bench.model import layout
from bench.model.model import Model, build
from bench.model.streaming import StreamingRecogniser

MELS, OUTPUTS, FRAMES = 20, 5, 61
FEATURES = config.Features(num_mels=MELS)
SMALL = config.Encoder(d_model=32, num_layers=2, num_heads=4, feedforward_ratio=4.0)
LAYOUTS = [*mixers.available(), "mamba2 softmax"]


def recogniser(name: str, direction: str = "causal", **changes) -> Model:
    """A small model whose batch norms have running statistics of their own."""
    torch.manual_seed(0)
    settings = SMALL.model_copy(update=changes)
    model = build(FEATURES, settings, config.System(layout=name, direction=direction), OUTPUTS)
    model.train()(noise(4, seed=3))
    return model.eval()


def noise(batch: int, frames: int = FRAMES, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, frames, MELS, generator=torch.Generator().manual_seed(seed)) - 1


@torch.inference_mode()
def streamed(model: Model, frames: torch.Tensor, sizes: list[int]) -> list[torch.Tensor]:
    """The outputs after every chunk."""
    stream = StreamingRecogniser(model)
    state, outputs = stream.init_state(len(frames)), []
    for chunk in frames.split(sizes, 1):
        output, state = stream(chunk, state)
        outputs.append(output)
    return outputs


@pytest.mark.parametrize("name", LAYOUTS)
def test_after_every_chunk_the_outputs_are_those_of_the_frames_so_far(name):
    model, frames = recogniser(name), noise(2)
    sizes = [4, 1, 2, 16, 1, 1, 3, 33]
    ends = torch.tensor(sizes).cumsum(0).tolist()
    with torch.inference_mode():
        whole = [model(frames[:, :end]) for end in ends]
    torch.testing.assert_close(streamed(model, frames, sizes), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rate", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 3, 4, 7, FRAMES])
def test_chunks_of_any_size_do_at_every_subsampling(rate, size):
    model, frames = recogniser("retnet", subsampling=rate), noise(1)
    sizes = [size] * (FRAMES // size) + [FRAMES % size] * (FRAMES % size > 0)
    with torch.inference_mode():
        whole = model(frames)
    torch.testing.assert_close(streamed(model, frames, sizes)[-1], whole, rtol=1e-4, atol=1e-4)


def test_in_double_precision_the_stream_is_exact():
    """So that what float32 leaves open is rounding and nothing else."""
    model, frames = recogniser("softmax").double(), noise(2).double()
    with torch.inference_mode():
        whole = model(frames)
    torch.testing.assert_close(streamed(model, frames, [7] * 8 + [5])[-1], whole, rtol=1e-11, atol=1e-11)


def test_pooling_survives_scores_that_no_exponential_does():
    model, frames = recogniser("retnet"), noise(1)
    with torch.no_grad():
        model.pooling.score[-1].weight.mul_(1e4)
        model.pooling.score[-1].bias.fill_(1e4)
    with torch.inference_mode():
        whole = model(frames)
    assert whole.isfinite().all()
    torch.testing.assert_close(streamed(model, frames, [5] * 12 + [1])[-1], whole, rtol=1e-3, atol=1e-3)


def test_a_state_may_be_gone_back_to():
    model, frames = recogniser("kda"), noise(1)
    stream = StreamingRecogniser(model)
    with torch.inference_mode():
        _, state = stream(frames[:, :32], stream.init_state(1))
        first, _ = stream(frames[:, 32:], state)
        stream(-frames, state)
        again, _ = stream(frames[:, 32:], state)
    torch.testing.assert_close(again, first, rtol=0, atol=0)


def test_a_linear_mixers_stream_keeps_as_much_after_a_minute_as_after_a_second():
    model = recogniser("retnet")
    stream = StreamingRecogniser(model)

    def held(value) -> int:
        return value.numel() if isinstance(value, torch.Tensor) else sum(map(held, value))

    state, sizes = stream.init_state(1), []
    with torch.inference_mode():
        for _ in range(60):
            _, state = stream(noise(1, 48), state)
            sizes.append(held(state))
    assert len(set(sizes)) == 1


@pytest.mark.parametrize("name", layout.standard()[:2])
def test_a_model_that_looks_ahead_is_refused(name):
    with pytest.raises(SuiteError, match="cannot stream: its mixers look ahead; train it with --directions"):
        StreamingRecogniser(recogniser(name, "bidirectional"))


def test_a_model_of_whole_utterances_is_refused():
    cepstra = config.Cepstra()
    system = config.System(layout="reslstm_sa", direction="causal")
    with pytest.raises(SuiteError, match="LSTMSA is no encoder of mixers"):
        StreamingRecogniser(build(cepstra, config.Recurrent(), system, OUTPUTS))
    speech = config.Extractor(name="tiny", digest="0", width=24, num_layers=2)
    hidden = config.Pretrained(speech=speech)
    model = build(hidden, SMALL, config.System(layout="retnet", direction="causal"), OUTPUTS)
    with pytest.raises(SuiteError, match="hears whole utterances"):
        StreamingRecogniser(model)


def test_the_attention_adds_up_to_the_pooled_mean():
    """Against the pooled vector itself, padding included."""
    model, frames = recogniser("softmax", "bidirectional"), noise(3)
    mask = torch.arange(FRAMES) < torch.tensor([FRAMES, 40, 9])[:, None]
    with torch.inference_mode():
        shares = model.attention(frames, mask)
        encoded, real = model.encoder(frames, mask)
        pooled = model.pooling(encoded, real)
    assert shares.shape == encoded.shape[:2]
    assert not shares[~real].any()
    torch.testing.assert_close(shares.sum(1), torch.ones(3))
    mean = torch.einsum("bt,btd->bd", shares, encoded)
    torch.testing.assert_close(mean, pooled[:, :32], rtol=1e-5, atol=1e-5)
