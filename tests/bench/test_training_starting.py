"""Trained speech encoders, low-rank updates and earlier runs, from recordings to predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from bench import corpora, presets
from bench.cli import run_command
from bench.config import (
    Cepstra,
    Encoder,
    Extractor,
    Features,
    Focal,
    Lora,
    Plan,
    Pooled,
    Pretrained,
    Recipe,
    Recurrent,
    WaveformAugmentation,
)
from bench.corpora import combination
from bench.corpora.joining import CROSS
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.features.audio import read
from bench.features.made_models import make
from bench.folders import Folders
from bench.presets import NO_AUGMENTATION
from bench.training import checkpoint, grid, starting
from bench.training.run import Job, run_cohort
from bench.training.waveform import EFFECTS

OPTIONS = {"speakers": 6, "per_speaker": 5, "seed": 0}
NOISE = WaveformAugmentation(noise=0.5, speed=0.5)
ADAPTIVE = Focal(gamma=2.0, adaptive=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A models folder with one small encoder, a cache, and results."""
    folder = tmp_path_factory.mktemp("root")
    make(folder / "models" / "tiny", "distilhubert")
    return folder


@pytest.fixture
def folders(root) -> Folders:
    return Folders(root / "results", root / "cache", models=root / "models")


def plan(
    tuned="transformer",
    layouts=("pooled",),
    encoder=None,
    features=None,
    directions=("bidirectional",),
    **recipe,
) -> Plan:
    speech = Pretrained(speech=Extractor(name="tiny"), layers="last", tuned=tuned)
    settings = {"epochs": 1, "batch_size": 6, "peak_lr": 3e-3, "augmentation": NO_AUGMENTATION} | recipe
    return Plan(
        name="toy",
        tasks=("synthetic/speakers",),
        folds=(0,),
        layouts=layouts,
        directions=directions,
        corpus_options=OPTIONS,
        features=features or speech,
        encoder=encoder or Pooled(),
        recipe=Recipe(**settings),
    )


def run(chosen: Plan, folders: Folders):
    """Records of a plan of one cohort, trained here."""
    resolved = grid.resolved(chosen, folders)
    cells = grid.cells(resolved, lambda corpus: grid.manifest(resolved, corpus, folders))
    grid.starting.check(cells, folders.results, folders.models)
    records = run_cohort(Job("toy", tuple(cells)), folders)
    assert [record.reason for record in records] == [""] * len(records)
    return records


def logits(store: Store, record) -> pd.DataFrame:
    table = store.predictions(record.id)
    return table[table["split"] == "test"].filter(like="logit_").set_axis(record.emotions, axis=1)


def weights(store: Store, record) -> dict[str, torch.Tensor]:
    return torch.load(store.checkpoint_path(record.id), weights_only=True)["weights"]


def close(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=0, atol=0)


@pytest.fixture(scope="module")
def adapted(root):
    """A run whose speech encoder was adapted, with all that `mobile` asks of a recipe."""
    places = Folders(root / "results", root / "cache", models=root / "models")
    return run(plan(lora=Lora(rank=4), focal=ADAPTIVE, waveform=NOISE), places)[0]


def test_an_adapted_students_checkpoint_recognises_as_training_predicted(adapted, folders):
    """Training scored with the updates apart, the checkpoint has them merged."""
    store = Store(folders.results)
    trained = checkpoint.load(store.checkpoint_path(adapted.id), folders.models)
    assert not any("parametrizations.weight.0" in name for name, _ in trained.model.named_parameters())
    corpus = adapted.config.task
    manifest = grid.manifest(plan(), corpus.corpus, folders)
    test = store.predictions(adapted.id).query("split == 'test'").head(4)
    paths = manifest.table.set_index("utterance")["path"]
    for _, row in test.iterrows():
        heard = trained.hear(read(manifest.root / paths[row["utterance"]], 16_000))
        with torch.inference_mode():
            found = trained.model(*heard)[0].numpy()
        np.testing.assert_allclose(found, row.filter(like="logit_").to_numpy(float), atol=1e-5)


