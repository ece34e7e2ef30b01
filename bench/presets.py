"""The named presets: each a function that returns a plan, opened by its command, time and score.

    plan = presets.build("open")

A preset is a starting point: every field is also a flag (`serbench run open --seeds 0 1 2`). Plans that train
nothing are in `bench.profiles`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from bench.config import (
    Augmentation,
    Bare,
    Cepstra,
    Encoder,
    Extractor,
    Focal,
    Plan,
    Pooled,
    Pretrained,
    Profiling,
    Recipe,
    Recurrent,
    SamplerName,
    SizeName,
    WaveformAugmentation,
)
from bench.errors import SuiteError


def demo() -> Plan:
    """The mixers of the study, and any added, on a small synthetic MSP-Podcast: the whole suite with no data.

    serbench run demo

    The corpus is made in the delivered layout and read by the real loader; training is from log-mels; the
    scores are on Development, Test1 and Test2.

    Time: 2 min 11 s on two cores. The score of made speech means nothing.
    """
    return Plan(
        name="demo",
        tasks=("msp_made/official",),
        seeds=(0, 1),
        corpus_options={"turns": 400, "seed": 0},
        recipe=Recipe(epochs=8),
        profiling=Profiling(seconds=(1.0, 10.0, 60.0, 300.0), time_limit_s=0.5),
    )


def open_corpora() -> Plan:
    """The mixers of the study, and any added, from scratch on free recordings, speaker-independent.

    SER_DATA_ROOT=/data serbench run open

    Time: RAVDESS, all eight systems on five folds with one seed, 2 h on two cores that were shared. Score
    there: 54 to 60 % UAR (chance 12.5 %).
    """
    return Plan(name="open", tasks=("ravdess/luna", "emodb/loso"))


def sizes() -> Plan:
    """The mixers of the study, and any added, at 50k, 500k and 5M parameters on RAVDESS: what fits a phone.

    SER_DATA_ROOT=/data serbench run sizes
    serbench export results/checkpoints --check own                     and again with --int8 dynamic
    serbench run recurrent && serbench run mobile --tasks ravdess/luna  what they stand beside

    A size is a width and a depth of the shared encoder, every layout matched to softmax's parameters there
    (`bench.config.SIZES`; the Mamba hybrid does not fill three layers, so it has no 50k). The recipe is that
    of `open`, and two things that helped ResLSTM-SA on development speakers: training hears random speeds,
    and what dev scores and a record keeps is a mean of weights.

    Not yet run as a whole: 23 systems on five folds. `--sizes 50k --folds 0 --layouts kda` is one of them.
    """
    return Plan(
        name="sizes",
        tasks=("ravdess/luna",),
        sizes=get_args(SizeName),
        recipe=Recipe(averaging=0.9, augmentation=Augmentation(speed=0.15)),
        profiling=Profiling(targets=()),  # timed as files, once exported
    )


def recurrent() -> Plan:
    """ResLSTM-SA and LSTM-SA on the folds of their paper (arXiv 2606.03359), without its use of test data.

    SER_DATA_ROOT=/data serbench run recurrent

    Time: 30 min on a core that was shared. Score, on RAVDESS at 16 kHz, on speakers that had no say: UAR
    57.9 % over three seeds and 55.1 % from one. The paper has 62.3 ± 1.2 and 57.5 % at 48 kHz; its released
    notebook chooses the epoch on these dev speakers, the other settings by 100 trials scored on the test
    speakers.

    As published: the models, Adam with L2 decay of 1.6e-3 on all weights, cross-entropy, 100 epochs, warm
    restarts, batches drawn at random, the epoch of the best dev UAR. Ours, chosen on dev: learning rate and
    batch size; every utterance at a random speed, as 17 training speakers are few; and what dev scores and a
    record keeps is a mean of weights over about ten epochs, as one epoch alone is chosen half by chance.

    What this rests on, for ResLSTM-SA, seed 0: dev UAR % at the last epoch (mean of the last ten), mean over
    the folds, of a program written apart from the suite, with librosa's features.

        lr 3e-3, batch 8, 60 epochs, padding not masked, as published                54.8 (52.9)
        lr 1e-2, batch 32, 40 epochs, masked in time, stretched, labels smoothed     53.4 (50.8)
        lr 1e-2, batch 32, 40 epochs, recordings resampled to speeds 0.86 to 1.15    61.2 (58.8)
        the same, means of weights                                                   60.5 (60.0)

    With the epoch chosen on one dev speaker, the other has 57.5 % in the third row, 59.8 % with means. The
    program as published has 52.1 % on the test speakers, 56.1 % with the epoch chosen on them. The learning
    rates in the summary of the paper (3e-5 to 2e-4; its notebook has 1e-5 to 3e-2) fit the training speakers
    and no others, in the suite and apart: on fold 0, 2e-4 and batch 8 have 35.2 % at best, 3e-3 53.1 %.
    AdamW at 6e-3 with a cosine over 60 epochs and labels smoothed, in the suite, means of weights: 57.0, 41.1
    and 57.0 % on dev of folds 0 to 2, where these settings have 66.5, 49.2 and 62.7 % (seed 0).
    """
    return Plan(
        name="recurrent",
        tasks=("ravdess/luna",),
        layouts=("reslstm_sa", "lstm_sa"),
        directions=("causal",),
        features=Cepstra(),
        encoder=Recurrent(dropout=0.3),
        profiling=Profiling(directions=("causal",)),
        recipe=Recipe(
            epochs=100,
            batch_size=32,
            peak_lr=1e-2,
            weight_decay=1.6e-3,
            warmup_fraction=0.0,
            clip_norm=1e3,  # none: no gradient is so long
            label_smoothing=0.0,
            class_weights=False,
            augmentation=NO_AUGMENTATION.model_copy(update={"speed": 0.15, "time_stretch": 0.1}),
            optimiser="adam",
            beta2=0.999,
            decayed="all",
            schedule="restarts",
            bucketed=False,
            averaging=0.9,
        ),
    )


def paper() -> Plan:
    """The protocol of arXiv 2603.15120 on MSP-Podcast: frozen encoders, one bare mixer layer, one seed.

    SER_DATA_ROOT=/data serbench run paper

    As published: free weighted sum over WavLM-large's layers, text after speech, six mixers in the sizes
    and directions that they had (softmax both ways, the others causal), no padding mask; AdamW at 1e-4 with
    weight decay 0.01, class weights, batches of 32, 20 epochs, the rate halved when dev macro-F1 stops
    improving, crops of 5.5 s, no augmentation; the epoch of the best dev macro-F1.

    Not published, hence ours: which weights decay (all), no gradient clipping, no warm-up, float32, how long
    a plateau lasts (`bench.training.optimiser`), and where the pooling's query starts. The study trained and
    developed on the challenge's release and tested on 2.0's Test1 and Test2; here all splits are those of the
    copy that is given. Its other speech encoders: `--features.speech.name facebook/hubert-large-ll60k`,
    `facebook/wav2vec2-large-lv60`, `facebook/wav2vec2-xls-r-300m`. Speech alone: `--features.text.name ""`.

    Not yet run on the real corpus. The cost is that of WavLM-large over 20 times the training split, stated
    before the run starts. To try it: a made corpus, made encoders of one width, `--encoder.d-model` as wide,
    `--recipe.epochs 2`, `--no-profile`.
    """
    return Plan(
        name="paper",
        tasks=("msp_podcast/official",),
        layouts=("softmax", "retnet", "lightnet", "gsa", "fox", "kda"),
        directions=("published",),
        features=Pretrained(
            speech=Extractor(name="microsoft/wavlm-large"),
            layers="free",
            text=Extractor(name="google-bert/bert-large-uncased"),
        ),
        encoder=Bare(),
        recipe=Recipe(
            epochs=20,
            batch_size=32,
            peak_lr=1e-4,
            weight_decay=0.01,
            decayed="all",
            beta2=0.999,
            warmup_fraction=0.0,
            schedule="plateau",
            clip_norm=0.0,
            label_smoothing=0.0,
            max_train_s=5.5,
            augmentation=NO_AUGMENTATION,
            select_by="macro_f1",
        ),
        profiling=Profiling(
            seconds=(10.0, 50.0, 100.0, 200.0, 400.0), directions=("bidirectional", "causal")
        ),
    )


def controlled() -> Plan:
    """What the published protocol confounds, kept apart: size, direction and seed, on MSP-Podcast.

    SER_DATA_ROOT=/data serbench run controlled

    Every standard layout as residual blocks with as many parameters as softmax's (4 layers of width 256,
    50 frames a second), in both directions, from three seeds; all 16 systems of a seed hear the same batches.
    Speech alone, so that what is compared is how a mixer reads speech (`--features.text.name NAME` adds
    text). The layers' weights go through a softmax. Eight emotions and, at half their weight, arousal,
    valence and dominance by 1 − CCC; the epoch of the best dev macro-F1. bfloat16; AdamW at 5e-4 with 5 %
    warm-up and a cosine over 20 epochs of batches of 32, crops of 5.5 s, no augmentation. These choices are
    ours, made before any test score was seen, and the same for all.

    Not yet run on the real corpus. The cost is three times that of WavLM-large over 20 times the training
    split, stated before the run starts. To try it: a made corpus and encoder, `--encoder.d-model 32`,
    `--recipe.epochs 2`, `--seeds 0`, `--no-profile`.
    """
    return Plan(
        name="controlled",
        tasks=("msp_podcast/official",),
        seeds=(0, 1, 2),
        directions=("bidirectional", "causal"),
        features=Pretrained(
            speech=Extractor(name="microsoft/wavlm-large"), layers="softmax", text=Extractor(name="")
        ),
        encoder=Encoder(d_model=256, num_layers=4, num_heads=4, subsampling=1),
        recipe=Recipe(
            epochs=20,
            batch_size=32,
            peak_lr=5e-4,
            warmup_fraction=0.05,
            label_smoothing=0.0,
            max_train_s=5.5,
            augmentation=NO_AUGMENTATION,
            select_by="macro_f1",
            attribute_weight=0.5,
            precision="bfloat16",
        ),
        profiling=Profiling(directions=("bidirectional", "causal")),
    )


def scheduling() -> Plan:
    """Five samplers on RAVDESS, all else alike: which utterances in a batch, and which tasks when.

    SER_DATA_ROOT=/data serbench run scheduling

    One small system (softmax, 50k) on the five Luna-Jiménez folds from three seeds: 75 trainings. In all of
    them emotion, gender and transcript (CTC on characters) share the encoder, so that a curriculum has tasks
    to order and nothing but the sampler differs; the guide of diverse batches is the student itself. The
    report compares the samplers, paired with uniform. The weights of the tasks, the stages and the number of
    epochs are ours, made before any score was seen. RAVDESS has two sentences: what is learnt of them is
    little, and says nothing of CTC elsewhere.
    """
    return Plan(
        name="scheduling",
        tasks=("ravdess/luna",),
        seeds=(0, 1, 2),
        samplers=get_args(SamplerName),
        sizes=("50k",),
        layouts=("softmax",),
        recipe=Recipe(epochs=25, gender_weight=0.2, transcript_weight=0.2, guide="softmax"),
        profiling=Profiling(targets=()),
    )


def mobile() -> Plan:
    """The mobile system of arXiv 2512.23435: DistilHuBERT, pooled, trained with its convolutions frozen.

    SER_DATA_ROOT=/data serbench run mobile

    IEMOCAP in four classes, leave one session out, CREMA-D in every training split; then RAVDESS without any
    training on it, in the same four classes (864 clips, calm as neutral), by a model trained on both.

    Published: these corpora and protocols, DistilHuBERT (23.49 million parameters), an adaptive focal loss,
    stochastic augmentation. Not published, hence ours: what of DistilHuBERT is trained, pooling, the focal
    loss's formula (`bench.training.focal`), effects and their ranges (`bench.training.waveform`), every
    number of the recipe, and the epoch chosen on the session after the tested one.

    Frozen: `--features.tuned nothing`. Adapted: `--recipe.lora.rank 8`, with a higher rate as
    `--recipe.peak-lr 1e-3`. The mean of the frames: `--encoder.pooling mean`.

    Not yet run on the real corpora; the paper has 61.4 % UA, and 43.3 % (version 2: 46.6 %) on RAVDESS.
    To try it: `serbench models make tiny --kind distilhubert --models models`, then `--models models
    --features.speech.name tiny --tasks ravdess-as-four/luna --folds 0 --recipe.epochs 2`.
    """
    return Plan(
        name="mobile",
        tasks=("iemocap-with-crema_d/sessions", "iemocap-with-crema_d-to-ravdess-as-four/cross"),
        layouts=("pooled",),
        features=Pretrained(
            speech=Extractor(name="ntu-spml/distilhubert"), layers="last", tuned="transformer"
        ),
        encoder=Pooled(),
        recipe=Recipe(
            epochs=20,
            batch_size=32,
            peak_lr=1e-4,
            weight_decay=0.01,
            beta2=0.999,
            label_smoothing=0.0,
            augmentation=NO_AUGMENTATION,
            focal=Focal(gamma=2.0, adaptive=True),
            waveform=WaveformAugmentation(
                speed=0.3, pitch=0.2, reverberation=0.2, noise=0.3, gain=0.5, time_mask=0.5, band_mask=0.5
            ),
        ),
        profiling=Profiling(targets=()),  # timed as a whole, once exported
    )


NO_AUGMENTATION = Augmentation(time_masks=0, mel_masks=0, mel_shift_bins=0, time_stretch=0.0, gain_db=0.0)
PRESETS: dict[str, Callable[[], Plan]] = {
    "demo": demo,
    "open": open_corpora,
    "sizes": sizes,
    "recurrent": recurrent,
    "paper": paper,
    "controlled": controlled,
    "scheduling": scheduling,
    "mobile": mobile,
}


def build(name: str) -> Plan:
    """The preset of this name; SuiteError where there is none."""
    if name not in PRESETS:
        raise SuiteError(f"no preset {name!r}; there is {', '.join(PRESETS)}")
    return PRESETS[name]()
