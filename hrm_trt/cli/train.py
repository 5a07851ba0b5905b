"""`hrm-trt train`: a recipe in, a checkpoint out, and the numbers on the way."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hrm_trt.cli.console import people, print_json, program, results
from hrm_trt.pipeline import bundled

if TYPE_CHECKING:
    from types import TracebackType

    from hrm.training.backend import DeviceName
    from hrm.training.recipe import TrainRecipe
    from hrm.training.run import Evaluated, Event, Finished, Run, Stepped

_SMOOTHED = 20
"""Steps whose mean loss is shown."""


@dataclass(frozen=True)
class TrainOptions:
    """What the command line says; None where it is silent."""

    recipe: str
    output: Path | None
    dataset: Path | None
    device: DeviceName
    wandb: str | None


def train_command(options: TrainOptions, *, json: bool) -> None:
    """Train, or go on training, and say what came of it."""
    from hrm.training.run import MODEL, Finished
    from hrm_trt.pipeline.training import training

    recipe = _recipe(options)
    directory = (options.output or Path("runs") / recipe.name).resolve()
    with (
        training(recipe, directory, device=options.device, wandb=options.wandb) as (run, events),
        TrainView(recipe.name, run) as view,
    ):
        finished = next(event for event in map(view, events) if isinstance(event, Finished))
    if json:
        print_json(
            {
                "format_version": 1,
                "run": str(directory),
                "checkpoint": str(directory / MODEL),
                "reason": finished.reason,
                "steps": finished.step,
                "seconds": round(run.seconds, 1),
                "best_step": finished.best_step,
                "evaluation": finished.best.to_dict(),
            }
        )
    else:
        _show(recipe, directory, run, finished)


class TrainView:
    """A bar with the loss and the time left, and a line for each evaluation; nothing where stderr is no terminal."""

    def __init__(self, name: str, run: Run) -> None:
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]left[/]"),
            TimeRemainingColumn(compact=True),
            console=people,
            transient=True,
            disable=not people.is_terminal,
        )
        self._task = self._bar.add_task(escape(name), total=run.total, completed=run.step, loss="starting")
        self._losses: deque[float] = deque(maxlen=_SMOOTHED)
        self._resumed = run.step

    def __enter__(self) -> Self:
        self._bar.start()
        if self._resumed and people.is_terminal:
            people.print(f"[dim]going on after step {self._resumed:,}[/]")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> Event:
        """Show one event and pass it on."""
        from hrm.training.run import Evaluated, Stepped

        if people.is_terminal:
            match event:
                case Stepped():
                    self._step(event)
                case Evaluated():
                    self._bar.console.print(_evaluation_line(event))
                case _:
                    pass
        return event

    def _step(self, event: Stepped) -> None:
        self._losses.append(event.result.answer_loss)
        loss = f"loss {sum(self._losses) / len(self._losses):.3f}"
        self._bar.update(self._task, completed=event.step, loss=loss)


def _evaluation_line(event: Evaluated) -> str:
    found = event.evaluation
    mark = "[green]✓ best, kept[/]" if event.best else "[dim]not the best[/]"
    return (
        f"step {event.step:>7,}  [bold]{found.exact_accuracy:6.1%}[/] of {found.count:,} unseen puzzles solved, "
        f"{found.adaptive_exact_accuracy:6.1%} at {found.adaptive_depth:.1f} segments when halting  {mark}"
    )


def _recipe(options: TrainOptions) -> TrainRecipe:
    from hrm.training.recipe import make_recipe, read_recipe

    values: dict[str, Any] = read_recipe(bundled.recipe(options.recipe))
    if options.dataset is not None:
        values["dataset"] = str(options.dataset.resolve())
    return make_recipe(values)


def _show(recipe: TrainRecipe, directory: Path, run: Run, finished: Finished) -> None:
    from hrm.training.run import MODEL
    from validation.report.view import duration

    best = finished.best
    lines = {
        "ended": f"after {finished.step:,} steps: {finished.reason}",
        "took": f"{duration(run.seconds)}, {finished.step * recipe.global_batch_size / run.seconds:,.0f} rows/s",
        "best": f"step {finished.best_step:,}: {best.exact_accuracy:.1%} of {best.count:,} unseen puzzles solved",
        "halting": f"{best.adaptive_exact_accuracy:.1%} at {best.adaptive_depth:.2f} segments on average",
        "weights": directory / MODEL,
        "curve": directory / "curve.png",
    }
    for name, value in lines.items():
        results.print(f"[dim]{name:<8}[/] {escape(str(value))}")
    people.print(f"[dim]next:[/] {program()} build --checkpoint {directory} --dataset {recipe.dataset}")
