"""Students learn attributes, beside emotions or alone, and predict them on the corpus's scale."""

import numpy as np
import pandas as pd
import pytest
import torch
from training_fixtures import toy_cells, toy_normaliser, toy_split

from bench.attributes import ATTRIBUTES, from_unit, to_unit
from bench.evidence import summary
from bench.features.transform import transform
from bench.training import checkpoint, scoring
from bench.training.cohort import Cohort
from bench.training.fit import fit
from bench.training.split import Batches, Split

RATED = {"angry": (6.1, 2.2), "calm": (2.3, 4.4), "happy": (4.9, 6.2)}  # arousal and valence
ALONE = {"emotion_weight": 0.0, "attribute_weight": 1.0, "select_by": "ccc"}


def rated_split(utterances: int, seed: int, names=("arousal", "valence")) -> Split:
    """The toy corpus with ratings about those of each emotion; every ninth arousal is unknown."""
    split = toy_split(utterances, seed)
    rng = np.random.default_rng(seed)
    ratings = np.array([RATED[emotion] for emotion in split.table["emotion"]]) + rng.normal(
        0, 0.3, (utterances, 2)
    )
    ratings[::9, 0] = np.nan
    table = split.table.assign(arousal=ratings[:, 0], valence=ratings[:, 1], dominance=np.nan)
    return Split(split._store, table, split.emotions, names)


@pytest.fixture(scope="module")
def splits():
    return rated_split(48, seed=1), rated_split(24, seed=2)


def train(cells, splits, folder) -> Cohort:
    return fit(tuple(cells), *splits, toy_normaliser(splits[0]), folder, lambda done: None)


@pytest.fixture(scope="module")
def alone(splits, tmp_path_factory):
    """A cell trained on attributes alone, and its cohort."""
    (cell,) = toy_cells("softmax", epochs=12, peak_lr=5e-3, **ALONE)
    return cell, train([cell], splits, tmp_path_factory.mktemp("alone"))


def test_the_scale_of_training_takes_one_to_seven_to_zero_to_one():
    rated = np.array([1.0, 2.5, 4.0, 7.0])
    np.testing.assert_allclose(to_unit(rated), [0, 0.25, 0.5, 1])
    np.testing.assert_allclose(from_unit(to_unit(rated)), rated)


def test_a_batch_holds_the_scaled_attributes_and_nan_where_unknown_or_not_named():
    split = rated_split(12, seed=3, names=("valence",))
    batch = Batches(split, [np.array([4, 9, 1])])[0]
    assert batch.attributes.dtype == torch.float32
    expected = (split.table["valence"].to_numpy()[[4, 9, 1]] - 1) / 6
    np.testing.assert_allclose(batch.attributes[:, 1].numpy(), expected, rtol=1e-6)
    assert batch.attributes[:, [0, 2]].isnan().all()
    assert np.isnan(rated_split(12, seed=3).attributes[:, 0]).nonzero()[0].tolist() == [0, 9]


def test_attributes_alone_are_learnt_and_the_epoch_is_the_first_of_the_best_dev_ccc(alone):
    cell, cohort = alone
    student = cohort.student(cell)
    scores = [epoch.dev_ccc for epoch in student.curve]
    assert max(scores) > 0.6
    assert student.best_epoch == scores.index(max(scores))
    assert {epoch.dev_uar for epoch in student.curve} == {None}
    assert student.model.head[-1].out_features == len(ATTRIBUTES)


def test_predictions_of_attributes_alone_have_no_logits_and_score_what_dev_said(alone, splits):
    cell, cohort = alone
    table = scoring.predict(cohort, cell, {"dev": splits[1]})
    assert not [name for name in table if name.startswith("logit_")]
    assert [name for name in table if "dominance" in name] == []
    pd.testing.assert_series_equal(table["arousal"], splits[1].table["arousal"])
    scores = summary.of(table, (), ("arousal", "valence"))["dev"]
    assert set(scores) == {"ccc", "ccc_arousal", "ccc_valence"}
    student = cohort.student(cell)
    assert scores["ccc"] == pytest.approx(student.curve[student.best_epoch].dev_ccc, abs=1e-5)
    rated = table.dropna(subset="arousal")
    x, y = rated["predicted_arousal"].to_numpy(float), rated["arousal"].to_numpy(float)
    ccc = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert scores["ccc_arousal"] == pytest.approx(ccc, abs=1e-9)


def test_both_are_learnt_side_by_side(splits, tmp_path):
    (cell,) = toy_cells("softmax", epochs=12, peak_lr=5e-3, attribute_weight=1.0)
    cohort = train([cell], splits, tmp_path)
    curve = cohort.student(cell).curve
    assert max(epoch.dev_uar for epoch in curve) > 0.8
    assert max(epoch.dev_ccc for epoch in curve) > 0.6
    assert cohort.student(cell).best_epoch == int(np.argmax([epoch.dev_uar for epoch in curve]))
    table = scoring.predict(cohort, cell, {"dev": splits[1]})
    assert {"logit_angry", "valence", "predicted_valence"} <= set(table)


def test_a_checkpoint_recognises_as_training_predicted(alone, splits, tmp_path):
    cell, cohort = alone
    normaliser = toy_normaliser(splits[0])
    checkpoint.save(
        tmp_path / "it.pt", cell, cohort.student(cell).best, normaliser, (), ("arousal", "valence")
    )
    trained = checkpoint.load(tmp_path / "it.pt")
    wave = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    found = trained.recognise(wave)
    assert list(found) == ["arousal", "valence"]
    assert trained.probabilities(wave) == {}
    frames = normaliser(transform(cell.features)(torch.from_numpy(wave)).numpy())
    student = cohort.student(cell)
    student.model.load_state_dict(student.best)
    with torch.inference_mode():
        scaled = student.model.eval()(torch.as_tensor(frames, dtype=torch.float32)[None])[0, :2]
    assert list(found.values()) == pytest.approx((1 + 6 * scaled).tolist(), rel=1e-5)


def test_a_checkpoint_from_before_attributes_still_loads(splits, tmp_path):
    (cell,) = toy_cells("softmax", epochs=1)
    cohort = train([cell], splits, tmp_path / "cohort")
    emotions = splits[0].emotions
    checkpoint.save(tmp_path / "it.pt", cell, cohort.student(cell).best, toy_normaliser(splits[0]), emotions)
    content = torch.load(tmp_path / "it.pt", weights_only=True)
    del content["attributes"]
    torch.save(content, tmp_path / "it.pt")
    wave = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    trained = checkpoint.load(tmp_path / "it.pt")
    assert sum(trained.probabilities(wave).values()) == pytest.approx(1)
    assert trained.recognise(wave) == trained.probabilities(wave)
