"""`hrm-trt train` as a pipeline: a recipe and a run directory in, events out, and weights on the disk."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from hrm.errors import UsageError
from hrm.files import write_bytes
from hrm.locks import alone
from hrm_trt.pipeline import machine
from hrm_trt.pipeline.store import version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrm.training.backend import Backend, DeviceName
    from hrm.training.journal import Journal
    from hrm.training.recipe import TrainRecipe
    from hrm.training.record import RunRecord
    from hrm.training.run import Event, Finished, Run

LOCK = ".lock"
_LIBRARIES = ("hrm-trt", "torch", "adam-atan2-pytorch", "numpy")


@contextmanager
def training(
    recipe: TrainRecipe, directory: Path, *, device: DeviceName = "auto", wandb: str | None = None
) -> Iterator[tuple[Run, Iterator[Event]]]:
    """The run of ``recipe`` in ``directory``, new or gone on with, and its events: taking them is what trains.

    Args:
        recipe: what to train.
        directory: the run's own; it is made where it does not exist.
        device: where to train.
        wandb: a Weights & Biases project that gets the metrics too.

    Raises:
        UsageError: the directory belongs to something else, or another process trains in it.
        CheckpointError: the recipe's sizes make no HRM.
        DatasetError: the data set is damaged, or lacks a split.
        MissingError: this machine lacks what the recipe or the caller asks for.
    """
    from hrm.data.dataset import read_info
    from hrm.training.backend import choose
    from hrm.training.record import claim
    from hrm.training.run import Run

    backend = choose(recipe, device)
    ours = _record(recipe, backend)
    recipe.config(read_info(recipe.dataset, "train"), "float32")  # what makes no model claims no directory
    claim(directory, ours)
    with ExitStack() as stack:
        stack.enter_context(alone(directory / LOCK, _occupied(directory)))
        record = claim(directory, ours)  # again: another process may have claimed it at the same moment
        _sweep(directory)
        run = Run(recipe, directory, backend)
        journals = [stack.enter_context(closing(journal)) for journal in _journals(run, directory, recipe, wandb)]
        yield run, _events(run, journals, directory, record)


def _events(run: Run, journals: list[Journal], directory: Path, record: RunRecord) -> Iterator[Event]:
    from hrm.training.run import Evaluated, Finished

    for event in run.events(journals):
        if isinstance(event, Evaluated):
            _draw(directory)
        if isinstance(event, Finished):
            _conclude(run, event, directory, record)
        yield event


def _draw(directory: Path) -> None:
    from hrm.data.drawing import to_png
    from hrm.training.curve import curve_figure
    from hrm.training.journal import METRICS, read_metrics

    write_bytes(directory / "curve.png", to_png(curve_figure(read_metrics(directory / METRICS))))


def _conclude(run: Run, event: Finished, directory: Path, record: RunRecord) -> None:
    from hrm.training.record import Outcome, finish

    outcome = Outcome(
        reason=event.reason,
        steps=event.step,
        seconds=round(run.seconds, 1),
        rows_per_second=round(event.step * record.recipe["global_batch_size"] / run.seconds, 1),
        best_step=event.best_step,
        evaluation=event.best.to_dict(),
        parameters=sum(parameter.numel() for parameter in run.learner.network.parameters()),
    )
    finish(directory, record, outcome)


def _record(recipe: TrainRecipe, backend: Backend) -> RunRecord:
    from hrm.data.record import digest_split
    from hrm.training.record import RunRecord

    return RunRecord(
        recipe=recipe.model_dump(mode="json", exclude={"dataset"}),
        data={split: digest_split(recipe.dataset, split) for split in ("train", recipe.evaluate.split)},
        device=f"{backend.name}, {str(backend.dtype).removeprefix('torch.')}",
        machine=machine.describe(),
        versions={name: found for name in _LIBRARIES if (found := version(name)) is not None},
    )


def _journals(run: Run, directory: Path, recipe: TrainRecipe, wandb: str | None) -> Iterator[Journal]:
    from hrm.training.journal import METRICS, JsonLines, TensorBoard, WeightsAndBiases

    yield JsonLines(directory / METRICS, run.step)
    yield TensorBoard(directory / "tensorboard", run.step)
    if wandb is not None:
        yield WeightsAndBiases(wandb, recipe.name, directory, recipe.model_dump(mode="json"))


def _sweep(directory: Path) -> None:
    """Remove what a kill left half-written."""
    for path in directory.glob(".*.*.????????"):
        path.unlink()


def _occupied(directory: Path) -> UsageError:
    return UsageError(
        f"another process is training in {directory}",
        why=f"it holds {directory / LOCK}",
        hint="wait for it, or train into another directory",
    )
