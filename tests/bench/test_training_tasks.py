"""Further tasks: gender and CTC as their definitions have them, learnt beside emotion, left behind."""

from itertools import groupby, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss
from training_fixtures import EMOTIONS, toy_cells, toy_normaliser, toy_split

from bench import corpora
from bench.config import Bare, Extractor, Features, Pretrained, Recipe, System
from bench.corpora.manifest import COLUMNS, Manifest
from bench.errors import SuiteError
from bench.features.encoders import Heard
from bench.model.model import Encoded, build
from bench.training import checkpoint, tasks
from bench.training.cohort import Cohort, Lessons, Student
from bench.training.fit import fit
from bench.training.spelling import Alphabet, plain
from bench.training.split import Split
from bench.training.tasks import Heads, Targets

BOTH = {"gender_weight": 1.0, "transcript_weight": 1.0}
LIGHT = {"gender_weight": 1.0, "transcript_weight": 0.05}  # CTC of one character in forty frames is large


def spoken_split(utterances: int, seed: int = 0) -> Split:
    """The toy corpus, where women are louder, and who raises one bin says "a", the others "bb"."""
    split, rng = toy_split(utterances, seed), np.random.default_rng(seed)
    women, says_a = rng.random(utterances) < 0.5, rng.random(utterances) < 0.5
    for name, woman, a in zip(split.table["utterance"], women, says_a, strict=True):
        split._store[name][:] += 2.0 * woman
        split._store[name][:, 4] += 3.0 * a
    table = split.table.assign(
        gender=np.where(women, "female", "male"), transcript=np.where(says_a, "A.", "bb!")
    )
    return Split(split._store, table, split.emotions)


def test_transcripts_are_spelled_in_lower_case_without_punctuation_in_any_script():
    assert plain("  Don’t go —\nthe DOOR! ") == "don't go the door"
    assert plain("Stück Papier; u\u0308ber") == "stück papier über"
    assert plain("你好。") == "你好"
    letters = Alphabet.of(["Ab, b", "c"])
    assert letters.characters == (" ", "a", "b", "c")
    assert letters.spelled("cab d") == [4, 2, 3, 1]


def heads_of(split: Split, crop_frames=10**6, **recipe) -> tuple[Heads, Student]:
    (cell,) = toy_cells("softmax", **(recipe or BOTH))
    student = Student(cell, len(EMOTIONS), Lessons(Targets.of(split, crop_frames)))
    return student.heads, student


def encoded(student: Student, lengths, seed=0) -> Encoded:
    rng = torch.Generator().manual_seed(seed)
    frames = torch.randn(len(lengths), max(lengths), student.model.frame_width, generator=rng)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return Encoded(frames, mask, torch.randn(len(lengths), student.model.pooled_width, generator=rng))


def test_gender_is_cross_entropy_and_unknown_ones_have_no_part():
    split = spoken_split(6)
    split.genders[[1, 4]] = -1
    heads, student = heads_of(split)
    seen = encoded(student, [3] * 6)
    found = heads.losses(seen, torch.arange(6))["gender"]
    chances = heads.gender(seen.pooled).double().softmax(-1).detach().numpy()
    known = [0, 2, 3, 5]
    assert found.known.nonzero().flatten().tolist() == known
    expected = log_loss(split.genders[known], chances[known], labels=[0, 1])
    assert tasks.mean(found).item() == pytest.approx(expected, rel=1e-5)


def every_path(scores: np.ndarray, target: list[int]) -> float:
    """−log Σ of the probabilities of all paths that spell the target, in float64."""
    total = 0.0
    for path in product(range(scores.shape[1]), repeat=len(scores)):
        if [symbol for symbol, _ in groupby(path) if symbol] == target:
            total += np.prod([scores[t, symbol] for t, symbol in enumerate(path)])
    return -np.log(total)


def test_transcript_is_ctc_a_character_with_two_characters_to_an_encoder_frame():
    split = spoken_split(8)
    heads, student = heads_of(split)
    lengths = [2, 3, 2, 3, 2, 3, 2, 3]
    seen = encoded(student, lengths)
    found = heads.losses(seen, torch.arange(8))["transcript"]
    assert found.known.all()
    symbols = 1 + len(heads.targets.alphabet.characters)
    for i, length in enumerate(lengths):
        scores = heads.transcript(seen.frames[i, :length]).reshape(2 * length, symbols).softmax(-1)
        target = heads.targets.spelled[i].tolist()
        expected = every_path(scores.detach().double().numpy(), target) / len(target)
        assert found.values[i].item() == pytest.approx(expected, rel=1e-4)


def test_what_is_cropped_too_short_or_not_written_down_has_no_transcript_loss():
    split = spoken_split(6)
    split.table["transcript"] = ["bb", "bb", "b", "", "bb", "b"]
    limit = int(np.sort(split.lengths)[-2])
    heads, student = heads_of(split, crop_frames=limit)
    lengths = [1, 2, 1, 2, 2, 2]  # two characters a frame, and "bb" needs three
    found = heads.losses(encoded(student, lengths), torch.arange(6))["transcript"]
    expected = np.array([False, True, True, False, True, True]) & (split.lengths <= limit)
    assert found.known.tolist() == expected.tolist()
    assert found.values.isfinite().all()


