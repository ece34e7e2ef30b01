"""Cohorts over frozen encoders: heard once for all students, alike from the cache, and in no checkpoint."""

from __future__ import annotations

import re
import threading
from collections import Counter

import numpy as np
import pytest
import torch
from training_fixtures import toy_cells, toy_normaliser, toy_split

from bench import corpora
from bench.config import Augmentation, Bare, Cell, Encoder, Extractor, Pretrained, Recipe, System, Task
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.features.encoders import Encoders
from bench.features.plan import open_source
from bench.features.pretrained import resolve_features
from bench.features.speech import frames_of
from bench.folders import Folders
from bench.presets import NO_AUGMENTATION
from bench.training import checkpoint, listening, reading
from bench.training.cohort import Cohort
from bench.training.fit import fit
from bench.training.listening import Hidden
from bench.training.reading import Loader
from bench.training.run import Job, run_cohort
from bench.training.split import Batches, Split, buckets

CPU = torch.device("cpu")
OPTIONS = {"turns": 100}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def manifest(cache):
    return corpora.load("msp_made", None, OPTIONS, cache)


@pytest.fixture(scope="module")
def features(models) -> Pretrained:
    return resolve_features(Pretrained(speech=Extractor(name="wavlm"), text=Extractor(name="bert")), models)


@pytest.fixture
def folders(cache, models, tmp_path) -> Folders:
    return Folders(tmp_path / "results", cache, models=models, feature_plan="fly")


def cells(manifest, features, *layouts: str, encoder=None, **recipe) -> tuple[Cell, ...]:
    task = Task(corpus="msp_made", protocol=manifest.protocol("official"), corpus_options=OPTIONS)
    encoder = encoder or Encoder(d_model=16, num_layers=1, num_heads=2, subsampling=2, dropout=0.1)
    settings = {"epochs": 2, "batch_size": 8, "augmentation": NO_AUGMENTATION} | recipe
    return tuple(
        Cell(
            task=task,
            seed=0,
            system=System(layout=name),
            features=features,
            encoder=encoder,
            recipe=Recipe(**settings),
        )
        for name in layouts
    )


def splits(manifest, source, train=24, dev=12) -> tuple[Split, Split]:
    """The first utterances of train and dev."""
    assignment = manifest.assign("official", 0)
    some = [assignment[assignment == name].head(n) for name, n in (("train", train), ("dev", dev))]
    return tuple(Split.of(manifest, source.store, part, part.iloc[0], source.texts) for part in some)


def trained(manifest, chosen, folders, plan: str, folder, on_epoch=lambda done: None) -> Cohort:
    source = open_source(
        manifest, chosen[0].features, Folders(**(vars(folders) | {"feature_plan": plan})), CPU
    )
    return fit(chosen, *splits(manifest, source), None, folder, on_epoch, source.encoders)


@pytest.fixture
def runs(monkeypatch) -> Counter:
    """How often each encoder has run."""
    counted: Counter = Counter()
    real = Encoders.forward

    def counting(self, *arguments):
        counted["both"] += 1
        return real(self, *arguments)

    monkeypatch.setattr(Encoders, "forward", counting)
    return counted


@pytest.mark.parametrize("layouts", [("softmax",), ("softmax", "retnet", "kda")])
def test_the_encoders_run_once_a_batch_however_many_students(
    manifest, features, folders, tmp_path, runs, layouts
):
    trained(manifest, cells(manifest, features, *layouts), folders, "fly", tmp_path)
    assert runs["both"] == 2 * (24 / 8 + np.ceil(12 / 8))


