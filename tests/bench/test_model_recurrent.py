"""ResLSTM-SA and LSTM-SA: the published size and equations, and no trace of padding."""

import numpy as np
import pytest
import torch

from bench import corpora, presets
from bench.config import Cepstra, Encoder, Features, Recurrent, System
from bench.errors import SuiteError
from bench.model import layout, model, recurrent
from bench.report import style
from bench.training import grid

LAYOUTS = ("reslstm_sa", "lstm_sa")
LENGTHS = (31, 20, 1)


def build(name: str, **settings) -> recurrent.LSTMSA:
    torch.manual_seed(0)
    system = System(layout=name, direction="causal")
    return model.build(Cepstra(), Recurrent(**settings), system, 8)


def used(name: str) -> recurrent.LSTMSA:
    """In evaluation, with running statistics and norm weights that are not those of the start."""
    net = build(name)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            for value in (module.running_mean, module.running_var, module.weight, module.bias):
                torch.nn.init.uniform_(value, 0.5, 1.5)
    return net.eval()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(3, 31, 46), torch.arange(31) < torch.tensor(LENGTHS)[:, None]


@pytest.mark.parametrize(("hidden", "parameters"), [(32, 27_988), (64, 46_772), (128, 108_916)])
def test_reslstm_sa_has_the_published_number_of_parameters(hidden, parameters):
    counts = build("reslstm_sa", hidden=hidden).parameter_counts()
    assert (counts.total, counts.mixers, counts.feedforward_width) == (parameters, 0, 0)


def test_lstm_sa_is_reslstm_sa_without_its_residual_lstm_and_norm():
    """An LSTM from 46 to 46 has 4 · 46 · (46 + 46 + 2) parameters, its norm 2 · 46."""
    totals = [build(name).parameter_counts().total for name in LAYOUTS]
    assert totals[0] - totals[1] == 4 * 46 * 94 + 92


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Hochreiter and Schmidhuber's cell with a forget gate, frame by frame: (T, D) → (T, H)."""
    w, u = weights[f"{name}.weight_ih_l0"], weights[f"{name}.weight_hh_l0"]
    bias = weights[f"{name}.bias_ih_l0"] + weights[f"{name}.bias_hh_l0"]
    h = c = np.zeros(u.shape[1])
    out = []
    for frame in x:
        enter, forget, cell, leave = np.split(w @ frame + u @ h + bias, 4)
        c = sigmoid(forget) * c + sigmoid(enter) * np.tanh(cell)
        h = sigmoid(leave) * np.tanh(c)
        out.append(h)
    return np.stack(out)


