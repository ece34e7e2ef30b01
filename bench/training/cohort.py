"""A cohort: every system of one (corpus, fold, seed) trained side by side on the same batches.

The reader, the frozen encoders and the augmentation run once a step and feed every student
(`bench.training.listening`), so the comparison is paired and a leaderboard costs little more than its
students. Each student has its own optimiser and draws from a stream named by the seed and the step alone: it
ends with the same weights, bit for bit, as one trained by itself, and a mate that fails does not touch it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassConfusionMatrix

from bench.config import Cell, Recipe
from bench.evidence import concordance, metrics
from bench.evidence.metrics import Scores
from bench.evidence.records import Epoch, Status
from bench.features.encoders import Heard
from bench.features.speech import SpeechEncoder
from bench.measuring.throughput import out_of_memory
from bench.model.lora import trained
from bench.model.model import Encoded
from bench.model.tuned import whole
from bench.training import losses, ranks, samplers, starting, streams
from bench.training.attribute_sums import AttributeSums
from bench.training.curriculum import stage
from bench.training.distillation import Learner, Taught, Teacher
from bench.training.focal import ClassRecall
from bench.training.listening import Listening
from bench.training.optimiser import Plateau, optimiser, schedule
from bench.training.split import Batch
from bench.training.spread import Spread
from bench.training.tasks import Heads, Losses, Targets, mean

Result = TypeVar("Result")


@dataclass(frozen=True)
class Lessons:
    """What a cohort has beside its labels.

    Targets of further tasks, a teacher, what spreads batches, and the weights of an earlier run to start from
    (`bench.training.starting`).
    """

    targets: Targets | None = None
    teacher: Teacher | None = None
    spread: Spread | None = None
    start: dict[str, Tensor] | None = None


LABELS_ALONE = Lessons()


class Student(nn.Module):
    """One system in training: its model, its learning curve, and its best weights so far."""

    def __init__(
        self,
        cell: Cell,
        num_emotions: int,
        lessons: Lessons = LABELS_ALONE,
        speech: SpeechEncoder | None = None,
    ) -> None:
        """The weights are drawn from a stream named by the seed alone, or are those to start from.

        `speech` is the encoder that a student of tuned features gets a copy of.
        """
        super().__init__()
        self.recipe = cell.recipe
        self.parts = losses.parts(cell.recipe, num_emotions)
        with streams.drawing_from("weights", cell.seed):
            self.model = whole(cell.features, cell.encoder, cell.system, sum(self.parts), speech)
            self.sizes = self.model.parameter_counts()
            starting.begin(self.model, cell.recipe, lessons.start)
        learned = trained(self.model.parameters())
        if learned != self.sizes.total:
            self.sizes = self.sizes.model_copy(update={"trained": learned})
        targets, teacher = lessons.targets, lessons.teacher
        with streams.drawing_from("heads", cell.seed):
            self.heads = None if targets is None else Heads(self.model, cell, targets)
            self.learner = None if teacher is None else Learner(self.model, teacher, cell.recipe)
        self.recall = ClassRecall(num_emotions) if cell.recipe.focal.adaptive else None
        self.confusion = MulticlassConfusionMatrix(num_emotions)
        self.attribute_sums = AttributeSums(self.parts[1])
        self.status: Status = "ok"
        self.reason = ""
        self.curve: list[Epoch] = []
        self.own: dict[str, Tensor] = {}  # weights in training, while the model has the mean's
        self.mean: dict[str, Tensor] = {}  # of the weights over epochs
        self.best: dict[str, Tensor] = {}
        self.best_epoch: int | None = None
        self.train_s = 0.0
        self.finite: Tensor | bool = True  # whether all dev outputs of the epoch are
        self.losses: list[float] = []
        self.further: dict[str, list[float]] = {}  # unweighted losses beyond emotion and attributes

    def forward(self, heard: Heard) -> tuple[Tensor, Encoded]:
        """Outputs (B, C + A) of a batch, and what they are read from; none for a process without a part."""
        if not len(heard.frames):
            none = heard.frames.new_zeros
            empty = Encoded(none(0, 1, self.model.frame_width), None, none(0, self.model.pooled_width))
            return none(0, sum(self.parts)), empty
        encoded = self.model.encode(heard)
        return self.model.read(encoded), encoded

    def further_losses(
        self, outputs: Tensor, encoded: Encoded, positions: Tensor, taught: Taught | None
    ) -> dict[str, Tensor]:
        """Mean losses of a batch beyond emotion and attributes, unweighted, by name."""
        found: dict[str, Losses] = {}
        if self.heads is not None:
            found |= self.heads.losses(encoded, positions)
        if self.learner is not None and taught is not None:
            found |= self.learner.losses(outputs[:, : self.parts[0]], encoded.pooled, taught)
        return {name: mean(one) for name, one in found.items()}

    def fail(self, status: Status, reason: str) -> None:
        """Take no further step; the cohort goes on without this student."""
        self.status, self.reason = status, reason

    def count(self, outputs: Tensor, batch: Batch) -> None:
        """Count the outputs of a dev batch."""
        self.finite = self.finite & torch.isfinite(outputs).all()
        logits, scaled = outputs.split(self.parts, dim=1)
        if self.parts[0]:
            self.confusion.update(logits, batch.labels)
        if self.parts[1]:
            self.attribute_sums.update(scaled, batch.attributes)

    def take_mean(self, number: int) -> None:
        """Where the recipe averages: this epoch's weights enter the mean, and the model takes the mean's.

        A plain mean of the first epochs, then one that forgets by the recipe's decay; statistics of norms are
        averaged too. Why a mean generalises better than its epochs: Izmailov et al. 2018, arXiv 1803.05407.
        """
        if not self.recipe.averaging:
            return
        self.own = self._weights()
        share = 1 - min(self.recipe.averaging, number / (number + 1))
        earlier = self.mean or self.own
        self.mean = {
            name: earlier[name].lerp(value, share) if value.is_floating_point() else value
            for name, value in self.own.items()
        }
        self.model.load_state_dict(self.mean)

    def take_own(self) -> None:
        """Undo `take_mean`: the model goes on in training."""
        if self.own:
            self.model.load_state_dict(self.own)
        self.own = {}

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def end_epoch(self, number: int) -> None:
        """Score the epoch on the dev split and keep the weights if no earlier epoch was as good."""
        loss = sum(self.losses) / len(self.losses)
        further = {name: sum(some) / len(some) for name, some in self.further.items()}
        self.losses, self.further, self.finite = [], {}, True
        epoch = Epoch(epoch=number, train_loss=loss, further_losses=further, **self._dev_scores())
        if not self.curve or self.merit(epoch) > max(self.merit(earlier) for earlier in self.curve):
            self.best = self._weights()
            self.best_epoch = number
        self.curve.append(epoch)

    def merit(self, epoch: Epoch) -> float:
        """The dev score that the recipe selects by; the least where it is undefined."""
        score = getattr(epoch, f"dev_{self.recipe.select_by}")
        return -math.inf if score is None else score

    def _dev_scores(self) -> dict[str, float]:
        """The dev scores of what is trained, by field of `Epoch`; the counts start anew."""
        found: dict[str, Scores] = {}
        if self.parts[0]:
            counts = self.confusion.compute().cpu().numpy()
            found = {"dev_uar": metrics.uar(counts), "dev_macro_f1": metrics.macro_f1(counts)}
            self.confusion.reset()
        if self.parts[1]:
            found["dev_ccc"] = concordance.mean_ccc(self.attribute_sums.compute().cpu().numpy())
            self.attribute_sums.reset()
        return {name: float(score) for name, score in found.items() if not np.isnan(score)}

    def get_extra_state(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the weights: plain numbers, strings and tensors."""
        return {
            "status": self.status,
            "reason": self.reason,
            "curve": [epoch.model_dump() for epoch in self.curve],
            "mean": self.mean,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "train_s": self.train_s,
            "losses": self.losses,
            "further": self.further,
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Undo `get_extra_state`."""
        self.status, self.reason = state["status"], state["reason"]
        self.curve = [Epoch(**epoch) for epoch in state["curve"]]
        self.mean = state.get("mean", {})  # older checkpoints have none
        self.best, self.best_epoch, self.train_s = state["best"], state["best_epoch"], state["train_s"]
        self.losses = list(state.get("losses", ()))  # none in checkpoints of an epoch's end
        self.further = state.get("further", {})  # older checkpoints have none


class Cohort(lightning.LightningModule):
    """All students of a cohort under one Lightning loop."""

    class_weights: Tensor

    def __init__(
        self,
        cells: list[Cell],
        listening: Listening,
        class_weights: Tensor,
        num_emotions: int,
        total_steps: int,
        lessons: Lessons = LABELS_ALONE,
    ) -> None:
        """`cells` share everything but their system; `class_weights` is (C,) for the cross-entropy.

        A guide that is none of them becomes one more student (`bench.training.samplers`).
        """
        super().__init__()
        self.automatic_optimization = False
        guide, speech = samplers.guide(cells[0]), listening.speech
        taking_part = {cell.id: cell for cell in (*cells, *([guide] if guide else []))}
        self.students = nn.ModuleDict(
            {name: Student(cell, num_emotions, lessons, speech) for name, cell in taking_part.items()}
        )
        self.recipe: Recipe = cells[0].recipe
        self.guide, self.spread = guide.id if guide else "", lessons.spread
        self.outside = () if lessons.teacher is None else (lessons.teacher,)  # a tuple: no submodule
        self.listening = listening
        self.seed = cells[0].seed
        self.total_steps = total_steps
        self.waiting_share = 0.0  # of the time in `bench.training.fit`, for batches to be read
        self.heard_s = 0.0  # of this process in training, for what all students hear
        self.register_buffer("class_weights", class_weights)

    def student(self, cell: Cell) -> Student:
        """The student of one cell."""
        student = self.students[cell.id]
        assert isinstance(student, Student)
        return student

    def live(self) -> list[tuple[int, Student]]:
        """Students that have not failed, each with its place among the optimisers."""
        students = (student for student in self.students.values() if isinstance(student, Student))
        return [(i, student) for i, student in enumerate(students) if student.status == "ok"]

    def configure_optimizers(self) -> Any:
        """One optimiser and one schedule a student, in the students' order."""
        adams = [optimiser(student, self.recipe) for student in self.students.values()]
        return adams, [schedule(adam, self.recipe, self.total_steps) for adam in adams]

    def training_step(self, batch: Batch, number: int) -> None:
        """One step of every student on one batch, heard once."""
        place = (self.seed, self.current_epoch, number, *([ranks.own()] if ranks.own() else []))
        started = time.perf_counter()
        heard = self.listening(batch, streams.torch_generator("augmentation", *place))
        if heard.frames.is_cuda:
            torch.cuda.synchronize(heard.frames.device)  # or it would count as the first student's time
        self.heard_s += time.perf_counter() - started
        taught = self._taught(heard)
        for i, student in self.live():
            started = time.perf_counter()
            with streams.drawing_from("student", *place):
                self._learn(student, heard, batch, taught)
            if student.status == "ok" and self.due(number):
                self.attempt(student, partial(self._update, i, student))
            student.train_s += time.perf_counter() - started

    def due(self, number: int) -> bool:
        """Whether the optimisers step after this batch."""
        return (number + 1) % self.recipe.accumulate == 0 or self.trainer.is_last_batch

    def _taught(self, heard: Heard) -> Taught | None:
        """What the teacher makes of a batch, once for all students; None where there is none."""
        for teacher in self.outside:
            with self._precision():
                return teacher.to(self.device)(heard)
        return None

    def _learn(self, student: Student, heard: Heard, batch: Batch, taught: Taught | None) -> None:
        """Add the gradients of one batch to a student's, or note why that cannot be."""
        found = self.attempt(student, partial(self._forward, student, heard))
        if found is None:
            return
        outputs, encoded = found
        if self.spread is not None and student is self.students[self.guide]:
            self.spread.note(batch.positions, encoded.pooled)
        with self._precision():
            further = student.further_losses(outputs, encoded, batch.positions, taught)
        loss = self._loss(student, outputs, batch, further)
        value = loss.item()
        if not math.isfinite(value):
            student.fail("diverged", f"loss became {value} in epoch {self.current_epoch}")
            return
        self.attempt(student, partial(self._backward, loss))
        student.losses.append(value)
        for name, one in further.items():
            student.further.setdefault(name, []).append(one.item())

    def _loss(self, student: Student, outputs: Tensor, batch: Batch, further: dict[str, Tensor]) -> Tensor:
        """The weighted sum of all losses of a student in the epoch's stage."""
        epoch, recipe = self.current_epoch, self.recipe
        now, balanced = stage(recipe, epoch), samplers.batching(recipe, epoch) != "uniform"
        class_weights = torch.ones_like(self.class_weights) if balanced else self.class_weights
        weights = {
            "gender": recipe.gender_weight * now.gender,
            "transcript": recipe.transcript_weight * now.transcript,
            "logits": recipe.logit_weight,
            "features": recipe.feature_weight,
        }
        total = losses.loss(outputs, batch, recipe, class_weights, now, student.recall)
        return total + sum(weights[name] * one for name, one in further.items())

    def _forward(self, student: Student, heard: Heard) -> tuple[Tensor, Encoded]:
        with self._precision():
            return student(heard)

    def _precision(self) -> torch.autocast:
        narrow = self.recipe.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=narrow)

    def outputs(self, student: Student, heard: Heard) -> Tensor:
        """The student's outputs (B, C + A), in the recipe's precision; none for a process without a part."""
        return self._forward(student, heard)[0]

    def _backward(self, loss: Tensor) -> None:
        if loss.requires_grad:
            self.manual_backward(loss / self.recipe.accumulate)

    def attempt(self, student: Student, action: Callable[[], Result]) -> Result | None:
        """The result of `action`; None where it ran out of memory, here or in a process beside."""
        result, reason = None, ""
        try:
            result = action()
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            reason = (str(error) or "out of memory").splitlines()[0]
        if ranks.any_of(bool(reason), self.device):
            student.fail("oom", reason or "another process ran out of memory")
            return None
        return result

    def _update(self, i: int, student: Student) -> None:
        adam, rate = _listed(self.optimizers())[i], _listed(self.lr_schedulers())[i]
        ranks.sum_gradients(student)
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(student.parameters(), self.recipe.clip_norm)
        adam.step()
        adam.zero_grad()
        rate.step()

    def validation_step(self, batch: Batch, number: int) -> None:
        """Count every student's dev outputs."""
        heard = self.listening(batch)
        for _, student in self.live():
            outputs = self.attempt(student, partial(self.outputs, student, heard))
            if outputs is not None and len(outputs):
                student.count(outputs.float(), batch)

    def on_validation_start(self) -> None:
        """Let all processes score the same models: those of the epoch, or their means over epochs."""
        for _, student in self.live():
            ranks.average_statistics(student.model)
            student.take_mean(self.current_epoch)

    def on_validation_epoch_end(self) -> None:
        """Choose the best epoch by the recipe's dev score."""
        for i, student in self.live():
            if ranks.any_of(not student.finite, self.device):
                student.fail("diverged", f"outputs on dev are not finite in epoch {self.current_epoch}")
                continue
            student.end_epoch(self.current_epoch)
            student.take_own()
            rate = _listed(self.lr_schedulers())[i]
            if isinstance(rate, Plateau):
                rate.end_epoch(student.merit(student.curve[-1]))


def _listed(one_or_many: Any) -> list[Any]:
    """Lightning hands over a bare optimiser or schedule where there is only one."""
    return one_or_many if isinstance(one_or_many, list) else [one_or_many]