def test_scoring_hears_each_held_out_batch_once_for_all_students(manifest, features, folders, runs):
    records = run_cohort(Job("toy", cells(manifest, features, "softmax", "retnet", epochs=1)), folders)
    batches = {name: -(-count // 8) for name, count in records[0].utterances.items()}
    assert runs["both"] == sum(batches.values()) + batches["dev"]


def test_both_plans_train_to_the_same_weights_but_for_rounding(manifest, features, folders, tmp_path):
    (cell,) = chosen = cells(manifest, features, "softmax", max_train_s=99.0, peak_lr=1e-3)
    both = [trained(manifest, chosen, folders, plan, tmp_path / plan) for plan in ("fly", "cache")]
    fly, cached = (cohort.student(cell) for cohort in both)
    assert [epoch.train_loss for epoch in fly.curve] == pytest.approx(
        [epoch.train_loss for epoch in cached.curve], rel=2e-3
    )
    for (name, one), other in zip(fly.model.named_parameters(), cached.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=5e-3, msg=name)


@pytest.mark.parametrize("plan", ["fly", "cache"])
def test_both_plans_give_a_batch_the_frames_of_its_clips_alone(manifest, features, folders, plan):
    """Nothing of the padding, or of the other clips, is in what an utterance's students hear."""
    chosen = Folders(**(vars(folders) | {"feature_plan": plan}))
    source = open_source(manifest, features, chosen, CPU)
    fly = open_source(manifest, features, folders, CPU)
    (cell,) = cells(manifest, features, "softmax")
    train, _ = splits(manifest, source)
    alone, _ = splits(manifest, fly)
    heard = listening.build(cell, None, source.encoders)(Batches(train, [np.arange(8)])[0])
    for row in range(8):
        batch = Batches(alone, [np.array([row])])[0]
        expected = fly.encoders(batch.frames, batch.mask, batch.transcripts)
        length, words = expected.mask.sum(), expected.text_mask.sum()
        assert heard.mask[row].sum() == length
        assert heard.text_mask[row].sum() == words
        close = {"rtol": 2**-9, "atol": 5e-4}
        torch.testing.assert_close(heard.frames[row, :length], expected.frames[0], **close)
        torch.testing.assert_close(heard.text[row, :words], expected.text[0, :words], **close)
        assert not heard.frames[row, length:].any()


def test_predictions_do_not_depend_on_the_batch(manifest, features, folders, tmp_path):
    from bench.training import scoring

    (cell,) = chosen = cells(manifest, features, "gsa", epochs=1)
    cohort = trained(manifest, chosen, folders, "fly", tmp_path)
    dev = splits(manifest, open_source(manifest, features, folders, CPU))[1]
    together = scoring.predict(cohort, cell, {"dev": dev})
    cohort.recipe = cell.recipe.model_copy(update={"batch_size": 1})
    alone = scoring.predict(cohort, cell, {"dev": dev})
    logits = [name for name in together if name.startswith("logit_")]
    np.testing.assert_allclose(together[logits], alone[logits], atol=1e-4)


class Killed(Exception):
    """Stands for a kill between two epochs."""


@pytest.mark.parametrize("plan", ["fly", "cache"])
def test_a_killed_cohort_continues_to_the_same_weights(manifest, features, folders, tmp_path, plan):
    chosen = cells(manifest, features, "softmax", "retnet", epochs=3, max_train_s=1.2)
    whole = trained(manifest, chosen, folders, plan, tmp_path / "whole")

    def kill(done):
        if done == 1:
            raise Killed

    with pytest.raises(Killed):
        trained(manifest, chosen, folders, plan, tmp_path / "killed", kill)
    resumed = trained(manifest, chosen, folders, plan, tmp_path / "killed")
    for cell in chosen:
        one, other = (cohort.student(cell).model.state_dict() for cohort in (whole, resumed))
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_frozen_weights_stand_in_no_checkpoint(manifest, features, folders, tmp_path):
    chosen = cells(manifest, features, "softmax", epochs=1)
    cohort = trained(manifest, chosen, folders, "fly", tmp_path)
    assert isinstance(cohort.listening, Hidden)
    assert cohort.listening.outside
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    weights = {name for name in kept if torch.is_tensor(kept[name])}
    student = f"students.{chosen[0].id}"
    assert {name.rsplit(".", 1)[0].split(".model.")[0] for name in weights} <= {
        student,
        f"{student}.confusion",
        f"{student}.attribute_sums",
        "class_weights",
    }
    run_cohort(Job("toy", chosen), folders)
    saved = torch.load(Store(folders.results).checkpoint_path(chosen[0].id), weights_only=True)
    assert set(saved["weights"]) == set(cohort.student(chosen[0]).model.state_dict())
    assert "mean" not in saved


def test_a_record_says_how_features_came_and_how_long_training_waited(manifest, features, folders):
    (record,) = run_cohort(Job("toy", cells(manifest, features, "softmax", epochs=1)), folders)
    assert record.status == "ok"
    assert record.cost.feature_plan == "fly"
    assert 0 < record.cost.waiting_share < 1
    assert set(record.metrics) == {"dev", "test1", "test2"}
    assert record.config.features.speech.digest == features.speech.digest


def test_a_checkpoint_recognises_as_training_predicted(manifest, features, folders, models):
    from bench.features.audio import read

    (record,) = run_cohort(Job("toy", cells(manifest, features, "softmax", epochs=1)), folders)
    store = Store(folders.results)
    trained = checkpoint.load(store.checkpoint_path(record.id), models)
    assert trained.reads_text
    row = store.predictions(record.id).iloc[0]
    known = manifest.table.set_index("utterance").loc[row["utterance"]]
    wave = read(manifest.root / known["path"], 16_000)
    logits = torch.tensor([row[f"logit_{emotion}"] for emotion in record.emotions])
    found = trained.probabilities(wave, known["transcript"])
    assert list(found.values()) == pytest.approx(logits.softmax(0).tolist(), abs=1e-4)
    assert list(trained.probabilities(wave).values()) != pytest.approx(logits.softmax(0).tolist(), abs=1e-6)


def test_a_checkpoint_with_other_weights_under_its_encoders_name_is_refused(
    manifest, features, folders, tmp_path
):
    from bench.features.made_models import make

    (record,) = run_cohort(Job("toy", cells(manifest, features, "softmax", epochs=1)), folders)
    for name, kind in (("wavlm", "wavlm"), ("bert", "bert")):
        make(tmp_path / "others" / name, kind, seed=1)
    with pytest.raises(
        SuiteError, match="model wavlm: the weights under this name are not those of the record"
    ):
        checkpoint.load(Store(folders.results).checkpoint_path(record.id), tmp_path / "others")


def test_the_recipe_says_in_which_precision_students_hear(manifest, features, folders):
    source = open_source(manifest, features, folders, CPU)
    train, _ = splits(manifest, source)
    batch = Batches(train, [np.arange(4)])[0]
    heard = {
        precision: listening.build(
            cells(manifest, features, "softmax", precision=precision)[0], None, source.encoders
        )(batch)
        for precision in ("float32", "bfloat16")
    }
    assert heard["float32"].frames.dtype == heard["float32"].text.dtype == torch.float32
    assert heard["bfloat16"].frames.dtype == heard["bfloat16"].text.dtype == torch.bfloat16
    assert not heard["bfloat16"].frames.requires_grad
    gap = (heard["bfloat16"].frames.float() - heard["float32"].frames).abs().mean()
    assert gap < 0.05 * heard["float32"].frames.std()


def test_both_plans_crop_the_same_frames_the_one_as_samples(manifest, features, folders):
    (cell,) = cells(manifest, features, "softmax")
    crops = []
    for plan in ("fly", "cache"):
        source = open_source(manifest, features, Folders(**(vars(folders) | {"feature_plan": plan})), CPU)
        heard = listening.build(cell, None, source.encoders)
        train, _ = splits(manifest, source)
        groups = buckets(train.lengths, 8, np.random.default_rng(0))
        crops.append(Batches(train, groups, heard.frames(1.2), 3, heard.hop, heard.field))
    for number in range(3):
        fly, cached = (batches[number] for batches in crops)
        assert torch.equal(fly.positions, cached.positions)
        assert crops[0]._starts(number) == crops[1]._starts(number)
        assert cached.frames.shape[1] <= 60
        assert [frames_of(int(n)) for n in fly.mask.sum(1)] == cached.mask.sum(1).tolist()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("time_masks", 1), ("mel_masks", 1), ("mel_shift_bins", 2), ("time_stretch", 0.1), ("gain_db", 1.0)],
)
def test_augmentation_of_log_mels_is_refused_for_hidden_states(manifest, features, setting, value):
    (cell,) = cells(
        manifest, features, "softmax", augmentation=NO_AUGMENTATION.model_copy(update={setting: value})
    )
    flag = f"--recipe.augmentation.{setting.replace('_', '-')} 0"
    with pytest.raises(SuiteError, match=rf"acts on log-mels.* of wavlm; switch it off: {re.escape(flag)}$"):
        listening.build(cell, None)