def test_padding_has_no_part_in_the_transcript_loss():
    heads, student = heads_of(spoken_split(2))
    short = encoded(student, [3, 6])
    garbage = short.frames.clone()
    garbage[0, 3:] = 1e3
    one, other = (
        heads.losses(short._replace(frames=frames), torch.arange(2))["transcript"].values
        for frames in (short.frames, garbage)
    )
    torch.testing.assert_close(one, other)


LEARNING = {"epochs": 16, "peak_lr": 5e-3, "class_weights": False, **LIGHT}


def train(cells, splits, folder) -> Cohort:
    return fit(tuple(cells), *splits, toy_normaliser(splits[0]), folder, lambda done: None)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A student of three tasks, and its splits."""
    splits = spoken_split(48, seed=1), spoken_split(24, seed=2)
    (cell,) = toy_cells("softmax", **LEARNING)
    return train([cell], splits, tmp_path_factory.mktemp("learnt")).student(cell), splits


def test_all_tasks_are_learnt_together(learnt):
    student, _ = learnt
    first, last = student.curve[0].further_losses, student.curve[-1].further_losses
    assert set(first) == {"gender", "transcript"}
    assert last["gender"] < 0.3 < 0.5 < first["gender"]
    assert last["transcript"] < 0.5 * first["transcript"]
    assert max(epoch.dev_uar for epoch in student.curve) > 0.55


def test_a_new_student_begins_with_the_weights_that_it_has_without_further_tasks():
    plainly, (_, beside) = Student(toy_cells("softmax")[0], len(EMOTIONS)), heads_of(spoken_split(6))
    for name, value in plainly.model.state_dict().items():
        assert torch.equal(value, beside.model.state_dict()[name])
    assert plainly.model.parameter_counts() == beside.model.parameter_counts()


def test_what_is_kept_of_a_student_is_the_recogniser_alone(learnt, tmp_path):
    student, (split, _) = learnt
    (cell,) = toy_cells("softmax", **LEARNING)
    assert set(student.best) == set(student.model.state_dict())
    checkpoint.save(tmp_path / "one.pt", cell, student.best, toy_normaliser(split), EMOTIONS)
    trained = checkpoint.load(tmp_path / "one.pt")
    assert trained.model(torch.randn(1, 20, 8)).shape == (1, len(EMOTIONS))


def test_a_student_with_further_tasks_is_the_same_in_a_cohort_and_alone(tmp_path):
    splits = spoken_split(24, seed=1), spoken_split(9, seed=2)
    cells = toy_cells("softmax", "retnet", sampler="curriculum", **BOTH)
    together, alone = train(cells, splits, tmp_path / "a"), train(cells[1:], splits, tmp_path / "b")
    for a, b in zip(
        together.student(cells[1]).state_dict().values(),
        alone.student(cells[1]).state_dict().values(),
        strict=True,
    ):
        assert not isinstance(a, torch.Tensor) or torch.equal(a, b)


def test_the_bare_model_tells_heads_which_frames_are_real_though_its_pooling_does_not_know():
    features = Pretrained(speech=Extractor(name="a", width=16, num_layers=2))
    settings, system = Bare(d_model=16, head_layers=0), System(layout="softmax")
    model, mask = build(features, settings, system, 3), torch.arange(5) < torch.tensor([[3], [5]])
    states = torch.randn(2, 5, 2, 16)
    assert torch.equal(model.encode(Heard(states, mask)).mask, mask)
    assert torch.equal(model.eval().read(model.encode(Heard(states, mask))), model(states, mask))


def manifest(known: int, column: str) -> Manifest:
    """Twenty utterances, of which the first `known` have a value in a column, and all in the others."""
    table = pd.DataFrame({name: ["female"] * 20 for name in COLUMNS})
    table = table.assign(
        utterance=[f"u{i:02}" for i in range(20)],
        emotion="calm",
        arousal=np.nan,
        valence=np.nan,
        dominance=np.nan,
    )
    table.loc[known:, column] = ""
    return Manifest("mine", "Mine", Path(), ("calm",), table, {})


@pytest.mark.parametrize("column", ["gender", "transcript"])
def test_a_corpus_without_a_tasks_targets_is_refused(column):
    recipe = Recipe(**{f"{column}_weight": 0.3})
    said = rf"mine: 2 of 20 utterances have no {column}, which --recipe.{column}-weight 0.3 would train"
    with pytest.raises(SuiteError, match=said):
        tasks.require_tasks(recipe, Features(), manifest(18, column))
    tasks.require_tasks(recipe, Features(), manifest(19, column))
    tasks.require_tasks(Recipe(), Features(), manifest(0, column))


def test_spelling_what_the_model_reads_is_refused():
    features = Pretrained(speech=Extractor(name="a", width=8), text=Extractor(name="b", width=8))
    with pytest.raises(SuiteError, match="a transcript that the model is given"):
        tasks.require_tasks(Recipe(transcript_weight=1.0), features, manifest(20, "gender"))


@pytest.mark.corpus
def test_every_recording_of_ravdess_has_a_gender_and_a_transcript_to_learn(data_root):
    found = corpora.load("ravdess", data_root)
    tasks.require_tasks(Recipe(**BOTH), Features(), found)
    said = {"kids are talking by the door", "dogs are sitting by the door"}
    assert {plain(text) for text in found.table["transcript"]} == said