def test_a_record_counts_what_ships_and_what_was_trained(adapted, root):
    frozen = run(plan("nothing"), Folders(root / "frozen", root / "cache", models=root / "models"))[0]
    tiny = checkpoint.load(Store(root / "results").checkpoint_path(adapted.id), root / "models").model
    assert adapted.parameters.total == sum(parameter.numel() for parameter in tiny.parameters())
    maps = [m for m in tiny.speech.modules() if isinstance(m, torch.nn.Linear)]
    updates = sum(4 * (m.in_features + m.out_features) for m in maps)
    assert adapted.parameters.trained == frozen.parameters.total + updates
    assert frozen.parameters.trained is None


def test_adaptation_leaves_all_but_projections_as_they_were(adapted, folders):
    original = checkpoint._untrained(adapted.config, folders.models).backbone.state_dict()
    learned = weights(Store(folders.results), adapted)
    changed = {
        name for name, value in original.items() if not close(learned[f"speech.backbone.{name}"], value)
    }
    assert changed
    assert all(name.endswith(".weight") and original[name].ndim == 2 for name in changed)


def test_fine_tuning_leaves_the_convolutions_as_they_were_and_moves_the_rest(folders):
    record = run(plan("transformer"), folders)[0]
    original = checkpoint._untrained(record.config, folders.models).backbone.state_dict()
    learned = weights(Store(folders.results), record)
    changed = {
        name for name, value in original.items() if not close(learned[f"speech.backbone.{name}"], value)
    }
    assert changed
    assert not [name for name in changed if "feature_extractor" in name]


def test_the_same_cell_trains_to_the_same_weights_however_many_mates(adapted, root, folders):
    """Augmentation, dropout and the running recall are drawn from the cell's own streams."""
    encoder = Encoder(d_model=16, num_layers=1, num_heads=2, subsampling=2)
    recipe = {"focal": ADAPTIVE, "waveform": NOISE}
    both = run(plan(layouts=("softmax", "kda"), encoder=encoder, **recipe), folders)
    alone = run(
        plan(layouts=("kda",), encoder=encoder, **recipe),
        Folders(root / "alone", root / "cache", models=root / "models"),
    )
    store = Store(folders.results)
    mates, own = weights(store, both[1]), weights(Store(root / "alone"), alone[0])
    assert both[1].id == alone[0].id
    for name, value in own.items():
        torch.testing.assert_close(mates[name], value, rtol=0, atol=0)


def test_a_run_may_start_from_another_and_adapt_its_mixers(folders):
    reader = {"encoder": Encoder(d_model=16, num_layers=2, num_heads=2), "layouts": ("mamba2 softmax",)}
    first = run(plan("nothing", **reader), folders)[0]
    later = run(plan("nothing", **reader, start=first.id, lora=Lora(rank=2)), folders)[0]
    store = Store(folders.results)
    before, after = weights(store, first), weights(store, later)
    moved = {name for name, value in before.items() if not close(after[name], value)}
    free = {name for name in before if name.startswith(("pooling.", "head."))}
    counted = {name for name in moved if "running_" in name or "num_batches" in name}
    projections = {name for name in before if ".mixer." in name and before[name].ndim == 2}
    assert free <= moved
    assert moved - free - counted <= projections
    assert (moved - free - counted) & {
        "encoder.blocks.0.mixer.out.weight",
        "encoder.blocks.1.mixer.out.weight",
    }
    scores = (logits(store, record).to_numpy() for record in (first, later))
    assert not np.allclose(*scores)