def test_a_plan_that_augments_hidden_states_stops_before_anything_is_read(features, folders):
    from bench.config import Plan
    from bench.training import grid

    plan = Plan(
        name="bad", tasks=("nosuch/corpus",), features=features, recipe=Recipe(augmentation=Augmentation())
    )
    with pytest.raises(SuiteError, match="augmentation acts on log-mels"):
        grid.run(plan, folders, 1)


def test_the_published_model_trains_on_speech_and_text(manifest, models, features, folders):
    encoder = Bare(d_model=32, head_width=16, head_layers=1)
    records = run_cohort(
        Job("toy", cells(manifest, features, "softmax", "fox", epochs=1, encoder=encoder)), folders
    )
    assert [record.status for record in records] == ["ok", "ok"]


class TestReading:
    """Batches in order, whoever reads them."""

    def test_batches_read_ahead_are_those_read_in_turn(self):
        split = toy_split(40)
        batches = Batches(split, buckets(split.lengths, 4, np.random.default_rng(0)), crop_frames=15, seed=3)
        plain, ahead = list(Loader(batches)), list(Loader(batches, readers=3))
        assert len(plain) == len(ahead) == len(batches) == 10
        for one, other in zip(plain, ahead, strict=True):
            assert torch.equal(one.frames, other.frames)
            assert torch.equal(one.positions, other.positions)
            assert one.transcripts == other.transcripts

    def test_what_a_reader_finds_wrong_keeps_its_sentence(self):
        split = toy_split(8)
        split._store["u0-005"] = None

        class Broken(Batches):
            def __getitem__(self, number):
                if number == 2:
                    raise SuiteError("a.wav: no samples")
                return super().__getitem__(number)

        read = []
        with pytest.raises(SuiteError, match=r"^a.wav: no samples$"):
            read.extend(Loader(Broken(split, [np.array([i]) for i in range(4)]), readers=2))

    def test_a_reader_that_hangs_is_given_up(self, monkeypatch):
        monkeypatch.setattr(reading, "PATIENCE_S", 0.1)
        split, back = toy_split(8), threading.Event()

        class Hung(Batches):
            def __getitem__(self, number):
                if number == 1:
                    back.wait(60)
                return super().__getitem__(number)

        with pytest.raises(SuiteError, match=r"reading a batch has taken over 0\.1 s"):
            list(Loader(Hung(split, [np.array([i]) for i in range(4)]), readers=2))
        back.set()

    def test_waiting_is_the_time_until_a_batch_is_there(self, monkeypatch):
        clock = iter(range(1000))
        monkeypatch.setattr(reading.time, "perf_counter", lambda: next(clock))
        split = toy_split(8)
        loader = Loader(Batches(split, [np.arange(4), np.arange(4, 8)]))
        list(loader)
        assert loader.waited_s == 3  # two batches and the end

    def test_a_reader_a_core_is_left_for_training(self, monkeypatch):
        for cores, processes, expected in ((1, 1, 0), (2, 1, 1), (16, 1, 4), (16, 8, 1), (4, 4, 0)):
            monkeypatch.setattr(
                reading.os, "sched_getaffinity", lambda _, cores=cores: range(cores), raising=False
            )
            monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
            assert reading.free_cores() == expected


