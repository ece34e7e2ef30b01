"""What a stream keeps, and what its pooling attends to; that it equals the whole: `test_model_streams`."""

from __future__ import annotations

import torch

from bench import config
from bench.model.model import Model, build
from bench.model.streaming import StreamingRecogniser

MELS, OUTPUTS, FRAMES = 20, 5, 61
FEATURES = config.Features(num_mels=MELS)
SMALL = config.Encoder(d_model=32, num_layers=2, num_heads=4, feedforward_ratio=4.0)


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


def test_pooling_survives_scores_that_no_exponential_does():
    model, frames = recogniser("retnet"), noise(1)
    with torch.no_grad():
        model.pooling.score[-1].weight.mul_(1e4)
        model.pooling.score[-1].bias.fill_(1e4)
    with torch.inference_mode():
        whole = model(frames)
    assert whole.isfinite().all()
    torch.testing.assert_close(streamed(model, frames, [4] * 15 + [1])[-1], whole, rtol=1e-3, atol=1e-3)


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
