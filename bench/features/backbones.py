"""The speech encoders of transformers behind one call: clips of any lengths in, frames of each layer out.

    backbone = build(files)
    first, *_, last = backbone([clip, other], every=True)      # (N_i,) → L × (B, T, D)

What stands in padding reaches no real frame. Three places where it would, and what is done there:

- attention, and the convolution that encodes positions: the model zeroes and masks padded frames itself;
- the first norm of wav2vec2-base, HuBERT-base and their kin, which runs over time: `ClipwiseNorm`;
- normalisation of the samples: each clip by its own mean and deviation, before it is padded.

Whisper knows no mask: it always hears 30 s, silence after the end of a shorter clip, alone or in a batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from bench.errors import SuiteError
from bench.features import hub
from bench.features.model_files import Files, explained, load_model, quiet

SAMPLE_RATE_HZ = 16_000
HOP = 320  # samples from frame to frame
RECEPTIVE_FIELD = 400  # samples that the convolutions of one frame see
WINDOW_FRAMES = 1_500  # 30 s: what Whisper hears at once, and longer than most utterances
NORM_FLOOR = 1e-7  # added to a clip's variance, as in Wav2Vec2FeatureExtractor


class Backbone(nn.Module):
    """A speech encoder; a window is a clip of at most 30 s."""

    padded_to = 0  # frames that it computes for a window, however short

    def prepare(self, clip: Tensor) -> Tensor:
        """What is done to a whole clip (…, N) before it is cut into windows; (…, N)."""
        return clip

    def unfreeze(self, convolutions: bool) -> None:
        """Let it be trained, with its first convolutions or without."""
        raise NotImplementedError

    def forward(self, windows: Sequence[Tensor], every: bool) -> tuple[Tensor, ...]:
        """The outputs (B, T, D) of all transformer layers, or of the last alone, for windows (N_i,).

        The last is the model's output, after its final norm. Frames beyond a window's own say nothing.
        """
        raise NotImplementedError

    def unpadded(self, batch: Tensor, every: bool) -> tuple[Tensor, ...]:
        """The same of clips that fill a batch (B, N), which nothing but N is asked of."""
        frames = 1 + (batch.shape[1] - RECEPTIVE_FIELD) // HOP
        return tuple(layer[:, :frames] for layer in self(list(batch), every))


class ClipwiseNorm(nn.Module):
    """The group norm behind the first convolution, over each clip's own frames instead of the batch's."""

    def __init__(self, norm: nn.Module, kernel: int, stride: int) -> None:
        """`norm` has one group a channel; `kernel` and `stride` are the convolution's."""
        super().__init__()
        self.norm, self.kernel, self.stride = norm, kernel, stride
        self.samples: list[int] = []  # of each clip; set before each pass

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) of clips of these lengths, zero where padded; without any all fill the batch."""
        if not self.samples:
            return self.norm(hidden)
        frames = [(samples - self.kernel) // self.stride + 1 for samples in self.samples]
        rows = [self.norm(clip[None, :, :real]) for clip, real in zip(hidden, frames, strict=True)]
        return torch.cat([nn.functional.pad(row, (0, hidden.shape[2] - row.shape[2])) for row in rows])


class Waves(Backbone):
    """wav2vec 2.0 and its kin: XLS-R, HuBERT, DistilHuBERT, WavLM."""

    def __init__(self, model: Any, normalise: bool) -> None:
        """`normalise`: each clip to mean 0 and variance 1, as the model was trained."""
        super().__init__()
        self.model, self.normalise = model, normalise
        self.clipwise: ClipwiseNorm | None = None
        if model.config.feat_extract_norm == "group":
            first, config = model.feature_extractor.conv_layers[0], model.config
            self.clipwise = ClipwiseNorm(first.layer_norm, config.conv_kernel[0], config.conv_stride[0])
            first.layer_norm = self.clipwise

    def prepare(self, clip: Tensor) -> Tensor:
        """Mean 0 and variance 1 where the model wants it."""
        if not self.normalise:
            return clip
        mean, variance = clip.mean(-1, keepdim=True), clip.var(-1, unbiased=False, keepdim=True)
        return (clip - mean) / (variance + NORM_FLOOR).sqrt()

    def unfreeze(self, convolutions: bool) -> None:
        """See `Backbone`. Its own masking of hidden states is switched off, and dropping of whole layers.

        The one draws from NumPy's global stream, the other leaves out the states of what it drops.
        """
        self.model.config.apply_spec_augment = False
        self.model.config.layerdrop = 0.0
        self.requires_grad_(True)
        mask = getattr(self.model, "masked_spec_embed", None)  # only where its configuration masks
        if mask is not None:
            mask.requires_grad_(False)
        if not convolutions:
            self.model.feature_extractor._freeze_parameters()

    def forward(self, windows: Sequence[Tensor], every: bool) -> tuple[Tensor, ...]:
        """See `Backbone`."""
        lengths = [len(window) for window in windows]
        if self.clipwise is not None:
            self.clipwise.samples = lengths
        batch = pad_sequence(list(windows), batch_first=True)
        real = torch.arange(batch.shape[1]) < torch.tensor(lengths)[:, None]
        with warnings.catch_warnings():  # WavLM's mask and position bias are of two types
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            mask = real.long().to(batch.device)
            return _layers(self.model(batch, attention_mask=mask, output_hidden_states=every), every)

    def unpadded(self, batch: Tensor, every: bool) -> tuple[Tensor, ...]:
        """See `Backbone`."""
        if self.clipwise is not None:
            self.clipwise.samples = []
        return _layers(self.model(batch, output_hidden_states=every), every)


class Whisper(Backbone):
    """Whisper's encoder, on the log-mel of its own feature extractor."""

    padded_to = WINDOW_FRAMES

    def __init__(self, encoder: Any, extractor: Any) -> None:
        """`extractor`: a WhisperFeatureExtractor."""
        super().__init__()
        self.encoder, self.extractor = encoder, extractor

    def unfreeze(self, convolutions: bool) -> None:
        """See `Backbone`; positions are fixed sinusoids."""
        self.requires_grad_(True)
        self.encoder.embed_positions.requires_grad_(False)
        for first in (self.encoder.conv1, self.encoder.conv2):
            first.requires_grad_(convolutions)

    def forward(self, windows: Sequence[Tensor], every: bool) -> tuple[Tensor, ...]:
        """See `Backbone`."""
        device = windows[0].device
        with torch.autocast(device.type, enabled=False):  # the log-mel needs float32
            mels = self.extractor(
                [window.cpu().numpy() for window in windows],
                sampling_rate=SAMPLE_RATE_HZ,
                return_tensors="pt",
                device=str(device),
            )
        return _layers(self.encoder(mels.input_features.to(device), output_hidden_states=every), every)


