"""A training run in a directory of its own: it can be killed at any time and goes on to the same numbers.

<run>/run.json            the recipe, the data set's digest and the machine that the numbers belong to
      state.pt            everything the next step depends on
      metrics.jsonl       the training log
      tensorboard/        the same for TensorBoard
      model.safetensors   the best weights so far, by the evaluations
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hrm.checkpoint import native
from hrm.data.dataset import check_fits, read_split
from hrm.errors import TrainingError
from hrm.training import state as states
from hrm.training.batches import BatchStream
from hrm.training.evaluation import Evaluation, evaluate
from hrm.training.learner import Learner, StepResult
from hrm.training.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hrm.training.backend import Backend
    from hrm.training.journal import Journal
    from hrm.training.recipe import TrainRecipe

MODEL = "model.safetensors"


@dataclass(frozen=True)
class Stepped:
    """A step was taken."""

    step: int
    total: int
    result: StepResult


@dataclass(frozen=True)
class Evaluated:
    """The network was measured."""

    step: int
    evaluation: Evaluation
    best: bool
    """It is the best so far, and its weights were kept."""


@dataclass(frozen=True)
class Finished:
    """The run is over."""

    step: int
    reason: str
    best_step: int
    best: Evaluation


Event = Stepped | Evaluated | Finished


class Run:
    """One training run; ``events`` does the work."""

    def __init__(self, recipe: TrainRecipe, directory: Path, backend: Backend) -> None:
        """Open the data, and the state that an earlier process left in ``directory``.

        Raises:
            DatasetError: the data set is damaged, lacks a split, or its splits do not fit each other.
            CheckpointError: the saved state is damaged.
        """
        self._recipe, self._directory, self._backend = recipe, directory, backend
        self._batches = BatchStream(recipe.dataset, recipe.global_batch_size, recipe.seed)
        self._unseen = read_split(recipe.dataset, recipe.evaluate.split, recipe.evaluate.puzzles)
        self.total = recipe.total_steps(self._batches.examples_per_epoch)
        config = recipe.config(self._batches.info, str(backend.dtype).removeprefix("torch."))
        check_fits(self._unseen.info, config)
        self.learner = Learner(recipe, config, backend, self.total)
        self._meter = Meter(recipe.global_batch_size)
        self.step = self._saved = 0
        self.seconds = 0.0
        """Of training so far, evaluations included, in all processes."""
        self._evaluations: list[tuple[int, Evaluation]] = []
        self._ended: str | None = None
        """Why the run is over."""
        state = states.load(directory / states.FILE, backend.device)
        if state is not None:
            with states.refusing(directory / states.FILE):
                self._restore(state)

    def events(self, journals: Sequence[Journal]) -> Iterator[Event]:
        """Train to the end, step by step.

        Raises:
            TrainingError: the loss or a weight is no number any more.
            StorageError: the disk is full or failing.
        """
        began, before = time.perf_counter(), self.seconds
        while self._ended is None:
            self.step += 1
            result = self.learner.step(self._batches.next(self._backend.device), self.step)
            self._check(result)
            yield Stepped(self.step, self.total, result)
            self._meter.add(result)
            logged = None
            if self._due(self._recipe.log_every):
                logged = self._meter.take()
                self._write(journals, "train", logged)
            if self._due(self._recipe.evaluate.every):
                yield self._evaluate(journals)
            self._ended = self._why_stop(logged)
            if self._ended and not self._is_evaluated():
                yield self._evaluate(journals)
            self.seconds = before + time.perf_counter() - began
            if self._ended or self._due(self._recipe.checkpoint_every):
                self._save()
        yield Finished(self.step, self._ended, *self._best())

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.total

    def _is_evaluated(self) -> bool:
        return bool(self._evaluations) and self._evaluations[-1][0] == self.step

    def _check(self, result: StepResult) -> None:
        losses = (result.answer_loss, result.q_halt_loss, result.q_continue_loss)
        finite = all(map(math.isfinite, losses))
        if finite and self.learner.is_finite():
            return
        kept = f"the state of step {self._saved} and the best weights are kept in {self._directory}"
        raise TrainingError(
            f"{'a weight' if finite else 'the loss'} is no number any more at step {self.step}",
            why=f"its losses: answer {losses[0]}, q_halt {losses[1]}, q_continue {losses[2]}",
            hint=f"{kept if self._saved else 'no state was saved yet'}; "
            "train with a lower lr, or a longer lr_warmup_steps, in a new run directory",
        )

    def _evaluate(self, journals: Sequence[Journal]) -> Evaluated:
        evaluation = evaluate(self.learner.kept, self._unseen, self._backend.device)
        self._write(journals, "evaluation", evaluation.to_dict())
        self._evaluations.append((self.step, evaluation))
        best = self._best()[0] == self.step
        if best:
            network = self.learner.kept
            tensors = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
            native.save(network.config, tensors, self._directory / MODEL)
        return Evaluated(self.step, evaluation, best)

    def _best(self) -> tuple[int, Evaluation]:
        """The latest of the evaluations that solved most."""
        return max(self._evaluations, key=lambda entry: (entry[1].exact_accuracy, entry[0]))

    def _why_stop(self, logged: dict[str, float] | None) -> str | None:
        stop = self._recipe.early_stop
        if stop.train_exact_accuracy and logged and logged.get("exact_accuracy", 0.0) >= stop.train_exact_accuracy:
            return f"{logged['exact_accuracy']:.1%} of the training puzzles are solved"
        if self._evaluations:
            reached = [evaluation.exact_accuracy for _, evaluation in self._evaluations]
            if stop.exact_accuracy and max(reached) >= stop.exact_accuracy:
                return f"exact accuracy has reached {max(reached):.1%}"
            first = reached.index(max(reached))
            if stop.patience and len(reached) - 1 - first >= stop.patience:
                return f"no better evaluation since step {self._evaluations[first][0]}"
        return "every step is done" if self.step >= self.total else None

    def _write(self, journals: Sequence[Journal], kind: str, values: dict[str, Any]) -> None:
        for journal in journals:
            journal.write(self.step, kind, values)

    def _save(self) -> None:
        state = {
            "learner": self.learner.state(),
            "step": self.step,
            "ended": self._ended,
            "seconds": self.seconds,
            "meter": self._meter.state(),
            "stream": [self._batches.epoch, self._batches.position],
            "evaluations": [(step, evaluation.to_dict()) for step, evaluation in self._evaluations],
        }
        states.save(self._directory / states.FILE, state)
        self._saved = self.step

    def _restore(self, state: dict[str, Any]) -> None:
        self.learner.restore(state["learner"])
        self.step = self._saved = state["step"]
        self.seconds, self._ended = state["seconds"], state["ended"]
        self._meter.restore(state["meter"])
        self._batches.seek(*state["stream"])
        self._evaluations = [(step, Evaluation(**values)) for step, values in state["evaluations"]]
