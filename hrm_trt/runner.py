"""The in-process runner as a library: a bundle is opened once, and answers whatever puzzles it is given.

    from hrm_trt.runner import Runner, solve

    answers = solve("sudoku-6x6-cpu-fp32", ["4..3........5.1.4...26........1...5."])
    answers.tokens, answers.depth, answers.confidence

    runner = Runner("sudoku-6x6-cpu-fp32", threads=2)   # opened once
    for inputs in batches:                              # token ids [N, S]
        answers = runner.solve(inputs, policy="adaptive", batch=64)

``batch`` puzzles are in flight at once: one that halts leaves its place to the next between two segments
(``engines.slots``), and no answer depends on its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engines.onnx_session import RuntimeOptions
from engines.solving import solve as run
from hrm.data.puzzles import check_inputs
from hrm.data.tasks import task_of
from hrm.errors import UsageError
from hrm_trt.pipeline.models import find_model
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    from pathlib import Path

    from engines.act import PolicyName
    from engines.solving import Answers, Observer, Progress
    from hrm.data.tasks import Task

Puzzles = npt.NDArray[np.integer[Any]] | Sequence[str]
"""Token ids [N, S], or each puzzle as text."""
BATCH = 32


class Runner:
    """The engines of one bundle, opened in this process.

    Args:
        bundle: its directory, its name in the work directory, or REPOSITORY/NAME; None for the demo's.
        threads: of a CPU; 0 takes every core.
        workdir: where names are looked up; ``.hrm-trt`` if None.

    Raises:
        BundleError: there is no such bundle, or a file of it is not the one that was built.
        EngineError: the runtime refuses an engine.
        MissingError: this machine lacks the runtime, or the GPU that the engines are for.
        RepositoryError: the repository has no such model.
    """

    def __init__(self, bundle: str | Path | None = None, *, threads: int = 0, workdir: Path | None = None) -> None:
        self.model = find_model(None if bundle is None else str(bundle), Workdir(workdir))
        self._stepper = self.model.open(RuntimeOptions(threads=threads))

    @property
    def task(self) -> Task:
        """How its puzzles are written."""
        config = self.model.config
        return task_of(config.vocab_size, config.seq_len, self.model.manifest.vocabulary)

    def solve(
        self,
        puzzles: Puzzles,
        *,
        puzzle_identifiers: npt.NDArray[np.integer[Any]] | None = None,
        policy: PolicyName | None = None,
        threshold: float | None = None,
        batch: int = BATCH,
        observe: Observer | None = None,
        progress: Progress | None = None,
    ) -> Answers:
        """Answer ``puzzles``, in their order.

        Args:
            puzzles: token ids [N, S], or N texts as ``hrm-trt solve`` takes them.
            puzzle_identifiers: [N], for models with an embedding of each puzzle; 0 if None.
            policy: when a puzzle stops; ``adaptive`` where that passed its gate, else ``fixed``, if None.
            threshold: of ``confidence``; the one that it was gated with if None.
            batch: puzzles in flight, at most.
            observe: called after each segment (``engines.solving.Observer``).
            progress: called when puzzles are done.

        Raises:
            DatasetError: the puzzles do not fit the model.
            EngineError: the runtime failed.
            UsageError: a text is no puzzle of this task, the engines were not built for the batch, or the model was
                published without this policy.
        """
        most = self.model.manifest.profile.batch.max
        if not 1 <= batch <= most:
            raise UsageError(
                f"{self.model.name} does not take a batch of {batch}",
                why=f"its engines were built for up to {most} puzzles",
                hint="take one from 1 to that, or build with a larger `profile` in the recipe",
            )
        chosen = self.model.policy(policy or self.model.default_policy(), threshold)
        inputs = puzzles if isinstance(puzzles, np.ndarray) else np.stack([self.task.parse(text) for text in puzzles])
        inputs, identifiers = check_inputs(inputs, puzzle_identifiers, self.model.config)
        return run(self._stepper, inputs, identifiers, chosen, batch=batch, observe=observe, progress=progress)


def solve(
    bundle: str | Path | None,
    puzzles: Puzzles,
    *,
    policy: PolicyName | None = None,
    batch: int = BATCH,
    threads: int = 0,
    workdir: Path | None = None,
) -> Answers:
    """Open a bundle and answer ``puzzles``; arguments and errors are those of ``Runner``."""
    return Runner(bundle, threads=threads, workdir=workdir).solve(puzzles, policy=policy, batch=batch)