def normed(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Batch normalisation with running statistics."""
    mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
    return (x - mean) / np.sqrt(var + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_logits_are_the_papers_equations(name):
    net = used(name)
    weights = {key: value.double().numpy() for key, value in net.state_dict().items()}
    frames = batch()[0][:1]
    x = frames[0].double().numpy()
    if name == "reslstm_sa":
        x = normed(x + lstm(x, weights, "residual.lstm"), weights, "residual.norm.norm")
    h = lstm(x, weights, "lstm")
    a = np.exp(h @ weights["query"][:, 0])
    pooled = normed((a[:, None] * h).sum(0) / a.sum(), weights, "norm")
    expected = weights["head.weight"] @ pooled + weights["head.bias"]
    np.testing.assert_allclose(net(frames)[0].detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", ["right", "left", "between"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_an_utterance_gets_the_same_logits_alone_and_in_any_batch(name, side):
    net = used(name)
    frames, mask = batch()
    if side == "left":
        mask = mask.flip(1)
    if side == "between":
        mask = mask[:, torch.randperm(31)]
    frames[~mask] = torch.nan  # whatever stands in the padding
    together = net(frames, mask)
    for i in range(len(LENGTHS)):
        alone = net(frames[i][mask[i]].unsqueeze(0))
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LAYOUTS)
def test_padding_changes_no_gradient_and_no_statistic_in_training(name):
    """Of utterances of one length, with and without padding behind them."""
    torch.manual_seed(1)
    frames = torch.randn(16, 31, 46)
    padded = torch.cat([frames, torch.full((16, 9, 46), torch.nan)], 1)
    mask = torch.arange(40).expand(16, 40) < 31
    nets = [build(name, dropout=0.0) for _ in range(2)]
    for net, inputs in zip(nets, [(frames, None), (padded, mask)], strict=True):
        net(*inputs).square().sum().backward()
    for (key, one), other in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-5, msg=key)
    for (key, one), other in zip(nets[0].named_buffers(), nets[1].buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=key)


def test_the_residual_norm_takes_its_statistics_from_real_frames_alone():
    net = build("reslstm_sa")
    frames, mask = batch()
    x = frames.masked_fill(~mask.unsqueeze(-1), 0)
    real = (x + net.residual.lstm(x)[0])[mask]
    net(frames, mask)
    torch.testing.assert_close(net.residual.norm.norm.running_mean, 0.1 * real.mean(0), rtol=1e-4, atol=1e-5)


def test_one_utterance_alone_can_be_trained_on():
    net = build("reslstm_sa")
    before = net.norm.running_mean.clone()
    net(batch()[0][:1]).sum().backward()
    assert torch.equal(net.norm.running_mean, before)
    assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_utterance_without_a_real_frame_leaves_its_batch_finite(name):
    frames, mask = batch()
    mask[1] = False
    assert torch.isfinite(used(name)(frames, mask)).all()


def test_weights_start_as_published():
    net = build("reslstm_sa", hidden=256)
    h = 256
    torch.testing.assert_close(
        net.lstm.weight_hh_l0.mT @ net.lstm.weight_hh_l0, torch.eye(h), rtol=0, atol=1e-4
    )
    xavier = (2 / (46 + 4 * h)) ** 0.5
    assert net.lstm.weight_ih_l0.std().item() == pytest.approx(xavier, rel=0.05)
    assert net.query.std().item() == pytest.approx((2 / (h + 1)) ** 0.5, rel=0.2)
    assert net.head.weight.abs().max().item() <= (6 / (h + 8)) ** 0.5
    assert not net.head.bias.any()
    for bias in (net.lstm.bias_ih_l0, net.lstm.bias_hh_l0):
        assert (bias[h : 2 * h] == 1).all()
        assert bias.sum() == h


def test_both_systems_are_layouts_of_their_own():
    for name in LAYOUTS:
        assert layout.canonical(f" {name} ") == name
        assert layout.parse(name) == (name,)
        assert layout.label(name).mixers == (name,)
        assert layout.label(name).paper == "arXiv 2606.03359"
        assert name not in layout.standard()
    assert layout.label("reslstm_sa").text == "ResLSTM-SA"


@pytest.mark.parametrize("text", ["reslstm_sa softmax", "softmax lstm_sa", "lstm_sa*2", "lstm_sa reslstm_sa"])
def test_a_whole_model_stands_alone_in_a_layout(text):
    with pytest.raises(SuiteError, match="whole model, which stands alone"):
        layout.canonical(text)


def test_a_whole_model_fills_no_layers():
    with pytest.raises(SuiteError, match="is a whole model"):
        layout.expand("lstm_sa", 4)


@pytest.mark.parametrize(
    ("name", "direction", "encoder", "said"),
    [
        ("softmax", "causal", Recurrent(), "holds no mixer; choose from reslstm_sa, lstm_sa"),
        ("lstm_sa", "causal", Encoder(), "is a whole model, not a mixer"),
        ("reslstm_sa", "bidirectional", Recurrent(), "run forward only"),
    ],
)
def test_a_system_that_does_not_fit_its_encoder_is_refused(name, direction, encoder, said):
    with pytest.raises(SuiteError, match=said):
        model.build(Cepstra(), encoder, System(layout=name, direction=direction), 8)


def test_log_mel_is_refused():
    with pytest.raises(SuiteError, match="hears cepstra, not Features"):
        model.build(Features(), Recurrent(), System(layout="lstm_sa", direction="causal"), 8)


def test_the_preset_trains_both_systems_on_every_fold_of_the_paper(make_corpus):
    manifest = corpora.load("ravdess", make_corpus("ravdess", ["03-01-05-02-01-01-12.wav"], seconds=0.1))
    cells = grid.cells(presets.build("recurrent"), lambda name: manifest)
    assert {(cell.system.layout, cell.task.fold) for cell in cells} == {
        (name, fold) for name in LAYOUTS for fold in range(5)
    }
    assert {cell.task.protocol for cell in cells} == {"luna"}
    for cell in cells:
        assert model.build(cell.features, cell.encoder, cell.system, 8).parameter_counts().mixers == 0


def test_a_plan_that_puts_a_mixer_into_a_recurrent_model_stops_before_it_starts():
    plan = presets.build("recurrent").model_copy(update={"layouts": ("softmax",)})
    with pytest.raises(SuiteError, match="holds no mixer"):
        grid.cells(plan, lambda name: pytest.fail("the corpus was read"))


def test_each_has_a_colour_of_its_own():
    looks = style.assign(LAYOUTS)
    assert len({looks[name] for name in (*LAYOUTS, "softmax", "retnet")}) == 4