def test_an_empty_share_of_a_batch_is_heard_as_nothing(monkeypatch):
    """As of the last process where a batch has fewer utterances than there are processes."""
    split = toy_split(9)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    batch = Batches(split, [np.array([8])])[0]
    (cell,) = toy_cells("softmax")
    heard = listening.build(cell, toy_normaliser(split))(batch, torch.Generator())
    assert len(heard.frames) == 0


def msp_lengths(utterances: int) -> np.ndarray:
    """Seconds like MSP-Podcast's turns: 2.75 to 11 s, about 5.5 s on average, in frames."""
    seconds = 2.75 + 8.25 * np.random.default_rng(0).beta(1.1, 2.2, utterances)
    assert 5.3 < seconds.mean() < 5.8
    return (seconds * 50).astype(int)


@pytest.mark.parametrize("crop", [None, 275])
def test_batches_of_msp_podcast_waste_under_five_percent_on_padding(crop):
    lengths = msp_lengths(137_168)
    heard = np.minimum(lengths, crop or np.inf)
    for rng in (np.random.default_rng(1), None):
        groups = buckets(lengths, 32, rng)
        padded = sum(len(group) * heard[group].max() for group in groups)
        assert 1 - heard.sum() / padded < 0.05


def test_buckets_of_a_small_corpus_are_as_before():
    """So that the committed results can be made again: windows of eight batches."""
    lengths = msp_lengths(1000)
    rng = np.random.default_rng(3)
    shuffled = rng.permutation(1000)
    windows = [shuffled[i : i + 128] for i in range(0, 1000, 128)]
    order = np.concatenate([window[np.argsort(lengths[window], kind="stable")] for window in windows])
    batches = [order[i : i + 16] for i in range(0, 1000, 16)]
    expected = [batches[i] for i in rng.permutation(len(batches))]
    found = buckets(lengths, 16, np.random.default_rng(3))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