def build(files: Files) -> Backbone:
    """The encoder in these files; SuiteError where they are damaged or give no 50 frames a second."""
    extractor = _feature_extractor(files)
    if extractor.sampling_rate != SAMPLE_RATE_HZ:
        raise _unfit(files, f"wants {extractor.sampling_rate} Hz audio, where 16000 Hz is read")
    model = load_model(files)
    if files.kind == "whisper":
        if not extractor.n_samples == model.config.max_source_positions * HOP == WINDOW_FRAMES * HOP:
            raise _unfit(files, "does not hear 30 s at once")
        if extractor.feature_size != model.config.num_mel_bins:
            raise _unfit(files, "computes another number of mel bins than its encoder takes")
        return Whisper(model.encoder, extractor)
    if _geometry(model.config) != (HOP, RECEPTIVE_FIELD) or getattr(model.config, "add_adapter", False):
        raise _unfit(files, "does not give one frame of 400 samples every 320")
    return Waves(model, extractor.do_normalize)


def _layers(output: Any, every: bool) -> tuple[Tensor, ...]:
    """The layers' outputs. Not all versions of transformers put the final norm into `hidden_states[-1]`."""
    if not every:
        return (output.last_hidden_state,)
    return (*output.hidden_states[1:-1], output.last_hidden_state)


def _feature_extractor(files: Files) -> Any:
    """As beside the weights, else the family's own: wav2vec 2.0's normalises each clip."""
    from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

    family = WhisperFeatureExtractor if files.kind == "whisper" else Wav2Vec2FeatureExtractor
    with explained(files.subject, "what it does to samples cannot be read"), quiet():
        if any((files.folder / name).is_file() for name in hub.INPUTS):
            return family.from_pretrained(files.folder)
        return family(feature_size=files.config.num_mel_bins) if files.kind == "whisper" else family()


def _geometry(config: Any) -> tuple[int, int]:
    """Samples from frame to frame, and samples that a frame sees."""
    field, hop = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        field, hop = field + (kernel - 1) * hop, hop * stride
    return hop, field


def _unfit(files: Files, why: str) -> SuiteError:
    return SuiteError(f"{files.subject} {why}; choose another speech encoder")