def test_it_learns_from_a_teacher_in_diverse_batches_with_other_heads_and_a_mean_of_weights(adapted, folders):
    teacher = Store(folders.results).checkpoint_path(adapted.id)
    beside = {"gender_weight": 0.2, "sampler": "diverse", "guide": "pooled", "averaging": 0.5}
    chosen = plan(teacher=(str(teacher),), lora=Lora(rank=2), focal=ADAPTIVE, epochs=2, **beside)
    record = run(chosen, folders)[0]
    assert set(record.curve[-1].further_losses) == {"gender", "logits", "features"}
    names = weights(Store(folders.results), record)
    assert names.keys() == weights(Store(folders.results), adapted).keys()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"tuned": "nothing", "lora": Lora(rank=2)}, "needs weights that were trained before"),
        (
            {"start": "0123456789abcdef"},
            "no checkpoint .*0123456789abcdef.pt; name a run of this results folder",
        ),
        (
            {"tuned": "nothing", "waveform": NOISE, "features": Features(), "encoder": Encoder()}
            | {"layouts": ("softmax",)},
            "augmentation of the waveform is for features of a pretrained speech encoder, .*noise 0",
        ),
        (
            {"tuned": "nothing", "features": Cepstra(), "encoder": Recurrent(), "layouts": ("lstm_sa",)}
            | {"directions": ("causal",), "start": "0123456789abcdef", "lora": Lora(rank=2)}
            | {"augmentation": NO_AUGMENTATION},
            "layout 'lstm_sa' holds no mixer",
        ),
        (
            {"tuned": "nothing", "encoder": Encoder(), "layouts": ("kda",), "start": "0123456789abcdef"}
            | {"sampler": "diverse"},
            r"another system \(layout softmax, not kda\).* with --recipe.guide",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is(changed, sentence, folders):
    with pytest.raises(SuiteError, match=sentence):
        grid.run(plan(**changed), folders, workers=1)


def test_an_earlier_run_of_another_model_is_refused(adapted, folders):
    chosen = plan("all", start=adapted.id)
    with pytest.raises(
        SuiteError, match=r"that run has another features \(tuned transformer, not all\); both"
    ):
        grid.run(chosen, folders, workers=1)


def test_an_earlier_run_that_may_have_heard_who_is_scored_is_refused(adapted, folders):
    cell = adapted.config
    recipe = cell.recipe.model_copy(update={"start": adapted.id})
    same = cell.model_copy(update={"recipe": recipe})
    other = same.model_copy(update={"task": cell.task.model_copy(update={"fold": 1})})
    starting.check([same], folders.results, folders.models)
    with pytest.raises(SuiteError, match=r"fold 0, may have heard speakers on whom .* fold 1 is scored"):
        starting.check([other, same], folders.results, folders.models)


@pytest.mark.parametrize(("tuned", "waveform"), [("all", WaveformAugmentation()), ("nothing", NOISE)])
def test_states_that_change_from_pass_to_pass_are_not_cached(tuned, waveform, folders):
    cached = Folders(**(vars(folders) | {"feature_plan": "cache"}))
    with pytest.raises(SuiteError, match="choose --feature-plan fly"):
        grid.run(plan(tuned, waveform=waveform), cached, workers=1)


def test_augmented_clips_reach_a_frozen_encoder_on_the_fly(folders):
    record = run(plan("nothing", waveform=NOISE), folders)[0]
    assert record.cost.feature_plan == "fly"


@pytest.mark.slow
def test_mobile_runs_through_to_a_prediction(root, folders, capsys):
    """The preset on made speech and a random DistilHuBERT, resumed, reported and asked about a clip."""
    results = root / "mobile"
    arguments = [
        *("run", "mobile", "--tasks", "synthetic/speakers", "--folds", "0", "--recipe.epochs", "1"),
        *("--features.speech.name", "tiny", "--models", str(root / "models"), "--cache", str(root / "cache")),
        *("--results", str(results), "--corpus-options", "speakers", "6", "per_speaker", "5", "seed", "0"),
    ]
    assert run_command(arguments) == 0
    said = capsys.readouterr()
    assert "computed by each student, which trains the encoder" in said.err
    assert "tiny, pooled" in (results / "leaderboard.md").read_text()
    assert run_command(arguments) == 0
    assert "1 already done" in capsys.readouterr().out
    clip = next((root / "cache").rglob("*.flac"))
    read_clip = ["predict", str(clip), "--results", str(results), "--models", str(root / "models")]
    assert run_command(read_clip) == 0
    shares = capsys.readouterr().out.splitlines()[1].split(",")[1:]
    assert sum(map(float, shares)) == pytest.approx(1, abs=2e-3)


def test_mobile_is_what_its_docstring_says():
    chosen = presets.build("mobile")
    assert chosen.features.speech.name == "ntu-spml/distilhubert"
    assert (chosen.features.tuned, chosen.recipe.focal) == ("transformer", ADAPTIVE)
    assert chosen.recipe.waveform.chosen == tuple(EFFECTS)
    own, zero_shot = (task.split("/") for task in chosen.tasks)
    found = [combination.parse(name, corpora.names()) for name in (own[0], zero_shot[0])]
    assert [(each.sources, each.added) for each in found] == [(("iemocap",), ("crema_d",))] * 2
    assert [each.target for each in found] == ["", "ravdess"]
    assert own[1] in corpora.find("iemocap").PROTOCOLS
    assert zero_shot[1] == CROSS
