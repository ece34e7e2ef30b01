"""`serbench export --check`: the same clips through both, paired over speakers, in records that hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from export_fixtures import EMOTIONS, cell_of, write_checkpoint
from sklearn.metrics import balanced_accuracy_score

from bench.cli import run_command
from bench.config import Cepstra, Task
from bench.errors import SuiteError
from bench.evidence.exports import agreement, loss, reference
from bench.evidence.merging import merge
from bench.evidence.store import Store
from bench.evidence.verification import faults
from bench.export.material import CALIBRATED, calibration, heldout, material
from bench.features.audio import read
from bench.features.spectra import frames_of
from bench.folders import Folders

TASK = "table:tiny/split"
LOGITS = [f"logit_{emotion}" for emotion in EMOTIONS]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Folders:
    """A corpus of noise in files, with training, development and test speakers; and where results go."""
    root = tmp_path_factory.mktemp("data")
    rng, rows = np.random.default_rng(0), []
    for number in range(60):
        split = "train" if number < 24 else "dev" if number < 27 else "test"
        soundfile.write(root / f"{number}.wav", 0.1 * rng.standard_normal(6_000 + 300 * number), 16_000)
        speaker = f"{split}-{number % 4 if split == 'test' else number % 2}"
        rows.append((f"{number}.wav", EMOTIONS[number // 4 % 3], speaker, split, number % 4))
    table = pd.DataFrame(rows, columns=["path", "label", "speaker", "split", "fold"])
    table.drop(columns="fold").to_csv(root / "tiny.csv", index=False)
    return Folders(tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("cache"), root)


@pytest.fixture(scope="module")
def checked(folders, tmp_path_factory):
    """The store after a check by the command line, the file that was exported, and what was printed."""
    pytest.importorskip("onnxruntime", reason="the export extra is not installed")
    pytest.importorskip("onnxscript", reason="the export extra is not installed")
    path = write_checkpoint(tmp_path_factory.mktemp("checkpoint"), "reslstm_sa")
    places = ["--results", folders.results, "--cache", folders.cache, "--data-root", folders.data_root]
    given = ["export", path, "--int8", "dynamic", "--check", TASK, *places]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.export.checking.LENGTH_S", 1.0)
        assert run_command([str(argument) for argument in given]) == 0
    return Store(folders.results), path.with_name(f"{path.stem}.int8-dynamic.onnx"), path


def test_a_check_is_a_record_of_score_size_and_time(checked):
    store, file, path = checked
    (record,) = store.exports()
    assert record.setting.weights == "int8-dynamic"
    assert record.setting.checked_on.corpus == "table:tiny"
    assert record.utterances == 33
    assert record.file_bytes == file.stat().st_size
    model = torch.load(path, weights_only=True)["weights"]
    counted = sum(
        value.numel() for name, value in model.items() if "running" not in name and "num_" not in name
    )
    assert record.weights_bytes == 4 * counted
    race = record.race
    assert race.ratio == pytest.approx(race.exported_ms / race.torch_ms)
    assert race.exported_ms == pytest.approx(np.median(race.exported_samples_ms), rel=0.5)
    assert len(race.exported_samples_ms) == len(race.torch_samples_ms) > 5


def test_scores_are_those_of_the_stored_predictions(checked):
    store, *_ = checked
    (record,) = store.exports()
    table = store.predictions(record.id)
    for system, rows in (("exported", table), ("torch", reference(table))):
        guesses = np.array(EMOTIONS)[rows[LOGITS].to_numpy().argmax(axis=1)]
        assert record.metrics[system]["uar"] == pytest.approx(balanced_accuracy_score(rows["label"], guesses))
    assert 0 < record.largest_gap < 0.5


def test_the_references_are_what_the_checkpoint_says_of_the_test_clips(checked, folders):
    from bench.training import checkpoint

    store, _, path = checked
    trained, (record,) = checkpoint.load(path), store.exports()
    table = reference(store.predictions(record.id)).set_index("utterance")
    assert set(table["speaker"]) == {"test-0", "test-1", "test-2", "test-3"}
    for utterance in list(table.index)[:5]:
        said = trained.probabilities(read(folders.data_root / f"{Path(utterance).stem}.wav", 16_000))
        logits = torch.tensor(table.loc[utterance, LOGITS].to_numpy(float))
        assert list(said.values()) == pytest.approx(logits.softmax(-1).tolist(), abs=1e-5)


def test_the_report_shows_the_row_and_asks_for_no_run(checked, tmp_path):
    store, *_ = checked
    shutil.copytree(store.root, tmp_path / "results")
    assert run_command(["report", "--results", str(tmp_path / "results")]) == 0
    text = (tmp_path / "results" / "exports.md").read_text()
    assert "| ResLSTM-SA | causal | 0 | 0 | int8, dynamic | 33 |" in text
    csv = pd.read_csv(tmp_path / "results" / "exports.csv")
    (record,) = store.exports()
    assert csv["id"].tolist() == [record.id]
    assert csv["exported"][0] == pytest.approx(record.metrics["exported"]["uar"], rel=1e-5)


def test_a_check_is_verified_and_a_changed_prediction_is_found(checked, tmp_path):
    store, *_ = checked
    assert faults(store) == []
    shutil.copytree(store.root, tmp_path / "results")
    copy = Store(tmp_path / "results")
    (record,) = copy.exports()
    table = copy.predictions(record.id)
    for emotion in EMOTIONS:
        table[f"reference_logit_{emotion}"] = (table["label"] == emotion).astype(float)
    copy.write_predictions(record.id, table)
    assert {fault.path for fault in faults(copy)} == {copy.predictions_path(record.id)}
    assert any("torch uar" in fault.reason for fault in faults(copy))
    copy.export_path(record.id).unlink()
    assert ["there is no record" in fault.reason for fault in faults(copy)] == [True]


def test_a_check_is_merged_with_its_predictions(checked, tmp_path):
    store, *_ = checked
    merged = merge(store, Store(tmp_path))
    assert (merged.copied, merged.conflicts) == (1, ())
    assert faults(Store(tmp_path)) == []
    Store(tmp_path).predictions_path(store.exports()[0].id).unlink()
    with pytest.raises(SuiteError, match="missing, and its record is"):
        merge(Store(tmp_path), Store(tmp_path / "other"))


def test_calibration_hears_clips_of_the_training_split_alone(checked, folders):
    named, clips = calibration(TASK, checked[2], folders)
    assert named.startswith("table:tiny/split-")
    assert named.endswith("fold 0, 24 training clips")
    assert CALIBRATED > 24
    expected = [frames_of(Cepstra(), read(folders.data_root / f"{i}.wav", 16_000)) for i in range(24)]
    expected.sort(key=len)
    for found, wanted in zip(sorted(clips, key=len), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_a_task_of_other_emotions_is_refused(folders):
    data, _ = material(TASK, cell_of("softmax"), folders)
    with pytest.raises(SuiteError, match=r"tells angry, happy, sad apart, this checkpoint calm, sad"):
        heldout(data, ("calm", "sad"))


def test_the_checkpoints_own_task_is_checked_in_its_own_fold(folders):
    data, full = material("table:tiny/speakers", cell_of("softmax"), folders)
    assert full.fold == 0
    assert full.protocol == data.manifest.protocol("speakers")
    own = Task(corpus="table:tiny", protocol=full.protocol, fold=2)
    assert material("table:tiny/speakers", cell_of("softmax", task=own), folders)[1] == own


def test_an_unknown_task_is_told(folders):
    with pytest.raises(SuiteError, match="no protocol 'nosuch'"):
        material("table:tiny/nosuch", cell_of("softmax"), folders)


def simulated(flips: float, seed: int = 0) -> pd.DataFrame:
    """Predictions of a checkpoint, and of a file of it that guesses anew in a share `flips` of the clips."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=240)
    logits = rng.normal(size=(240, 3)) + 1.5 * np.eye(3)[labels]
    changed = logits.copy()
    for row in np.flatnonzero(rng.random(240) < flips):
        changed[row] = rng.permutation(changed[row])
    table = pd.DataFrame({"speaker": [f"s{i % 12}" for i in range(240)], "split": "test"})
    table["label"] = np.array(EMOTIONS)[labels]
    for i, emotion in enumerate(EMOTIONS):
        table[f"logit_{emotion}"], table[f"reference_logit_{emotion}"] = changed[:, i], logits[:, i]
    return table


