"""The means of a log interval, under the official names."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hrm.training.learner import StepResult

if TYPE_CHECKING:
    from collections.abc import Iterable


class Meter:
    """Sums the results of steps until they are taken."""

    def __init__(self, batch_size: int) -> None:
        self._batch = batch_size
        self._results: list[StepResult] = []
        self._clear()

    def add(self, result: StepResult) -> None:
        """Count one step."""
        self._results.append(result)

    def state(self) -> dict[str, Any]:
        """What was counted since the last ``take``: a resumed run's next line of metrics needs it."""
        seconds = time.perf_counter() - self._began
        return {"results": [list(result) for result in self._results], "seconds": seconds}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` returned."""
        self._results = [StepResult(*values) for values in state["results"]]
        self._began = time.perf_counter() - state["seconds"]

    def take(self) -> dict[str, float]:
        """The means since the last call: losses over rows, the rest over the puzzles that halted, where any did.

        ``rows_per_second`` counts segments of training: a puzzle takes as many as its depth.
        """
        steps, total = len(self._results), _sum(self._results)
        seconds = time.perf_counter() - self._began
        self._clear()
        return {
            "lm_loss": total.answer_loss / steps,
            "q_halt_loss": total.q_halt_loss / steps,
            "q_continue_loss": total.q_continue_loss / steps,
            "count": total.halted,
            **(_means(total) if total.halted else {}),
            "rows_per_second": round(steps * self._batch / seconds, 1),
        }

    def _clear(self) -> None:
        self._results = []
        self._began = time.perf_counter()


def _sum(results: Iterable[StepResult]) -> StepResult:
    return StepResult(*map(sum, zip(*results, strict=True)))


def _means(total: StepResult) -> dict[str, float]:
    return {
        "exact_accuracy": total.right / total.halted,
        "accuracy": total.cells / total.halted,
        "steps": total.depth / total.halted,
        "q_halt_accuracy": total.halting_right / total.halted,
    }
