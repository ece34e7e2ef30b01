"""ResLSTM-SA and LSTM-SA: whole models of LSTMs and attention over time, which hold no mixer.

    model = build(Cepstra(), Recurrent(), System(layout="reslstm_sa", direction="causal"), num_outputs=8)
    logits = model(frames, mask)            # (B, T, 46), (B, T) → (B, 8)

    x' = BatchNorm(x + LSTM(x))             ResLSTM-SA only
    h = LSTM(x')
    a_t = softmax_t(uᵀ h_t) ;  y = W Dropout(BatchNorm(Σ a_t h_t)) + b

Krasnoproshin and Vashkevich 2026, arXiv 2606.03359. There, padded frames enter both the attention and the
statistics of the first norm, so that an utterance's logits depend on its batch; here neither sees them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench import config
from bench.errors import SuiteError
from bench.evidence.records import Parameters
from bench.features.encoders import Heard
from bench.model.encoder import MaskedBatchNorm
from bench.model.model import Encoded, Model, size
from bench.model.pooling import masked_softmax
from mixers.contract import silence
from mixers.ops.packing import packed, places


def build(
    features: config.AnyFeatures, settings: config.Recurrent, system: config.System, num_outputs: int
) -> LSTMSA:
    """An untrained model, drawn from torch's global random stream; SuiteError for other features."""
    if not isinstance(features, config.Cepstra):
        raise SuiteError(
            f"layout {system.layout!r} hears cepstra, not {type(features).__name__}; "
            "train it with `serbench run recurrent`"
        )
    return LSTMSA(features.width, settings, num_outputs, residual=system.layout == "reslstm_sa")


class LSTMSA(Model):
    """LSTM, attention over real frames, batch norm, linear head; in front a residual LSTM or nothing."""

    def __init__(self, width: int, settings: config.Recurrent, num_outputs: int, residual: bool) -> None:
        super().__init__()
        self.frame_width = self.pooled_width = settings.hidden
        self.residual = ResidualLSTM(width) if residual else None
        self.lstm = _lstm(width, settings.hidden)
        self.query = nn.Parameter(nn.init.xavier_normal_(torch.empty(settings.hidden, 1)))
        self.norm = nn.BatchNorm1d(settings.hidden)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(settings.hidden, num_outputs)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def encode(self, heard: Heard) -> Encoded:
        """Cepstra (B, T, M) float, mask (B, T) bool with True = real → frames and pooled, H wide."""
        frames, mask = heard.frames, heard.mask
        if mask is not None:
            frames, mask = _real_first(frames, mask)
        if self.residual is not None:
            frames = self.residual(frames, mask)
        hidden = self.lstm(frames)[0]
        weights = masked_softmax((hidden @ self.query).squeeze(-1), mask).to(hidden)
        pooled = (weights.unsqueeze(1) @ hidden).squeeze(1)
        return Encoded(hidden, mask, _batch_normed(pooled, self.norm))

    def read(self, encoded: Encoded) -> Tensor:
        """(B, num_outputs) of encoded utterances."""
        return self.head(self.dropout(encoded.pooled))

    def parameter_counts(self) -> Parameters:
        """Trained parameters in all; there are no mixers and no feed-forward."""
        return Parameters(total=size(self), mixers=0, feedforward_width=0)


class ResidualLSTM(nn.Module):
    """BatchNorm(x + LSTM(x)) over real frames: (B, T, D) → (B, T, D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = _lstm(width, width)
        self.norm = MaskedBatchNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x with the mask (B, T) of its frames."""
        summed = x + self.lstm(x)[0]
        return self.norm(summed.mT.unsqueeze(-1), mask).squeeze(-1).mT


def _lstm(width: int, hidden: int) -> nn.LSTM:
    """Xavier-normal input weights, orthogonal recurrent ones, and both biases of the forget gate 1."""
    lstm = nn.LSTM(width, hidden, batch_first=True)
    weights = dict(lstm.named_parameters())
    nn.init.xavier_normal_(weights["weight_ih_l0"])
    nn.init.orthogonal_(weights["weight_hh_l0"])
    for name in ("bias_ih_l0", "bias_hh_l0"):
        nn.init.zeros_(weights[name])
        nn.init.ones_(weights[name][hidden : 2 * hidden])  # the gates: input, forget, cell, output
    return lstm


def _real_first(frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Each utterance's real frames in their order, then zeros; and the mask of that.

    A forward LSTM knows nothing of what comes after, and attention does not care where a frame stands.
    """
    place = places(mask)
    return packed(silence(frames, mask), place), packed(mask, place)


def _batch_normed(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """`norm` of (B, C); one utterance alone has no statistics of its own, even in training."""
    own = norm.training and len(x) > 1
    return F.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, own, norm.momentum or 0.0, norm.eps
    )