def scores(table: pd.DataFrame) -> float:
    guesses = np.array(EMOTIONS)[table[LOGITS].to_numpy().argmax(axis=1)]
    return balanced_accuracy_score(table["label"], guesses)


def test_the_loss_is_the_difference_of_the_scores_and_its_error_that_of_a_paired_bootstrap():
    table = simulated(0.3)
    found = loss(table, EMOTIONS, ())
    assert found.value == pytest.approx(scores(table) - scores(reference(table)))
    rng, draws = np.random.default_rng(1), []
    by_speaker = [rows for _, rows in table.groupby("speaker")]
    for _ in range(400):
        drawn = pd.concat([by_speaker[i] for i in rng.integers(12, size=12)])
        draws.append(scores(drawn) - scores(reference(drawn)))
    assert found.speakers == 12
    assert found.error == pytest.approx(np.std(draws, ddof=1) * np.sqrt(12 / 11), rel=0.12)


def test_equal_outputs_lose_nothing_for_certain():
    table = simulated(0.0)
    found = loss(table, EMOTIONS, ())
    assert (found.value, found.interval().low, found.interval().high) == (0, 0, 0)
    assert agreement(table, EMOTIONS, ()) == (0.0, 0.0)


def test_agreement_counts_changed_guesses_and_measures_the_largest_gap():
    table = simulated(0.0)
    table.loc[:5, "logit_sad"] += 50.0
    was_sad = reference(table)[LOGITS].to_numpy()[:6].argmax(axis=1) == EMOTIONS.index("sad")
    gap, changed = agreement(table, EMOTIONS, ())
    assert gap == pytest.approx(50.0)
    assert changed == pytest.approx((~was_sad).sum() / 240)


def test_attributes_are_compared_by_concordance():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=100)
    table = pd.DataFrame({"speaker": [f"s{i % 5}" for i in range(100)], "valence": truth})
    table["reference_predicted_valence"] = truth
    table["predicted_valence"] = truth + 0.5  # CCC 2 s² / (2 s² + 0.25), s² the variance
    found = loss(table, (), ("valence",))
    assert found.value == pytest.approx(2 * truth.var() / (2 * truth.var() + 0.25) - 1)
    assert agreement(table, (), ("valence",)) == (pytest.approx(0.5), None)
