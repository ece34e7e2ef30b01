"""Distillation: its losses are the papers', its teacher is the one that fits, and only its digest is kept."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from training_fixtures import EMOTIONS, toy_cells, toy_normaliser, toy_split

from bench.config import Features, Plan, Recipe, Task
from bench.errors import SuiteError
from bench.evidence.store import Store
from bench.features.encoders import Heard
from bench.folders import Folders
from bench.training import checkpoint, grid, teachers
from bench.training.cohort import Cohort, Student
from bench.training.distillation import Learner, Taught, Teacher, divergence
from bench.training.fit import fit
from bench.training.tasks import mean

SPLITS = toy_split(36, seed=1), toy_split(18, seed=2)


def train(cells, folder, teacher=None) -> Cohort:
    return fit(tuple(cells), *SPLITS, toy_normaliser(SPLITS[0]), folder, lambda done: None, teacher=teacher)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """The file of a trained softmax teacher, and the teacher."""
    folder = tmp_path_factory.mktemp("teacher")
    (cell,) = toy_cells("softmax", epochs=10, peak_lr=5e-3)
    student = train([cell], folder).student(cell)
    path = folder / "teacher.pt"
    checkpoint.save(path, cell, student.best, toy_normaliser(SPLITS[0]), EMOTIONS)
    return path, checkpoint.load_model(path)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_divergence_is_hintons(temperature):
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(2, 7, 5)) * 3
    p, q = (softmax(logits / temperature, axis=1) for logits in (theirs, ours))
    expected = temperature**2 * rel_entr(p, q).sum(1)
    found = divergence(torch.from_numpy(ours), torch.from_numpy(theirs), temperature)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_features_are_learnt_through_a_linear_map_by_mean_squared_distance(taught):
    (cell,) = toy_cells("retnet")
    model = Student(cell, len(EMOTIONS)).model
    learner = Learner(model, Teacher(taught[1], None), Recipe(logit_weight=0.0))
    ours, theirs = torch.randn(6, model.pooled_width), torch.randn(6, taught[1].model.pooled_width)
    found = learner.losses(torch.zeros(6, 3), ours, Taught(torch.zeros(6, 3), theirs))
    assert set(found) == {"features"}
    mapped = ours.numpy() @ learner.map.weight.detach().numpy().T + learner.map.bias.detach().numpy()
    assert mean(found["features"]).item() == pytest.approx(((mapped - theirs.numpy()) ** 2).mean(), rel=1e-5)


def test_a_teacher_hears_what_it_was_trained_on_whatever_the_students_normalisation(taught):
    trained = taught[1]
    own = toy_normaliser(SPLITS[0])
    other = replace(own, mean=own.mean + 1.5, std=own.std * 0.7)
    raw = SPLITS[1].frames(3)
    heard = Heard(torch.from_numpy(other(raw))[None], torch.ones(1, len(raw), dtype=torch.bool))
    expected = trained.model(torch.from_numpy(own(raw))[None], heard.mask)
    found = Teacher(trained, other).train()(heard)
    torch.testing.assert_close(found.logits, expected, rtol=1e-4, atol=1e-4)


def test_a_student_of_another_layout_comes_nearer_to_its_teacher_than_one_without(taught, tmp_path):
    _, trained = taught
    (plain,) = toy_cells("retnet", epochs=10, peak_lr=5e-3)
    (learning,) = toy_cells("retnet", epochs=10, peak_lr=5e-3, teacher=("0" * 16,))
    alone = train([plain], tmp_path / "alone").student(plain)
    guided = train([learning], tmp_path / "taught", trained).student(learning)
    said = {name: [e.further_losses[name] for e in guided.curve] for name in ("logits", "features")}
    assert all(losses[-1] < 0.6 * losses[0] for losses in said.values())
    normaliser, gaps = toy_normaliser(SPLITS[0]), []
    for student in (alone, guided):
        student.model.load_state_dict(student.best)
        student.model.eval()
        rows = [torch.from_numpy(normaliser(SPLITS[1].frames(i)))[None] for i in range(18)]
        pairs = [(student.model(x), trained.model(x)) for x in rows]
        gaps.append(sum(divergence(*pair, 2.0).item() for pair in pairs))
    assert gaps[1] < 0.8 * gaps[0]
    assert set(guided.best) == set(alone.best)


def test_a_taught_student_is_the_same_in_a_cohort_and_alone_and_the_teacher_does_not_move(taught, tmp_path):
    path, trained = taught
    cells = toy_cells("softmax", "kda", teacher=("0" * 16,))
    together = train(cells, tmp_path / "a", trained)
    alone = train(cells[1:], tmp_path / "b", trained)
    for a, b in zip(
        together.student(cells[1]).model.state_dict().values(),
        alone.student(cells[1]).model.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(a, b)
    for name, value in checkpoint.load_model(path).model.state_dict().items():
        assert torch.equal(value, trained.model.state_dict()[name])


def test_a_digest_is_of_what_a_checkpoint_holds_not_of_its_file(taught, tmp_path):
    path, trained = taught
    weights = trained.model.state_dict()
    again = tmp_path / "another-name.pt"
    torch.save(torch.load(path, weights_only=True), again)  # which writes the name into the file
    assert path.read_bytes() != again.read_bytes()
    assert checkpoint.digest(path) == checkpoint.digest(again)
    moved = {name: value + (name == "head.2.bias") for name, value in weights.items()}
    checkpoint.save(again, trained.cell, moved, trained.normaliser, trained.emotions)
    assert checkpoint.digest(path) != checkpoint.digest(again)


def test_an_adopted_teacher_is_found_by_digest_when_its_file_has_gone(taught, tmp_path):
    gone, store = tmp_path / "gone.pt", Store(tmp_path / "results")
    shutil.copy(taught[0], gone)
    (digest,) = teachers.adopt((str(gone), str(gone)), store)
    gone.unlink()
    assert teachers.adopt((digest,), store) == (digest,)
    cell = taught[1].cell.model_copy(update={"recipe": Recipe(teacher=(digest,))})
    assert teachers.teacher(cell, EMOTIONS, store).emotions == EMOTIONS
    with pytest.raises(SuiteError, match=r"no checkpoint .*gone.pt to learn from"):
        teachers.adopt((str(gone),), store)


def test_a_plan_holds_digests_and_no_paths(taught, tmp_path):
    plan = Plan(name="toy", tasks=(), recipe=Recipe(teacher=(str(taught[0]),)))
    found = grid.resolved(plan, Folders(tmp_path, tmp_path)).recipe
    assert found.teacher == (checkpoint.digest(taught[0]),)
    assert found.summary.endswith(f"taught by {found.teacher[0][:8]}")


def adopted(taught, store, **changes) -> str:
    """The digest of a teacher that differs in some fields of its cell, its emotions or its weights."""
    path, trained = store.root / "changed.pt", taught[1]
    emotions = changes.pop("emotions", trained.emotions)
    weights = changes.pop("weights", trained.model.state_dict())
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = trained.cell.model_copy(update=changes)
    checkpoint.save(path, cell, weights, trained.normaliser, emotions)
    return teachers.adopt((str(path),), store)[0]


def student_of(taught, *digests, **changes):
    update = {"recipe": Recipe(teacher=digests), **changes}
    return taught[1].cell.model_copy(update=update)


def test_a_teacher_of_other_classes_or_features_is_refused(taught, tmp_path):
    store = Store(tmp_path)
    digest = adopted(taught, store, emotions=("angry", "calm", "sad"))
    with pytest.raises(SuiteError, match="tells angry, calm, sad apart, and the students angry, calm, happy"):
        teachers.teacher(student_of(taught, digest), EMOTIONS, store)
    digest = adopted(taught, store)
    other = student_of(taught, digest, features=Features(num_mels=8, hop_ms=10.0))
    with pytest.raises(SuiteError, match=r"hears other features .*hop_ms 20.0, theirs 10.0"):
        teachers.teacher(other, EMOTIONS, store)


def task(corpus: str, fold: int) -> Task:
    return Task(corpus=corpus, protocol="toy", fold=fold)


def test_the_teacher_of_a_fold_is_one_that_has_not_heard_its_test_speakers(taught, tmp_path):
    store = Store(tmp_path)
    folds = [adopted(taught, store, task=task("ravdess", fold)) for fold in (0, 1)]
    foreign = adopted(taught, store, task=task("emodb", 0))
    for fold in (0, 1):
        cell = student_of(taught, *folds, foreign, task=task("ravdess", fold))
        assert teachers.teacher(cell, EMOTIONS, store).cell.task.fold == fold
    cell = student_of(taught, folds[0], foreign, task=task("ravdess", 2))
    assert teachers.teacher(cell, EMOTIONS, store).cell.task.corpus == "emodb"
    for corpus in ("ravdess", "emodb-to-ravdess", "ravdess-as-four"):
        wrong = student_of(taught, *folds, task=task(corpus, 2))
        with pytest.raises(SuiteError, match=r"wants one teacher .* fold 1.* none fits"):
            teachers.teacher(wrong, EMOTIONS, store)


def test_of_several_teachers_of_a_fold_the_one_of_the_seed_teaches_and_two_are_refused(taught, tmp_path):
    store = Store(tmp_path)
    seeds = [adopted(taught, store, seed=seed) for seed in (3, 4)]
    for seed in (3, 4):
        assert teachers.teacher(student_of(taught, *seeds, seed=seed), EMOTIONS, store).cell.seed == seed
    with pytest.raises(SuiteError, match="seed 5 wants one teacher"):
        teachers.teacher(student_of(taught, *seeds, seed=5), EMOTIONS, store)
    twin = adopted(taught, store, seed=3, recipe=Recipe(epochs=9))
    with pytest.raises(SuiteError, match=r"on toy/toy fold 0, 2 fit;"):
        teachers.teacher(student_of(taught, *seeds, twin, seed=3), EMOTIONS, store)


def test_of_the_teachers_named_only_the_weights_of_the_one_that_teaches_are_read(taught, tmp_path):
    store = Store(tmp_path)
    whole = adopted(taught, store, task=task("ravdess", 0))
    hollow = adopted(taught, store, task=task("ravdess", 1), weights={})
    own, other = (student_of(taught, whole, hollow, task=task("ravdess", fold)) for fold in (0, 1))
    assert teachers.teacher(own, EMOTIONS, store).cell.task == own.task
    with pytest.raises(SuiteError, match="not a checkpoint of this version"):
        teachers.teacher(other, EMOTIONS, store)


def test_a_teacher_from_whom_nothing_is_learnt_is_refused():
    with pytest.raises(SuiteError, match=r"raise --recipe.logit-weight or --recipe.feature-weight"):
        teachers.require_teaching(Recipe(teacher=("a",), logit_weight=0.0, feature_weight=0.0))
    with pytest.raises(SuiteError, match="probabilities of emotions, which are not trained"):
        teachers.require_teaching(Recipe(teacher=("a",), emotion_weight=0.0, attribute_weight=1.0))
    teachers.require_teaching(Recipe(logit_weight=0.0, feature_weight=0.0))
